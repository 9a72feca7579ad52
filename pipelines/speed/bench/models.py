"""Models for measurements, made on the spot: real architecture and tokenizer, random weights, the same every time.

Scores of random weights mean nothing, but they cost what real ones cost, and whoever computes them right for these
computes them right for others. Models of hundreds of millions of parameters get no weights on disk: the engine makes
them up (`load_format: dummy`).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.decoder import DecoderRecipe, fill
from stages.speed.arithmetic import QWEN3_RERANKERS, LayerShape

SEED = 20_250_605
# Layers of the models with weights: about 0.5, 5 and 75 million parameters. All have the same vocabulary. With nano the
# engine has next to nothing to compute: what feeds it is all that counts, as with a GPU's.
WITH_WEIGHTS = {
    "nano": LayerShape(1, 64, 192, 2, 1, 32),
    "tiny": LayerShape(4, 256, 768, 4, 2, 64),
    "small": LayerShape(6, 1024, 2560, 8, 4, 128),
}
VOCABULARY = 8_000
QWEN3_VOCABULARY = 151_669  # of the published rerankers
POSITIONS, QWEN3_POSITIONS = 4_096, 40_960
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|vision_start|>")
ADDED = ("<tool_call>", "</tool_call>", "<think>", "</think>")
MADE = (*WITH_WEIGHTS, *QWEN3_RERANKERS)
# Changes whenever what is made changes: an older folder is then made anew.
VERSION = 2

# Words that no language has, in the lengths and frequencies of one: what a tokenizer does with them is ordinary work.
WORDS, TEXT_WORDS = 20_000, 200_000
ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "st",
    "tr",
    "pl",
    "br",
    "gr",
    "sh",
    "ch",
]
NUCLEI = ["a", "e", "i", "o", "u", "a", "e", "o", "ai", "ea", "ou"]
CODAS = ["", "", "", "n", "r", "s", "t", "l", "nd", "st"]


@dataclass(frozen=True, slots=True)
class MadeModel:
    """A folder that the engine loads, and how."""

    folder: Path
    load_format: Literal["auto", "dummy"]


def make_model(name: str, cache_dir: Path | None = None) -> MadeModel:
    """One of MADE, in a folder that stays for the next time: compiled code is kept by the model's path.

    `cache_dir` is where, instead of the user's cache. Raises KeyError for another name.
    """
    shape = WITH_WEIGHTS.get(name) or QWEN3_RERANKERS[name]
    folder = (cache_dir or user_cache()) / f"{name}-{VERSION}"
    load_format: Literal["auto", "dummy"] = "auto" if name in WITH_WEIGHTS else "dummy"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        partial.chmod(0o755)
        try:
            _write(shape, partial, weights=load_format == "auto")
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # somebody else made it meanwhile
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return MadeModel(folder, load_format)


def user_cache() -> Path:
    """`~/.cache/rerank-eval/models`, or where $XDG_CACHE_HOME says."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "rerank-eval" / "models"


def _write(shape: LayerShape, folder: Path, *, weights: bool) -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    # The one file that tells a reranker from any other Qwen3.
    (folder / "README.md").write_text("# Qwen3-Reranker-made-up\n", encoding="utf-8")
    config: Any = Qwen3Config(
        vocab_size=VOCABULARY + 64 if weights else QWEN3_VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=POSITIONS if weights else QWEN3_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=0.05,
        eos_token_id=tokenizer.eos_token_id,
        dtype="bfloat16",
    )
    if not weights:
        config.architectures = ["Qwen3ForCausalLM"]
        config.save_pretrained(folder)
        return
    state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    Qwen3ForCausalLM(config).to(torch.bfloat16).eval().save_pretrained(folder)
    torch.random.set_rng_state(state)


def _tokenizer() -> Any:
    """Trained behind Qwen's own normalizer and pre-tokenizer; `yes` and `no` are one token each."""
    from tokenizers import AddedToken, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    learner: Any = Qwen2Tokenizer().backend_tokenizer
    learner.model = models.BPE()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=ByteLevel.alphabet(), show_progress=False, special_tokens=[]
    )
    learner.train_from_iterator(_texts(), trainer)
    learned = json.loads(learner.to_str())["model"]
    tokenizer = Qwen2Tokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED])
    return tokenizer


def _texts() -> Iterator[str]:
    """The template's words are learned too: in the real vocabulary each is one token, and it is in every prompt."""
    recipe = bundled_recipe("qwen3-reranker")
    assert isinstance(recipe, DecoderRecipe)
    values = {"instruction": recipe.instruction or "", "query": "", "document": ""}
    yield from [fill("".join((*recipe.prompt, "yes\nno\n")), values)] * 2_000
    source = random.Random(SEED)
    for _ in range(TEXT_WORDS // 200):
        yield " ".join(draw_words(source, 200))


def draw_words(source: random.Random, number: int) -> Sequence[str]:
    """So many words, frequent and rare ones as in a language."""
    words, cumulated = _lexicon()
    return source.choices(words, cum_weights=cumulated, k=number)


@cache
def _lexicon() -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Words, and their cumulated frequencies by Zipf's law: the r-th word occurs 1/r as often as the first."""
    source = random.Random(SEED)
    words: dict[str, None] = {}
    while len(words) < WORDS:
        # The more frequent a word the shorter it is, as in languages.
        syllables = 1 + min(3, int(source.expovariate(1.0) + len(words) / WORDS * 2))
        parts = (source.choice(ONSETS) + source.choice(NUCLEI) + source.choice(CODAS) for _ in range(syllables))
        words["".join(parts)] = None
    total, cumulated = 0.0, []
    for rank in range(1, WORDS + 1):
        total += 1 / rank
        cumulated.append(total)
    return tuple(words), tuple(cumulated)
