"""`rerank-eval report`, and the report.html of every run: a run folder -> its report, in any form."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, per_query_table, read_run_folder
from stages.core.errors import ConfigError, first_line
from stages.report.document import Document, figures
from stages.report.figures import save_png
from stages.report.html import write_html
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown
from stages.report.run.report import RunNumbers, run_document
from stages.report.terminal import print_document

FORMS = ("terminal", "md", "latex", "html", "json")


def write_report(folder: RunFolder) -> None:
    """report.html and figures/, from what else is in the folder."""
    write_html(run_report(read_run_folder(folder.path)), folder.report, folder.figures)


def try_report(folder: RunFolder) -> str | None:
    """`write_report` at the end of a job: whatever fails in it costs the page alone. Returns what to tell the user."""
    try:
        write_report(folder)
    except Exception as error:
        logging.getLogger("rerank_eval").exception("the report failed")
        return (
            f"{folder.report} could not be written ({first_line(error)}); the results are complete. "
            f"Try again: rerank-eval report {folder.path} --format html"
        )
    return None


def run_report(run: RunContent) -> Document:
    """The report of a finished run."""
    folder = run.folder
    timeline = pq.read_table(folder.timeline, partitioning=None).to_pylist() if folder.timeline.is_file() else []
    per_query = per_query_table(folder.per_query).to_pydict() if folder.per_query.is_file() else {}
    config = run.redacted_config
    return run_document(
        RunNumbers(
            metrics=run.metrics,
            analysis=run.analysis,
            timeline=timeline,
            per_query=per_query,
            environment=run.redacted_environment,
            config=config,
            config_text=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        )
    )


def print_report(run: RunContent, form: str, out: Path | None, page: Path) -> None:
    """A run's report, on the terminal or in a file; as HTML at `page` where `out` names none."""
    if form == "json":
        put(json.dumps({"metrics": run.metrics, "analysis": run.analysis}, indent=2, ensure_ascii=False) + "\n", out)
        return
    show(run_report(run), form, out, page)


def show(document: Document, form: str, out: Path | None, page: Path) -> None:
    """A document in one of FORMS; a page of HTML is a file in any case, `page` where `out` names none.

    Raises ConfigError where the file cannot be written.
    """
    if form == "html":
        target = out or page
        try:
            write_html(document, target, target.parent / "figures")
        except OSError as error:
            raise ConfigError(f"--out {target}: cannot be written ({error.strerror})") from error
        print(target)
    elif form == "terminal" and out is None:
        print_document(document)
    else:
        put(to_latex(document) if form == "latex" else to_markdown(document), out)
        if out is not None:
            _draw(document, out.parent / "figures")


def _draw(document: Document, folder: Path) -> None:
    """The figures that Markdown and LaTeX refer to, beside them."""
    drawn = figures(document)
    if drawn:
        folder.mkdir(exist_ok=True)
    for figure in drawn:
        save_png(figure.draw(), folder / f"{figure.name}.png")


def check_form(form: str, choices: tuple[str, ...]) -> None:
    if form not in choices:
        raise ConfigError(f"--format {form}: choose from {', '.join(choices)}")


def put(text: str, out: Path | None) -> None:
    """To the file, or the terminal. Raises ConfigError where the file cannot be written."""
    if out is None:
        print(text, end="")
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror})") from error
