"""One tokenizer of each kind that rerankers and embedding models have, as Transformers' own classes build it.

Their vocabularies are small and learned from the demo collection; all else is as the real ones have it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any

import sentencepiece  # type: ignore[import-untyped]
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE, WordLevel
from transformers import (
    AlbertTokenizer,
    CLIPTokenizer,
    DebertaV2Tokenizer,
    GemmaTokenizer,
    LlamaTokenizer,
    MBart50Tokenizer,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

from tests.tiny_models import bert_tokenizer, demo_texts, qwen3_tokenizer, xlm_roberta_tokenizer

# o200k_base (openai/tiktoken, tiktoken_ext/openai_public.py): its classes of letters overlap, so that it looks over a
# whole run of them before it settles on a piece.
O200K = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<mask>", "[CLS]", "[SEP]"]


@cache
def _byte_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of byte-level BPE."""
    learned = json.loads(qwen3_tokenizer().backend_tokenizer.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


@cache
def blank_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of SentencePiece's BPE: blanks are `▁`, and what is unknown is spelled in bytes."""
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    learner.train_from_iterator(demo_texts(), trainers.BpeTrainer(vocab_size=6_000, special_tokens=special))
    learned = json.loads(learner.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


@cache
def _unigram(*, split_by_whitespace: bool = True) -> tuple[list[tuple[str, float]], bytes]:
    """Pieces with scores, and the normalization rules (NFKC and more), as SentencePiece learns and compiles them."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in islice(demo_texts(), 60) for line in text.split("\n")),
        model_writer=written,
        vocab_size=3_000,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        split_by_whitespace=split_by_whitespace,
        num_threads=1,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())
    pieces = [(piece.piece, piece.score) for piece in model.pieces if piece.type == 1]
    return [*((token, 0.0) for token in SPECIAL), *pieces], model.normalizer_spec.precompiled_charsmap


def _qwen3() -> Tokenizer:
    return qwen3_tokenizer().backend_tokenizer


def _roberta() -> Tokenizer:
    vocabulary, merges = _byte_pieces()
    return RobertaTokenizer(vocab=vocabulary, merges=merges, add_prefix_space=True).backend_tokenizer


def _o200k() -> Tokenizer:
    tokenizer = qwen3_tokenizer().backend_tokenizer
    pieces = pre_tokenizers.Split(Regex(O200K), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return tokenizer


def _clip() -> Tokenizer:
    vocabulary, merges = _byte_pieces()
    ends = {f"{piece}</w>": len(vocabulary) + place for place, piece in enumerate(vocabulary) if len(piece) == 1}
    return CLIPTokenizer(vocab=vocabulary | ends, merges=merges).backend_tokenizer


def _gemma() -> Tokenizer:
    vocabulary, merges = blank_pieces()
    return GemmaTokenizer(vocab=vocabulary, merges=merges).backend_tokenizer


def _gemma_with_runs() -> Tokenizer:
    """As in the published vocabulary, where runs of line breaks, and tags, are tokens that are not special."""
    vocabulary, merges = blank_pieces()
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges)
    runs = ["\n" * number for number in range(1, 6)] + ["▁▁", "▁▁▁", "<table>"]
    tokenizer.add_tokens([AddedToken(run, special=False, normalized=False) for run in runs])
    return tokenizer.backend_tokenizer


def _llama() -> Tokenizer:
    vocabulary, merges = blank_pieces()
    return LlamaTokenizer(vocab=vocabulary, merges=merges).backend_tokenizer


def _xlm_roberta_with_rules() -> Tokenizer:
    pieces, rules = _unigram()
    return XLMRobertaTokenizer(vocab=pieces, _spm_precompiled_charsmap=rules).backend_tokenizer


def _mbart() -> Tokenizer:
    pieces, rules = _unigram()
    return MBart50Tokenizer(vocab=pieces, _spm_precompiled_charsmap=rules).backend_tokenizer


def _deberta() -> Tokenizer:
    pieces, _ = _unigram()
    return DebertaV2Tokenizer(vocab=pieces, unk_token="<unk>", unk_id=0, split_by_punct=True).backend_tokenizer


def _albert() -> Tokenizer:
    pieces, rules = _unigram()
    return AlbertTokenizer(vocab=pieces, unk_token="<unk>", _spm_precompiled_charsmap=rules).backend_tokenizer


def _over_blanks() -> Tokenizer:
    """Unigram pieces that hold several words: no blank is sure to begin one."""
    pieces, rules = _unigram(split_by_whitespace=False)
    tokenizer = XLMRobertaTokenizer(vocab=pieces, _spm_precompiled_charsmap=rules).backend_tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    return tokenizer


def _words() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "word": 1, "search": 2, ",": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    return tokenizer


def _bert() -> Tokenizer:
    return bert_tokenizer().backend_tokenizer


def _xlm_roberta() -> Tokenizer:
    return xlm_roberta_tokenizer().backend_tokenizer


KINDS: dict[str, Callable[[], Any]] = {
    "bert": _bert,
    "qwen3": _qwen3,
    "roberta": _roberta,
    "o200k": _o200k,
    "clip": _clip,
    "gemma": _gemma,
    "gemma with runs": _gemma_with_runs,
    "llama": _llama,
    "xlm-roberta": _xlm_roberta,
    "xlm-roberta with rules": _xlm_roberta_with_rules,
    "mbart": _mbart,
    "deberta": _deberta,
    "albert": _albert,
    "over blanks": _over_blanks,
    "words": _words,
}
