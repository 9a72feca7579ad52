"""`rerank-eval frontier`: read the runs, compute, print, leave files, and write the config of a point."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.frontier.costs import Asked, Costs, costs_of
from pipelines.frontier.inputs import Inputs, read_inputs
from pipelines.frontier.written import write_point
from pipelines.runs.report import check_form, show
from pipelines.verdict.runs import settings_of
from stages.analysis.depth import DEPTHS
from stages.core.errors import ConfigError
from stages.core.judges import NO_INTERVAL, mark_of_judgements
from stages.core.metrics import SCHEMA_VERSION
from stages.frontier.assemble import Wanted, frontier, point_told
from stages.frontier.gains import Gains
from stages.frontier.lists import lists_of
from stages.frontier.points import Study, letter, parse_point
from stages.report.by_model import marked
from stages.report.document import Document
from stages.report.frontier_report import frontier_document, point_words
from stages.report.html import write_html
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown

FORMS = ("terminal", "md", "latex", "json")
EVERY = "every"
# As deep as anybody reranks, with steps between.
GRID = tuple(sorted({*DEPTHS, 15, 30, 40, 75, 150, 300}))
ALPHAS = (0.01, 0.02, 0.05)
_SECONDS = re.compile(r"(?P<run>[A-Z])=(?P<seconds>.+)")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be computed, where it goes, and which point's config is written, if one is."""

    runs: Sequence[Path]
    metric: str | None = None
    depths: str | None = None
    alphas: Sequence[float] = ALPHAS
    cost: Asked = field(default_factory=Asked)
    seed: int | None = None
    out: Path = Path("frontiers")
    form: str = "terminal"
    write: Path | None = None
    point: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Everything read and refused that can be: what is left is to compute."""

    inputs: Inputs
    costs: Costs
    study: Study
    wanted: Wanted


def print_frontier(order: Order) -> None:
    """Raises DataError and ConfigError, in one line, where runs, options or the point cannot be used."""
    check_form(order.form, FORMS)
    if (order.write is None) != (order.point is None):
        raise ConfigError("--write FILE and --point ID belong together: which point, and where its config goes")
    read = read_order(order)
    if order.write is not None and order.point is not None:
        _write(read, order.write, order.point, as_json=order.form == "json")
        return
    content = compute(read)
    plain = ["Which runs?", "How to read this"]
    document = marked(frontier_document(content), content["mark"], plain, told=False)
    folder = write_frontier(content, document, order.out)
    if order.form == "json":
        print((folder / "frontier.json").read_text(encoding="utf-8"), end="")
        return
    show(document, order.form, None, folder / "frontier.html")
    print(f"\nfrontier    {folder}", file=sys.stdout if order.form == "terminal" else sys.stderr)


def read_order(order: Order) -> Read:
    """Raises as `print_frontier`."""
    if order.cost.per_hour is not None and order.cost.per_hour <= 0:
        raise ConfigError(f"--price-per-hour {order.cost.per_hour:g}: a price is more than 0")
    for alpha in order.alphas:
        if not 0 < alpha < 1:
            raise ConfigError(f"--alpha {alpha:g}: a loss to certify lies between 0 and 1, as 0.02")
    inputs = read_inputs(order.runs)
    metrics = _metrics(inputs, order.metric)
    lists, own = lists_of(inputs.queries), settings_of(inputs.runs)
    gains = Gains(metrics[0], lists, inputs.judgements)
    costs = costs_of(inputs, order.cost)
    study = Study(lists, gains, costs.costs, inputs.reach)
    seed = own.seed if order.seed is None else order.seed
    wanted = Wanted(metrics, parse_depths(order.depths, max(inputs.reach)), order.alphas, own.confidence, seed)
    return Read(inputs, costs, study, wanted)


def compute(read: Read) -> dict[str, Any]:
    """The content of frontier.json."""
    inputs = read.inputs
    content = frontier(read.study, inputs.judgements, read.wanted)
    runs = [
        {
            "letter": letter(place),
            "run_id": run.run_id,
            "model": run.metrics["model"]["name"],
            "depth": inputs.reach[place],
            "failed_pairs": run.metrics["coverage"]["failed_pairs"],
            "cost": read.costs.told[place],
        }
        for place, run in enumerate(inputs.runs)
    ]
    ids = "\n".join([*(run.run_id for run in inputs.runs), json.dumps(content["metrics"]), read.costs.unit])
    return {
        "schema_version": SCHEMA_VERSION,
        "frontier_id": f"frontier-{hashlib.sha256(ids.encode()).hexdigest()[:8]}",
        "unit": read.costs.unit,
        "mark": mark_of_judgements(inputs.judgements),
        "runs": runs,
        **content,
        "notes": [*read.costs.notes, *_notes(read)],
    }


def write_frontier(content: Mapping[str, Any], document: Document, out: Path) -> Path:
    """frontier.html, .md, .tex, .json and figures/, in a folder of their own. Raises ConfigError where it cannot."""
    folder = out / str(content["frontier_id"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_html(document, folder / "frontier.html", folder / "figures")
        texts = {"md": to_markdown(document), "tex": to_latex(document)}
        texts["json"] = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        for ending, text in texts.items():
            (folder / f"frontier.{ending}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror}). Choose another folder.") from error
    return folder


def parse_depths(given: str | None, reach: int) -> tuple[int, ...]:
    """`5,10,20`, or `every` one up to the reach. Raises ConfigError."""
    if given is None:
        return GRID
    if given.strip() == EVERY:
        return tuple(range(1, reach + 1))
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"--depths {given}: write whole numbers from 1 on, as 5,10,20, or {EVERY}")
    return tuple(sorted({int(part) for part in parts}))


def parse_seconds(given: Sequence[str]) -> dict[str, float]:
    """`A=3.5`, by letter. Raises ConfigError."""
    found: dict[str, float] = {}
    for one in given:
        parts = _SECONDS.fullmatch(one)
        try:
            seconds = float(parts["seconds"]) if parts else 0.0
        except ValueError:
            seconds = 0.0
        if parts is None or not 0 < seconds < float("inf"):
            raise ConfigError(f"--seconds-per-1000-pairs {one}: write a run's letter and its seconds, as A=3.5")
        found[parts["run"]] = seconds
    return found


def _metrics(inputs: Inputs, first: str | None) -> list[str]:
    """Those that every run has, the one that decides first."""
    shared = [
        name for name in inputs.runs[0].reranked.values if all(name in run.reranked.values for run in inputs.runs)
    ]
    if first is None:
        if not shared:
            raise ConfigError("the runs have no metric in common: name one with --metric")
        return shared
    return [first, *(name for name in shared if name != first)]


def _notes(read: Read) -> list[str]:
    """What to mind."""
    mark = mark_of_judgements(read.inputs.judgements)
    told = [f"all quality is {mark}: {NO_INTERVAL}"] if mark else []
    for place, run in enumerate(read.inputs.runs):
        if failed := run.metrics["coverage"]["failed_pairs"]:
            told.append(
                f"{failed:,} pairs of {letter(place)} failed and are taken to fail again: their documents stand behind "
                "those that were scored"
            )
    if len(set(read.inputs.reach)) > 1:
        deepest = min(read.inputs.reach)
        told.append(f"runs reach different depths: no cascade is told from deeper than {deepest}, where all scored")
    if not read.study.has_margins:
        told.append("the first stage gives no scores, so that it has no margin to skip queries by")
    if not read.study.gains.bounded:
        told.append(f"no depth is certified of {read.study.gains.name}: its loss is not between 0 and 1")
    return told


def _write(read: Read, file: Path, name: str, *, as_json: bool) -> None:
    point = parse_point(name, read.study)
    write_point(point, read.inputs.runs, file)
    told = point_told(read.study, read.inputs.judgements, read.wanted, point)
    mark = mark_of_judgements(read.inputs.judgements)
    if as_json:
        print(
            json.dumps(
                {"config": str(file), "unit": read.costs.unit, "mark": mark, **told}, indent=2, ensure_ascii=False
            )
        )
        return
    print(f"point       {point.name}: {point_words(told['steps'])}")
    quality = ", ".join(f"{metric} {value:.4f}" for metric, value in told["quality"].items())
    print(f"foretold    {quality}{f', {mark}' if mark else ''}; {told['cost']:.4g} {read.costs.unit}")
    print(f"config      {file}; run it: rerank-eval run --config {file}")
