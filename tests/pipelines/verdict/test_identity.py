"""Whether two runs were scored alike, and in what not, is told beside what they came to."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.verdict.rules import Limits, judge
from pipelines.verdict.runs import compare_runs
from stages.core.identity import ScoringIdentity
from tests.pipelines.finished_runs import finished_run
from tests.stages.core.test_identity import IDENTITY


def told(identity: ScoringIdentity) -> dict[str, Any]:
    return asdict(identity) | {"digest": identity.digest}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vllm": "0.33.0"}, "vllm 0.32.0 and 0.33.0"),
        ({"dtype": "float32", "device": "cuda"}, "device cpu and cuda, dtype bfloat16 and float32"),
        ({"settings": {}}, 'settings.quantization "fp8" and none'),
        ({"model": f"sha256:{'b' * 64}"}, "model sha256:aaaaaaaaaaaa and sha256:bbbbbbbbbbbb"),
    ],
)
def test_compare_and_gate_say_in_which_field_the_scores_were_not_made_alike(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    one = finished_run(tmp_path / "a", [0.5, 0.5, 0.4], identity=told(IDENTITY))
    other = finished_run(tmp_path / "b", [0.5, 0.6, 0.3], identity=told(replace(IDENTITY, **changed)))
    expected = f"the scores of a and b were not made alike: {words}"
    assert list(compare_runs([one, other]).notes) == [expected]
    assert expected in judge(other, one, Limits({"ndcg@10": 0.1}, {}, {})).notes


def test_runs_that_were_scored_alike_say_nothing_nor_do_two_that_cannot_tell(tmp_path: Path) -> None:
    one, other = (finished_run(tmp_path / name, [0.5, 0.5], identity=told(IDENTITY)) for name in "ab")
    assert list(compare_runs([one, other]).notes) == []
    old, older = (finished_run(tmp_path / name, [0.5, 0.5]) for name in "cd")
    assert list(compare_runs([old, older]).notes) == []
    assert list(compare_runs([old, one]).notes) == [
        "c does not tell what decided its scores: it is not known in what it differs there"
    ]
