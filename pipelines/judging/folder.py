"""A plan's folder: what lies where, and how it is read again.

plan.json        what was planned: metric, width, seed, population, the order of the draw, digests of the runs
drawn.parquet    the queries in that order, with the documents to judge, their texts, and both lists
judgements.jsonl the journal: each grade as it was given, each number as it was reached, the verdict
qrels.tsv        the judgements, in BEIR's three columns, made from the journal after each grade
tasks.jsonl      what is still to be judged, to be filled in elsewhere
verdict.json     once the number is reached
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.versions import check_version
from pipelines.judging.journal import write_whole
from stages.core.errors import DataError, first_line
from stages.judging.number import Aim
from stages.judging.precision import About

PLAN_VERSION = 1

DRAWN_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("texts", pa.list_(pa.large_string())),
        pa.field("known", pa.list_(pa.int64())),
        pa.field("before", pa.list_(pa.string())),
        pa.field("after", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, slots=True)
class DrawnQuery:
    """`doc_ids` is the pool in the order of the page, with `texts` (None: the run has none) and grades that were
    `known` before; `before` and `after` are what the metric sees of both lists.
    """

    query_id: str
    stratum: str
    query: str
    doc_ids: tuple[str, ...]
    texts: tuple[str | None, ...]
    known: tuple[int | None, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The content of plan.json. `population` queries are compared; of `unchanged` ones the metric sees the same in both
    orders. `sizes` are the strata of the others, `order` the draw from them. `first` queries are judged before the
    number is known, or as many as the spread `sd` asks for, which is from `sd_source`. Grades go from 0 to `highest`.
    """

    metric: str
    width: float
    confidence: float
    about: About
    seed: int
    pilot: int
    first: int
    sd: float | None
    sd_source: str
    before: str
    after: str
    pool: int
    highest: int
    population: int
    unchanged: int
    stratify: str | None
    sizes: Mapping[str, int]
    order: Sequence[str]
    runs: Sequence[Mapping[str, Any]]
    created: str
    remarks: Sequence[str] = field(default_factory=tuple)
    schema_version: int = PLAN_VERSION

    @property
    def aim(self) -> Aim:
        return Aim(self.width, self.confidence, self.about, self.pilot)


class PlanFolder:
    """The paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / "plan.json"
        self.drawn = path / "drawn.parquet"
        self.journal = path / "judgements.jsonl"
        self.qrels = path / "qrels.tsv"
        self.tasks = path / "tasks.jsonl"
        self.verdict = path / "verdict.json"

    def is_plan(self) -> bool:
        return self.plan.is_file()

    def create(self, plan: Plan, drawn: Sequence[DrawnQuery]) -> None:
        """All of it or nothing. Raises DataError where the folder is there, or cannot be written."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            self.require_free()
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            made = PlanFolder(partial)
            columns = {name: [getattr(one, name) for one in drawn] for name in DRAWN_SCHEMA.names}
            pq.write_table(pa.table(columns, schema=DRAWN_SCHEMA), made.drawn)
            write_whole(made.plan, json.dumps(asdict(plan), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            if self.path.is_dir():
                self.path.rmdir()
            os.replace(partial, self.path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"--out {self.path}: cannot be written ({first_line(error)}); choose another") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def require_free(self) -> None:
        """Raises DataError where something lies there already."""
        if self.is_plan():
            raise DataError(
                f"--out {self.path} holds a plan already: go on with it (plan-judging {self.path}), or "
                "name another folder"
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise DataError(f"--out {self.path} is not empty: name a folder of its own for the plan")

    def read_plan(self) -> Plan:
        """Raises DataError where plan.json is missing or cannot be read."""
        try:
            content = json.loads(self.plan.read_text(encoding="utf-8"))
            check_version(content.get("schema_version", 0), PLAN_VERSION, str(self.plan))
            return Plan(**content | {"about": About(content["about"])})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{self.plan}: cannot be read ({first_line(error)}); make a new plan") from error

    def read_drawn(self) -> list[DrawnQuery]:
        """Raises DataError where the file is missing or cannot be read."""
        try:
            rows = pq.read_table(self.drawn, partitioning=None).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.drawn}: cannot be read ({first_line(error)}); make a new plan") from error
        return [DrawnQuery(**_tuples(row)) for row in rows]


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
