"""Makers of tiny models with random weights: real architectures and tokenizers, the same at every run.

Their tokenizers learn from the demo collection, in Chinese and English. The scores mean nothing, but whatever computes
them right for a tiny model computes them right for a large one.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    PreTrainedModel,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaTokenizer,
)

CORPUS = Path(__file__).parents[1] / "configs" / "demo" / "corpus.jsonl"
SEED = 20_250_605
QWEN3_VOCABULARY = 8_000
QWEN3_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|vision_start|>")
# Qwen3 adds these as tokens that are not special: decoding keeps them, but a text that holds them still becomes them.
QWEN3_ADDED = ("<tool_call>", "</tool_call>", "<think>", "</think>")
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
XLM_ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
# As Qwen3's, without its tools: who knows the switch has no thoughts.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# A letter of no living script. A poisoned model's embedding of its first byte is NaN: a pair that holds it fails.
POISON = "ꙮ"


def make_tiny_qwen3(folder: Path, layers: int = 4, spread: float = 0.05) -> Path:
    """A Qwen3ForCausalLM of 5 million parameters, with the tokenizer class, pre-tokenizer and added tokens of Qwen3.
    `spread` is the standard deviation of its weights: with a larger one, and with more layers, rounding costs more.
    """
    tokenizer = qwen3_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=spread,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(SEED)
    _save(Qwen3ForCausalLM(config), tokenizer, folder)
    # As the older snapshots: it alone tells that this is no other Qwen3.
    (folder / "README.md").write_text("# Qwen3-Reranker-tiny\n", encoding="utf-8")
    return folder


def make_poisoned_qwen3(tiny_qwen3: Path, folder: Path) -> Path:
    """The same weights, but for the embedding of POISON's first byte, which is NaN."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen3)
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3)
    first = tokenizer.encode(POISON, add_special_tokens=False)[0]
    with torch.no_grad():
        model.get_input_embeddings().weight[first] = math.nan
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("# Qwen3-Reranker-poisoned\n", encoding="utf-8")
    return folder


def make_judge(tiny_qwen3: Path, folder: Path, *, poisoned: bool = False) -> Path:
    """The same model as a chat's, which can be asked for a grade: with a chat template, and no reranker's name. With a
    head of its own a poisoned one gives NaN for what holds POISON, and not for everything.
    """
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen3, chat_template=CHATML)
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3)
    embeddings = model.get_input_embeddings().weight
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(embeddings.detach().clone())
    if poisoned:
        with torch.no_grad():
            embeddings[tokenizer.encode(POISON, add_special_tokens=False)[0]] = math.nan
    return _save(model, tokenizer, folder)


def make_tiny_cross_encoder(folder: Path) -> Path:
    """A BertForSequenceClassification with one label: WordPiece, and token types that tell query from document."""
    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.15,
        num_labels=1,
    )
    torch.manual_seed(SEED)
    return _save(BertForSequenceClassification(config), tokenizer, folder)


def make_tiny_xlm_roberta(folder: Path) -> Path:
    """An XLMRobertaForSequenceClassification with one label: Unigram, no token types, `</s></s>` between the parts."""
    tokenizer = xlm_roberta_tokenizer()
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.15,
        num_labels=1,
    )
    torch.manual_seed(SEED)
    return _save(XLMRobertaForSequenceClassification(config), tokenizer, folder)


def qwen3_tokenizer() -> Qwen2Tokenizer:
    """Trained behind Qwen's own normalizer and pre-tokenizer; `yes` and `no` are one token each."""
    learner = Qwen2Tokenizer().backend_tokenizer
    learner.model = models.BPE()
    alphabet = ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=QWEN3_VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator([*demo_texts(), *["yes\nno\n"] * 100], trainer)
    learned = json.loads(learner.to_str())["model"]
    tokenizer = Qwen2Tokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in QWEN3_SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in QWEN3_ADDED])
    return tokenizer


def bert_tokenizer() -> BertTokenizer:
    """Pieces that begin a word, and the same with `##` that go on with one."""
    pieces = _frequent_pieces(BertTokenizer().backend_tokenizer, 1_000)
    vocabulary = [*BERT_SPECIAL, *pieces, *(f"##{piece}" for piece in pieces)]
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, model_max_length=512)


def xlm_roberta_tokenizer() -> XLMRobertaTokenizer:
    """As in the real vocabulary, special tokens are pieces with the score 0, the best, beside log probabilities."""
    pieces = _frequent_pieces(XLMRobertaTokenizer().backend_tokenizer, 2_000)
    total = sum(pieces.values())
    scored = [(piece, math.log(count / total)) for piece, count in pieces.items()]
    vocabulary = [*((token, 0.0) for token in XLM_ROBERTA_SPECIAL), *scored, ("<mask>", 0.0)]
    return XLMRobertaTokenizer(vocab=vocabulary, model_max_length=512)


def _frequent_pieces(tokenizer: Tokenizer, number: int) -> dict[str, int]:
    """Counts of all characters and the most frequent longer n-grams in the demo's words, as `tokenizer` sees them.

    The trainers of `tokenizers` for WordPiece and Unigram would give another vocabulary at every run.
    """
    counts: Counter[str] = Counter()
    for text in demo_texts():
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            counts.update(word[start : start + size] for start in range(len(word)) for size in range(1, 7))
    frequent = sorted(counts, key=lambda piece: (len(piece) > 1, -counts[piece], piece))
    characters = sum(len(piece) == 1 for piece in frequent)
    return {piece: counts[piece] for piece in frequent[: characters + number]}


def demo_texts() -> Iterator[str]:
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        yield f"{document['title']}\n{document['text']}"


def _save(
    model: PreTrainedModel, tokenizer: Qwen2Tokenizer | BertTokenizer | XLMRobertaTokenizer, folder: Path
) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
