"""Whether two checkouts score alike: whole jobs over the same 5,000 pairs of each family, in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.speed.bench.models import make_model
from serve_app.settings import EMBEDDED_MODEL
from tests.measure.checkout import Side, job
from tests.measure.parts import Lab
from tests.tiny_models import make_tiny_cross_encoder, make_tiny_xlm_roberta

QUERIES = 100  # of 50 documents each
FLOAT32 = {"dtype": "float32", "compile": False}
# Random weights, but for the embedding model, which is the package's own: each is read by 0.1.0, too.
FAMILIES: Mapping[str, Callable[[Path], str]] = {
    "decoder": lambda _: str(make_model("tiny").folder),
    "cross-encoder": lambda folder: str(make_tiny_cross_encoder(folder)),
    "cross-encoder without token types": lambda folder: str(make_tiny_xlm_roberta(folder)),
    "embedding": lambda _: EMBEDDED_MODEL,
}


def compare_family(lab: Lab, old: Side, new: Side, family: str) -> None:
    """Both score the made-up texts of a benchmark; prints the largest difference of two values that rank a pair."""
    name = f"equal-{family.replace(' ', '-')}"
    path = lab.bench("tiny", QUERIES).config.data.path
    model = FAMILIES[family](lab.folder / f"{name}-model")
    for side in (old, new):
        sections = {
            "data": {"format": "jsonl", "path": path, "depth": None},
            "model": side.of_random_weights(model),
            "engine": FLOAT32,
        }
        lab.compare(name, job(side, lab.folder, f"{name}-{side.name}", sections).scores)
    pairs = len(lab.made[f"scores of {name}"])
    print(f"  {family}: {pairs:,} pairs, largest difference {lab.largest_difference[name]:.2g}", flush=True)
