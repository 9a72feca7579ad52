"""An XLM-RoBERTa cross-encoder with random weights; its Unigram tokenizer knows the most frequent made-up words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipelines.speed.bench.words import CODAS, NUCLEI, ONSETS, SEED, frequent_words
from stages.speed.arithmetic import LayerShape

# Of BAAI/bge-reranker-v2-m3.
VOCABULARY, MAX_LENGTH = 250_002, 8_192
PADDING = 1  # positions begin behind it
WHOLE_WORDS = 6_000
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def write_cross_encoder(shape: LayerShape, folder: Path, *, published: bool) -> None:
    """One label, no token types, bfloat16, into a folder that is there; `published` has the vocabulary's real size, of
    which the ids beyond the made-up pieces are never asked for.
    """
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    tokenizer = _tokenizer()
    config: Any = XLMRobertaConfig(
        vocab_size=VOCABULARY if published else len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=MAX_LENGTH + PADDING + 1,
        type_vocab_size=1,
        initializer_range=0.05,
        num_labels=1,
        dtype="bfloat16",
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    XLMRobertaForSequenceClassification(config).to(torch.bfloat16).eval().save_pretrained(folder)
    torch.random.set_rng_state(state)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> Any:
    """Pieces as likely as words of a language are (Zipf's law): frequent words whole, others by syllable or letter."""
    from transformers import XLMRobertaTokenizer

    words = [f"\u2581{word}" for word in frequent_words(WHOLE_WORDS)]
    syllables = {onset + nucleus + coda for onset in ONSETS for nucleus in NUCLEI for coda in CODAS}
    letters = [chr(code) for code in range(33, 127)]
    pieces = dict.fromkeys([*words, "\u2581", *sorted(syllables), *letters])
    scored = [(piece, -math.log(10.0 * rank)) for rank, piece in enumerate(pieces, start=1)]
    vocabulary = [*((token, 0.0) for token in SPECIAL), *scored, ("<mask>", 0.0)]
    return XLMRobertaTokenizer(vocab=vocabulary, model_max_length=MAX_LENGTH)
