"""What can come back from an engine instead of a score is told apart from one; no engine is needed."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.outputs import classified, failure
from serve_app.engine.prompts import Prompt
from serve_app.recipes.recipe import Score
from stages.core.records import PairScore
from stages.core.scoring import sigmoid


def output_of(*values: float) -> Any:
    return SimpleNamespace(outputs=SimpleNamespace(data=torch.tensor(values)), num_cached_tokens=3)


PROMPT = Prompt([1, 2, 3, 4], truncated=True)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (output_of(), "the request was aborted"),
        (output_of(math.nan), "not a finite number"),
        (output_of(math.inf), "not a finite number"),
        (output_of(0.5, 0.5), "the model gives 2 values for a pair; a reranker gives one"),
        ("the engine refused the prompt: too long", "the engine refused the prompt: too long"),
    ],
)
def test_what_is_no_score_is_a_failed_pair_with_its_reason(output: Any, reason: str) -> None:
    pair = classified(PROMPT, output, Score())
    assert pair.error is not None
    assert reason in pair.error
    assert (pair.score, pair.logit, pair.prompt_tokens, pair.truncated) == (None, None, 4, True)


def test_a_vector_that_is_not_there_or_not_finite_is_told() -> None:
    assert failure(output_of(1, 0)) is None
    assert failure("refused") == "refused"
    assert "aborted" in (failure(output_of()) or "")
    assert "not a finite number" in (failure(output_of(math.nan, 0)) or "")


def test_a_good_output_is_a_score_with_its_counts() -> None:
    pair = classified(PROMPT, output_of(0.0), Score())
    assert pair == PairScore(0.5, logit=0.0, prompt_tokens=4, cached_tokens=3, truncated=True)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=20))
def test_probabilities_are_ordered_as_their_logits_and_never_overflow(logits: list[float]) -> None:
    scores = [sigmoid(logit) for logit in sorted(logits)]
    assert all(0 <= score <= 1 for score in scores)
    assert all(low <= high for low, high in pairwise(scores))
