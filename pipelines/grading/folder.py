"""A judging's folder: what lies where, and how it is read again.

judge.yaml      the config, every default spelled out
judge.json      all numbers: who judged what, what is missing, agreement, repeatability, cost, verdicts
qrels.tsv       a row for each pair with a grade: people's where they judged it, else the model's
grades.parquet  each pair that the judge was asked for, with its grade or why it has none
report.html     the same for people, with figures/
store/          replies, where judge.store names no folder
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.versions import check_version
from pipelines.judging.journal import write_whole
from stages.core.errors import DataError, first_line
from stages.core.grades import Graded, Reply
from stages.sources.formats.nested import read_any_qrels

JUDGING_VERSION = 1
PEOPLE = "people"
COLUMNS = "query-id\tcorpus-id\tscore\tjudged-by\tby-model\n"

SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("grade", pa.int64()),
        pa.field("missing", pa.string()),
        pa.field("probabilities", pa.list_(pa.float64())),
        pa.field("entropy", pa.float64()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("generated_tokens", pa.int64()),
        pa.field("truncated", pa.bool_()),
        pa.field("stored", pa.bool_()),
        pa.field("reply", pa.string()),
    ]
)
ROWS_AT_ONCE = 50_000
# What parts columns or lines, and blanks at the ends of an id, which whoever reads the file cuts away.
_UNREADABLE = re.compile(r"[\t\r\n]|^\s|\s$")


class Row(NamedTuple):
    """A pair that the judge was asked for, what it replied and what was read in that."""

    query_id: str
    doc_id: str
    reply: Reply
    graded: Graded


class JudgeFolder:
    """The paths in it. Open `pipelines.judging.journal.alone_with` its path while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "judge.yaml"
        self.content = path / "judge.json"
        self.qrels = path / "qrels.tsv"
        self.grades = path / "grades.parquet"
        self.report = path / "report.html"
        self.figures = path / "figures"
        self.store = path / "store"
        self.logs = path / "logs"
        self.scratch = path / ".pairs"
        self.mark = path / ".judging"

    def is_judging(self) -> bool:
        return self.content.is_file()

    def make(self, asked: Mapping[str, Any]) -> str:
        """The folder, for a judging of what is `asked`, or an earlier try at it. Returns a word of its own, the same
        for each try. Raises DataError where something else lies there, another judging that is finished, or it cannot
        be written.
        """
        try:
            told = json.loads(self.mark.read_text(encoding="utf-8")) if self.mark.is_file() else {}
            if not told:
                self._require_free()
            if self.is_judging() and told["asked"] != dict(asked):
                raise DataError(
                    f"--out {self.path} holds another judging ({_differing(told['asked'], asked)}): name another folder"
                )
            word = str(told.get("word") or secrets.token_hex(8))
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.mark, json.dumps({"word": word, "asked": dict(asked)}, ensure_ascii=False) + "\n")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"--out {self.path}: cannot be used ({first_line(error)}); choose another") from error
        return word

    def _require_free(self) -> None:
        if self.path.exists() and (not self.path.is_dir() or any(one.name != ".lock" for one in self.path.iterdir())):
            raise DataError(f"--out {self.path} is not empty: name a folder of its own for the judging")

    def write_json(self, content: Mapping[str, Any]) -> None:
        write_whole(self.content, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self) -> dict[str, Any]:
        """judge.json. Raises DataError where it is missing or no judging's."""
        try:
            content = json.loads(self.content.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not content.keys() >= {"judge", "counts", "runs"}:
                raise ValueError("it is no judge.json")
        except (OSError, ValueError) as error:
            raise DataError(f"{self.content}: cannot be read ({first_line(error)}). Judge again.") from error
        check_version(content.get("schema_version", 0), JUDGING_VERSION, str(self.content))
        return content

    def write_grades(self, rows: Iterable[Row]) -> None:
        """grades.parquet, in one step."""
        partial = self.grades.with_name(f".{self.grades.name}.partial")
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            waiting: list[dict[str, Any]] = []
            for row in rows:
                waiting.append(_told(row))
                if len(waiting) == ROWS_AT_ONCE:
                    writer.write_table(pa.Table.from_pylist(waiting, schema=SCHEMA))
                    waiting = []
            writer.write_table(pa.Table.from_pylist(waiting, schema=SCHEMA))
        os.replace(partial, self.grades)

    def read_grades(self) -> dict[str, dict[str, int]]:
        """Query id -> document id -> the judge's grade, of every pair that it gave one. Raises DataError."""
        try:
            rows = pq.read_table(self.grades, columns=["query_id", "doc_id", "grade"], partitioning=None).to_pylist()
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{self.grades}: cannot be read ({first_line(error)}). Judge again.") from error
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            if row["grade"] is not None:
                found.setdefault(row["query_id"], {})[row["doc_id"]] = row["grade"]
        return found

    def read_people(self) -> Mapping[str, Mapping[str, int]]:
        """Query id -> document id -> people's grade. Raises DataError."""
        return read_any_qrels(self.qrels, lambda _: None).by_people

    def write_qrels(
        self, judge: str, by_model: Mapping[str, Mapping[str, int]], by_people: Mapping[str, Mapping[str, int]]
    ) -> int:
        """A row for each pair that somebody graded; `judge` is NAME@DIGEST. Gives how many were left out, as their ids
        would be read as others.
        """
        lines, left_out = [COLUMNS], 0
        for query_id in sorted({*by_model, *by_people}):
            model, people = by_model.get(query_id, {}), by_people.get(query_id, {})
            for doc_id in sorted({*model, *people}):
                if _UNREADABLE.search(query_id) or _UNREADABLE.search(doc_id):
                    left_out += 1
                    continue
                who = PEOPLE if doc_id in people else f"model:{judge}"
                score = people.get(doc_id, model.get(doc_id))
                lines.append(f"{query_id}\t{doc_id}\t{score}\t{who}\t{model.get(doc_id, '')}\n")
        write_whole(self.qrels, "".join(lines))
        return left_out

    def clear(self) -> None:
        """What lay there while it was asked."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def _told(row: Row) -> dict[str, Any]:
    graded = row.graded
    return {
        "query_id": row.query_id,
        "doc_id": row.doc_id,
        "grade": graded.grade,
        "missing": graded.missing,
        "probabilities": list(graded.probabilities),
        "entropy": graded.entropy,
        "prompt_tokens": row.reply.prompt_tokens,
        "generated_tokens": row.reply.generated_tokens,
        "truncated": row.reply.truncated,
        "stored": graded.stored,
        "reply": row.reply.text,
    }


def _differing(told: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    names = [name for name in {**told, **asked} if told.get(name) != asked.get(name)]
    return f"another {', '.join(names)}"
