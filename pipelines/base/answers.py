"""Do the sections of a config that are about answers belong together?"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.base.sections import AnswersSettings
from stages.quality.measures import parse_metric
from stages.sources import DataSettings
from stages.sources.settings import ANSWERS


def check_answers(data: DataSettings, answers: AnswersSettings, metrics: Sequence[str]) -> None:
    """Raises ValueError where what judges by answers is set, and there are none to judge by."""
    if ANSWERS not in data.columns and answers != AnswersSettings():
        raise ValueError("answers: there are none to judge by. Set data.columns.answers, or remove the section")
    of_answers = [name for name in metrics if parse_metric(name).of_answers]
    if of_answers and not data.by_answers:
        chosen = "data.judgements: answers" if ANSWERS in data.columns else "data.columns.answers"
        raise ValueError(
            f"evaluate.metrics: {of_answers[0]} is of judgements from answers. Set {chosen}, or take hit_rate@k"
        )
