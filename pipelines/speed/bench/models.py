"""Models for measurements, made on the spot: real architecture and tokenizer, random weights, the same every time.

Scores of random weights mean nothing, but they cost what real ones cost, and whoever computes them right for these
computes them right for others. Models of hundreds of millions of parameters get no weights on disk: the engine makes
them up (`load_format: dummy`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.speed.bench.made_cross_encoder import write_cross_encoder
from pipelines.speed.bench.made_decoder import write_decoder
from stages.speed.arithmetic import QWEN3_RERANKERS, LayerShape

# Layers of the models with weights: about 0.5, 5 and 75 million parameters. All have the same vocabulary. With nano the
# engine has next to nothing to compute: what feeds it is all that counts, as with a GPU's.
WITH_WEIGHTS = {
    "nano": LayerShape(1, 64, 192, 2, 1, 32),
    "tiny": LayerShape(4, 256, 768, 4, 2, 64),
    "small": LayerShape(6, 1024, 2560, 8, 4, 128),
}
# XLM-RoBERTa. The second has all 568 million weights of BAAI/bge-reranker-v2-m3 on disk (1.1 GB), since
# sentence-transformers makes none up.
CROSS_ENCODERS = {
    "tiny-cross-encoder": LayerShape(4, 256, 768, 4, 4, 64, feed_forward=2, causal=False),
    "bge-reranker-v2-m3": LayerShape(24, 1024, 4096, 16, 16, 64, feed_forward=2, causal=False),
}
MADE = (*WITH_WEIGHTS, *CROSS_ENCODERS, *QWEN3_RERANKERS)
# Changes whenever what is made changes: an older folder is then made anew.
VERSION = 2


@dataclass(frozen=True, slots=True)
class MadeModel:
    """A folder that the engine loads, and how."""

    folder: Path
    load_format: Literal["auto", "dummy"]


def make_model(name: str, cache_dir: Path | None = None) -> MadeModel:
    """One of MADE, in a folder that stays for the next time: compiled code is kept by the model's path.

    `cache_dir` is where, instead of the user's cache. Raises KeyError for another name.
    """
    load_format: Literal["auto", "dummy"] = "dummy" if name in QWEN3_RERANKERS else "auto"
    folder = (cache_dir or user_cache()) / f"{name}-{VERSION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        partial.chmod(0o755)
        try:
            _write(name, partial)
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


def _write(name: str, folder: Path) -> None:
    if name in CROSS_ENCODERS:
        write_cross_encoder(CROSS_ENCODERS[name], folder, published=name.startswith("bge"))
    elif name in WITH_WEIGHTS:
        write_decoder(WITH_WEIGHTS[name], folder, weights=True)
    else:
        write_decoder(QWEN3_RERANKERS[name], folder, weights=False)
