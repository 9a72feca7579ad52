"""What a config says of answers belongs together, or is refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.base.config import RunConfig, validated
from stages.core.errors import ConfigError

DATA = {"format": "jsonl", "path": "rows.jsonl"}
MAPPED = DATA | {"columns": {"answers": "gold"}}


def config(**sections: Any) -> RunConfig:
    return validated(RunConfig, {"data": DATA} | sections, "config")


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"answers": {"match": "regex"}}, "answers: there are none to judge by. Set data.columns.answers"),
        ({"evaluate": {"metrics": ["answer_recall@5"]}}, "Set data.columns.answers, or take hit_rate@k"),
        (
            {"data": MAPPED | {"judgements": "qrels"}, "evaluate": {"metrics": ["answer_recall@tokens=5"]}},
            "Set data.judgements: answers, or take hit_rate@k",
        ),
        ({"data": MAPPED, "answers": {"match": "fuzzy"}}, "answers.match: Input should be 'tokens' or 'regex'"),
    ],
)
def test_what_does_not_belong_together_is_refused(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(**sections)
    assert told in str(error.value)


def test_metrics_of_answers_are_gated_by_their_names() -> None:
    metrics = ["ndcg@10", "answer_recall@20", "answer_recall@tokens=2000"]
    made = config(
        data=MAPPED,
        evaluate={"metrics": metrics},
        gate={"max_drop": {"answer_recall@tokens=2000": 0.01}, "min": {"answer_recall_at_20": 0.5}},
    )
    assert made.evaluate.metrics == tuple(metrics)
