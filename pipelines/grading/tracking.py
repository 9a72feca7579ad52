"""A judging as a run in MLflow: who judged, how far it agrees with people, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.base.judge_config import JudgeConfig
from pipelines.grading.folder import JudgeFolder
from pipelines.tracking.find import log_finding
from stages.core.errors import TrackingError
from stages.core.judges import MODEL_PREFIX
from stages.core.words import key_name
from stages.grading.record import JudgeRecord, told
from stages.report.judge_report import judge_report
from stages.report.markdown import to_markdown


def log_judging(config: JudgeConfig, folder: JudgeFolder, record: JudgeRecord) -> None:
    """Under the folder's name. Raises TrackingError; nothing is logged where tracking.uri is null."""
    if config.tracking.uri is None:
        return
    judge = f"{record.judge.name}@{record.judge.digest}"
    files = (folder.content, folder.qrels, folder.grades, folder.report)
    try:
        log_finding(
            config.tracking.uri,
            config.tracking.experiment,
            f"judging-{folder.path.resolve().name}",
            "judging",
            params={
                "judge": judge,
                "mode": record.judge.mode,
                "prompt": record.judge.prompt,
                "depth": record.pool.depth,
                "runs": ", ".join(one.label for one in record.runs),
            },
            note=to_markdown(judge_report(told(record))),
            metrics=dict(metrics_of(record)),
            files=[file for file in files if file.is_file()],
            tags={**config.tracking.tags, "judged_by": f"model:{judge}"},
        )
    except TrackingError as error:
        raise TrackingError(
            f"{error} The judging is complete in {folder.path}; the same command logs it, and asks for nothing again."
        ) from error


def metrics_of(record: JudgeRecord) -> Iterator[tuple[str, float]]:
    """What is a number. A change that a model alone judged is marked so in its name."""
    counts, cost = record.counts, record.cost
    yield from {
        "judging/pairs": counts.pairs,
        "judging/graded": counts.graded,
        "judging/missing": counts.missing,
        "judging/by_people": counts.by_people,
        "judging/asked": cost.asked,
        "judging/prompt_tokens": cost.prompt_tokens,
        "judging/generated_tokens": cost.generated_tokens,
    }.items()
    if cost.money is not None:
        yield "judging/cost", cost.money
    if record.agreement is not None:
        for name in ("kappa", "kappa_binary", "kappa_weighted", "identical"):
            if (value := getattr(record.agreement, name).value) is not None:
                yield f"agreement/{name}", value
    if record.repeatability is not None and record.repeatability.identical.value is not None:
        yield "judging/repeated_identical", record.repeatability.identical.value
    several = len(record.verdicts) > len({one.metric for one in record.verdicts})
    for one in record.verdicts:
        place = f"{one.second}/" if several else ""
        mark = "" if one.method is not None else MODEL_PREFIX
        if one.value is not None:
            yield f"{mark}{place}delta/{key_name(one.metric)}", one.value
