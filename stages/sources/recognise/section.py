"""The `data` section of a run config that reads what was recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.sources.recognise.finding import Finding

FILES = ("queries", "documents", "qrels")
"""The roles of files beside runs, which are the keys of `data` that name them."""


@dataclass(slots=True)
class Section:
    """`data` is None where nothing can be reranked; `missing` are the keys that it still needs."""

    data: dict[str, object] | None
    missing: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)


def section_of(findings: Sequence[Finding]) -> Section:
    """Rows by themselves, with judgements beside them; else the files of a collection."""
    for role in ("rows", "collection"):
        if found := [finding for finding in findings if finding.role == role]:
            return _of_one(found, findings)
    if any(finding.role != "other" for finding in findings):
        return _of_collection(Section({"format": "trec"}), findings, needed=("run", *FILES))
    return Section(None)


def _of_one(found: Sequence[Finding], findings: Sequence[Finding]) -> Section:
    one = found[0]
    path = str(Path(one.path).parent) if len(found) > 1 and _are_shards(found) else one.path
    section = Section({"format": one.data["format"], "path": path, **one.data})
    if len(found) > 1 and path == one.path:
        rest = ", ".join(finding.path for finding in found[1:])
        section.unsure.append(f"a run reads one of these, here the first; not {rest:.200}")
    if one.role == "collection":
        return _of_collection(section, findings, needed=("run",) if one.data["format"] == "beir" else ())
    unused = [finding.path for finding in findings if finding.role in ("run", "queries", "documents")]
    if unused:
        section.unsure.append(f"the rows hold all but judgements; not used: {', '.join(unused):.200}")
    if qrels := _paths(findings, "qrels", section):
        section.data = {**(section.data or {}), "qrels": qrels[0]}
    return section


def _are_shards(found: Sequence[Finding]) -> bool:
    """Whether they are rows of one kind in one folder, which is read as a whole."""
    folder = Path(found[0].path).parent
    alike = all(finding.data == found[0].data and finding.told == found[0].told for finding in found)
    return alike and {Path(finding.path) for finding in found} == set(folder.iterdir())


def _of_collection(section: Section, findings: Sequence[Finding], needed: Sequence[str]) -> Section:
    data = section.data or {}
    runs = [finding for finding in findings if finding.role == "run"]
    if len(runs) == 1:
        data["run"] = runs[0].path
    elif runs:
        data["runs"] = _named(runs)
    for role in FILES:
        if paths := _paths(findings, role, section):
            data[role] = paths[0]
    columns = [run.data["run_columns"] for run in runs if "run_columns" in run.data]
    if columns:
        data["run_columns"] = columns[0]
    if columns and len({str(run.data.get("run_columns")) for run in runs}) > 1:
        section.unsure.append("the runs have different columns; a run config reads runs of the same")
    section.data = data
    section.missing = [name for name in needed if name not in data and not (name == "run" and runs)]
    return section


def _paths(findings: Sequence[Finding], role: str, section: Section) -> list[str]:
    paths = [finding.path for finding in findings if finding.role == role]
    if len(paths) > 1:
        section.unsure.append(f"several files could be data.{role}: {', '.join(paths):.200}; the first is taken")
    return paths


def _named(runs: Sequence[Finding]) -> dict[str, str]:
    names = [Path(run.path).name.split(".")[0] for run in runs]
    if len(set(names)) < len(names):
        names = [f"run{number}" for number in range(1, len(runs) + 1)]
    return {name: run.path for name, run in zip(names, runs, strict=True)}
