"""`rerank-eval compare`: find the runs, compare them, print, leave files, and log the comparison to MLflow."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.base.logs import libraries_log_to
from pipelines.runs.read import RunContent
from pipelines.runs.report import check_form, show
from pipelines.tracking.find import find_run, log_comparison, logged_id
from pipelines.verdict.runs import Allowed, Comparison, compare_runs
from stages.core.errors import ConfigError, TrackingError
from stages.core.judges import MODEL_PREFIX, mark_of
from stages.judging.second_opinion import ModelVerdict
from stages.quality.evaluate import metric_key
from stages.quality.regression import MIN_QUERIES
from stages.quality.slices import Slice
from stages.report.by_model import marked
from stages.report.comparison_report import OF_NO_JUDGEMENT, Compared, comparison_document
from stages.report.document import Document
from stages.report.html import write_html
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown

FORMS = ("terminal", "md", "latex", "json")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a comparison is to do besides comparing: where it leaves its files, what the terminal shows, where it is
    logged.
    """

    out: Path
    form: str
    uri: str | None
    tracked: bool


def print_comparison(references: Sequence[str], metrics: Sequence[str], allowed: Allowed, wanted: Wanted) -> None:
    """Raises DataError where runs cannot be found or compared, TrackingError (exit 4) once all is on disk."""
    check_form(wanted.form, FORMS)
    with tempfile.TemporaryDirectory(prefix="rerank-eval-compare-") as fetched:
        with libraries_log_to(Path(fetched, "logs")):
            runs = [find_run(reference, wanted.uri, Path(fetched)) for reference in references]
        found = compare_runs(runs, metrics=metrics, allowed=allowed)
        document = marked(comparison_document(as_compared(found)), found.mark, plain=OF_NO_JUDGEMENT)
        folder = write_comparison(found, document, wanted.out)
        if wanted.form == "json":
            print((folder / "comparison.json").read_text(encoding="utf-8"), end="")
        else:
            show(document, wanted.form, None, folder / "comparison.html")
            # Markdown and LaTeX go on into a file: stdout is theirs alone.
            print(f"\ncomparison  {folder}", file=sys.stdout if wanted.form == "terminal" else sys.stderr)
        if wanted.tracked and wanted.uri:
            with libraries_log_to(Path(fetched, "logs")):
                _log(found, folder, wanted.uri)


def comparison_id(found: Comparison) -> str:
    """The same for the same runs in the same order: comparing them again replaces the first try."""
    ids = "\n".join([*(run.run_id for run in found.runs.values()), *found.metrics])
    return f"comparison-{hashlib.sha256(ids.encode()).hexdigest()[:8]}"


def numbers(found: Comparison) -> dict[str, Any]:
    """The content of comparison.json."""
    return {
        "comparison_id": comparison_id(found),
        "baseline": found.baseline,
        "runs": {label: run.run_id for label, run in found.runs.items()},
        "queries": found.queries,
        "metrics": list(found.metrics),
        "differing": {name: list(values) for name, values in found.differing.items()},
        "notes": list(found.notes),
        "mark": found.mark,
        "marks": {label: mark_of(run.metrics) for label, run in found.runs.items()},
        "harm": {label: run.metrics.get("harm") for label, run in found.runs.items()},
        "tested": [
            {"system": one.system, "metric": one.metric, "corrected_p": one.corrected_p, "words": one.words}
            | asdict(one.difference)
            for one in found.tested
        ],
        "inference": [
            {"system": system, "metric": metric} | asdict(one) for (system, metric), one in found.inference.items()
        ],
        "unjudged": [
            {"system": system, "metric": metric, "share": one.share} | asdict(one)
            for (system, metric), one in found.unjudged.items()
        ],
        "slices": [_slice(one) for one in found.slices],
    }


def _slice(found: Slice) -> dict[str, Any]:
    """`tested` is empty where there are too few queries; `means` by run, the baseline's under an empty name."""
    tested = [
        {"system": one.system, "metric": one.metric, "corrected_p": one.corrected_p, "words": one.words}
        | asdict(one.difference)
        for one in found.tested
    ]
    means = {system: dict(of_system) for system, of_system in found.means.items()}
    told = {"name": found.name, "queries": found.queries, "needed": MIN_QUERIES}
    return told | {"means": means, "tested": tested}


def as_compared(found: Comparison) -> Compared:
    """In the plain form that the report is made from."""
    return Compared(
        content=numbers(found),
        run_metrics={label: run.metrics for label, run in found.runs.items()},
        costs={label: dict(run.analysis.get("cost") or {}) for label, run in found.runs.items()},
        harms={label: _harm(run) for label, run in found.runs.items()},
    )


def _harm(run: RunContent) -> dict[str, Any]:
    return {name: run.analysis.get(name) for name in ("changes", "harm", "useless")}


def write_comparison(found: Comparison, document: Document, out: Path) -> Path:
    """comparison.html, .md, .tex, .json and figures/, in a folder of their own. Raises ConfigError where it cannot."""
    folder = out / comparison_id(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_html(document, folder / "comparison.html", folder / "figures")
        texts = {"md": to_markdown(document), "tex": to_latex(document)}
        texts["json"] = json.dumps(numbers(found), indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
        for ending, text in texts.items():
            (folder / f"comparison.{ending}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror}). Choose another folder.") from error
    return folder


def _log(found: Comparison, folder: Path, uri: str) -> None:
    """A run in the baseline's experiment that links to those of the runs that MLflow knows."""
    experiment = str(found.runs[found.baseline].config.get("tracking", {}).get("experiment") or "rerank-eval")
    try:
        links = {run.run_id: known for run in found.runs.values() if (known := logged_id(uri, run.run_id))}
        log_comparison(
            uri,
            experiment,
            comparison_id(found),
            params=_params(found),
            tags={"baseline": found.runs[found.baseline].run_id, "mlflow.note.content": _note(found), **_judged(found)},
            metrics=_metrics(found),
            files=sorted(path for path in folder.iterdir()),
            links=links,
        )
    except TrackingError as error:
        raise TrackingError(
            f"{error} The comparison is complete in {folder}; the same command logs it later."
        ) from error


def _judged(found: Comparison) -> dict[str, str]:
    """As a run's tag; `several` where the runs were not judged by the same."""
    judged = [run.metrics.get("judgements") for run in found.runs.values()]
    told = {one.get("by", "people") if one else "people" for one in judged}
    return {"judged_by": told.pop() if len(told) == 1 else "several"}


def _params(found: Comparison) -> dict[str, Any]:
    return {name: " | ".join(map(str, values)) for name, values in found.differing.items()} | {
        "runs": ", ".join(f"{label} = {run.run_id}" for label, run in found.runs.items()),
        "queries": found.queries,
    }


def _metrics(found: Comparison) -> dict[str, float]:
    """Of each system and metric, under the names that a run's own change has; with a single system without its name."""
    several = len(found.runs) > 2
    named: dict[str, float] = {}
    for one in found.tested:
        place, key = f"{one.system}/" if several else "", metric_key(one.metric)
        values: Mapping[str, float | None] = {
            f"delta/{key}": one.difference.difference,
            f"significance/{key}_p": one.corrected_p,
            f"significance/{key}_ci_low": one.difference.interval.low if one.difference.interval else None,
            f"significance/{key}_ci_high": one.difference.interval.high if one.difference.interval else None,
        }
        mark = MODEL_PREFIX if found.mark else ""
        named |= {mark + place + name: value for name, value in values.items() if value is not None}
        if (opinion := found.inference.get((one.system, one.metric))) is not None:
            named |= _inferred(f"inference/{place}{key}/delta", opinion)
    return named


def _inferred(name: str, found: ModelVerdict) -> dict[str, float]:
    """What people's grades tell."""
    if found.change.mean is None or found.change.interval is None:
        return {}
    low, high = found.change.interval
    return {f"{name}/mean": found.change.mean, f"{name}/low": low, f"{name}/high": high}


def _note(found: Comparison) -> str:
    return "\n".join([f"Against {found.baseline}:", *(f"- {one.system}: {one.words}" for one in found.tested)])
