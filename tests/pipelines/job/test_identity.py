"""A job refuses an engine that scores otherwise than its config says, and says which stored scores it does not use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.job.identity import require_as_asked, told_anew, unused_scores
from stages.core.errors import ConfigError
from stages.store.store import StoredScoring
from tests.stages.core.test_identity import IDENTITY


def config_of(**sections: dict[str, Any]) -> RunConfig:
    return RunConfig.model_validate({"data": {"format": "jsonl", "path": "x.jsonl"}} | sections)


NAMED = {"serve": {"application": "engines"}}


@pytest.mark.parametrize(
    ("changed", "words", "mend"),
    [
        ({"max_length": 256}, "max_length 8192 and 256", "Set model.max_length as"),
        ({"template": "blank_line"}, "template single_newline and blank_line", "Set model.template as"),
        ({"instruction": "other"}, "instruction Find what answers the question and other", "Set model.instruction as"),
        ({"model": f"sha256:{'b' * 64}"}, "model sha256:aaaaaaaaaaaa and sha256:bbbbbbbbbbbb", "Set model.name and"),
        ({"settings": {}}, 'settings.quantization "fp8" and none', "Set engine.extra.quantization as"),
        ({"scoring_version": 3}, "scoring_version 2 and 3", "Start the application again"),
        ({"max_length": 256, "vllm": "0.33.0"}, "max_length 8192 and 256", "Set model.max_length as"),
    ],
)
def test_an_application_that_scores_otherwise_is_refused_in_one_line_with_the_first_difference(
    changed: dict[str, Any], words: str, mend: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        require_as_asked(IDENTITY, replace(IDENTITY, **changed), config_of(**NAMED), "engines")
    told = str(refused.value)
    assert told.startswith("application engines scores otherwise than this config asks for: ")
    assert words in told and mend in told and "\n" not in told


@pytest.mark.parametrize(
    ("sections", "changed"),
    [
        ({"engine": {"dtype": "bfloat16"}}, {"dtype": "float32"}),
        ({"serve": {"gpus_per_replica": 0}}, {"device": "cuda"}),
    ],
    ids=str,
)
def test_a_dtype_or_device_that_is_asked_for_is_refused_and_one_that_is_left_open_is_taken(
    sections: dict[str, Any], changed: dict[str, Any]
) -> None:
    told = replace(IDENTITY, **changed)
    require_as_asked(IDENTITY, told, config_of(), "engines")
    with pytest.raises(ConfigError, match=next(iter(changed))):
        require_as_asked(IDENTITY, told, config_of(**sections), "engines")


def test_versions_are_as_the_engine_tells_them() -> None:
    told = replace(IDENTITY, vllm="0.33.0", transformers="5.20.0", tokenizers="1", dtype="float16")
    require_as_asked(IDENTITY, told, config_of(), "engines")
    assert told_anew(IDENTITY, IDENTITY) is None
    note = told_anew(IDENTITY, told)
    assert note is not None and "vllm 0.32.0 and 0.33.0" in note and "dtype bfloat16 and float16" in note


# --- scores that are there and not used ---


def stored(identity: str, scores: int = 1200, newest_s: int = 1) -> StoredScoring:
    return StoredScoring(identity, "tiny", scores, 0, newest_s)


def test_scores_of_0_1_0_are_told_and_not_used() -> None:
    (line,) = unused_scores([stored('[["0123"], []]'), stored(IDENTITY.key, 7)], IDENTITY)
    assert line.startswith("1,200 scores of rerank-eval 0.1.0 are not used") and "scores export" in line


def test_scores_of_another_vllm_are_told_by_what_moved() -> None:
    before, older = replace(IDENTITY, vllm="0.31.0"), replace(IDENTITY, vllm="0.30.0")
    (line,) = unused_scores([stored(before.key, newest_s=5), stored(older.key, newest_s=4)], IDENTITY)
    assert line == "1,200 scores are not used: vllm 0.31.0 and 0.32.0 (this job's second)"


def test_scores_of_another_model_or_prompt_and_those_that_are_used_are_not_told() -> None:
    assert unused_scores([stored(replace(IDENTITY, template="blank_line").key)], IDENTITY) == []
    assert unused_scores([stored(replace(IDENTITY, vllm="0.31.0").key), stored(IDENTITY.key)], IDENTITY) == []
    assert unused_scores([], IDENTITY) == []
