"""`rerank-eval data`: what files are, what they hold, and the section of a run config that reads them. Starts nothing,
writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from stages.core.errors import DataError
from stages.core.words import counted
from stages.sources.recognise import Finding, Section, check, count, recognise, section_of

SINGULAR = {
    "queries": "query",
    "candidates": "candidate",
    "documents": "document",
    "judged queries": "judged query",
    "judgements": "judgement",
}


def describe(paths: Sequence[Path]) -> tuple[list[Finding], Section]:
    """What each of the files is, and what reads them together. Raises DataError where one does not exist."""
    findings = [finding for path in paths for finding in recognise(path)]
    for finding in findings:
        count(finding)
    section = section_of(findings)
    check(section)
    return findings, section


def print_description(paths: Sequence[Path], *, as_json: bool) -> None:
    """Raises DataError where nothing of it can be read, after everything is said."""
    findings, section = describe(paths)
    if as_json:
        told: dict[str, Any] = {"files": [asdict(finding) for finding in findings], "section": asdict(section)}
        print(json.dumps(told, indent=2, ensure_ascii=False, default=str))
    elif section.data or len(findings) > 1:
        console = Console(highlight=False)
        for line in (*_files(findings), *_section(section)):
            console.print(escape(line), soft_wrap=True)
    if section.data is None:
        first = findings[0]
        raise DataError(f"{first.path}: {first.told}; {first.remedy}")


def _files(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"{finding.path}: {finding.told}"
        if finding.counts:
            yield "  holds     " + ", ".join(_counted(what, number) for what, number in finding.counts.items())
        if finding.set_aside:
            reasons = "; ".join(f"{number:,} x {reason}" for reason, number in finding.set_aside.items())
            yield f"  set aside {reasons}"
        for sentence in finding.unsure:
            yield f"  not sure  {sentence}"
        if finding.remedy:
            yield f"  not read  {finding.remedy}"


def _counted(what: str, number: int) -> str:
    if what == "longest list":
        return f"{number:,} in the longest list"
    return counted(number, SINGULAR[what], what)


def _section(section: Section) -> Iterator[str]:
    if section.data is None:
        return
    for sentence in section.unsure:
        yield f"not sure    {sentence}"
    yield ""
    if section.missing:
        keys = ", ".join(f"data.{name}" for name in section.missing)
        made = " data.first_stage: bm25 makes a run of the corpus." if "run" in section.missing else ""
        yield f"# Not whole yet: give the files of {keys} as well, here or in the config.{made}"
    yield from yaml.safe_dump({"data": section.data}, sort_keys=False, allow_unicode=True).splitlines()
