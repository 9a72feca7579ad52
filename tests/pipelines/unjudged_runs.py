"""Finished runs without judgements, made by hand, and somebody who judges: what plan-judging begins with."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from stages.core.records import Candidates, Ranking
from stages.files.rankings import rankings_table, write_trec_run
from stages.files.tables import write_candidates
from tests.pipelines.finished_runs import finished_run

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> & </textarea>"


def unjudged_run(
    path: Path,
    queries: int = 40,
    documents: int = 12,
    *,
    same: int = 5,
    seed: int = 0,
    text: str = "{}",
    fields: Mapping[str, Sequence[str]] | None = None,
) -> RunContent:
    """Queries q000 ..., each with documents of its own in first-stage order d00 ...; reranked at random, but for the
    `same` first ones, whose order stays. `text` is that of each document, around its id; `fields` are further columns
    of the queries.
    """
    finished_run(path, [0.5])
    folder = RunFolder(path)
    folder.per_query.unlink()
    rng = random.Random(seed)
    candidates, rankings = [], []
    for number in range(queries):
        query_id = f"q{number:03}"
        doc_ids = tuple(f"{query_id}-d{place:02}" for place in range(documents))
        texts = tuple(text.format(f"Document {doc_id}.") for doc_id in doc_ids)
        scores = tuple(float(-place) for place in range(documents))
        attributes = {name: values[number] for name, values in (fields or {}).items()}
        candidates.append(Candidates(query_id, f"question {number}?", doc_ids, texts, scores, attributes=attributes))
        order = list(doc_ids)
        if number >= same:
            while tuple(order) == doc_ids:
                rng.shuffle(order)
        rankings.append(Ranking(query_id, tuple(order), scores, (None,) * documents))
    write_candidates(candidates, folder.candidates)
    folder.rankings.mkdir()
    pq.write_table(rankings_table(rankings), folder.rankings / "part-00000.parquet")
    with folder.trec_run.open("w") as file:
        write_trec_run(rankings, file, "t")
    return read_run_folder(path)


def grade_of(query_id: str, doc_id: str, highest: int = 3) -> int:
    """What our judge thinks of it: documents further down in the first stage are a little better."""
    drawn = int.from_bytes(sha256(f"{query_id} {doc_id}".encode()).digest()[:4], "big") / 2**32
    place = int(doc_id.rpartition("d")[2])
    return min(highest, int(drawn * (1.2 + place / 6)))


def fill(tasks: Path, queries: int | None = None, *, highest: int = 3) -> int:
    """Fill in a tasks.jsonl, of the first so many `queries` in it. Returns how many lines."""
    rows = [json.loads(line) for line in tasks.read_text(encoding="utf-8").splitlines()]
    wanted = list(dict.fromkeys(row["query_id"] for row in rows))[:queries]
    filled = 0
    for row in rows:
        if row["query_id"] in wanted:
            row["grade"] = grade_of(row["query_id"], row["doc_id"], highest)
            filled += 1
    tasks.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return filled
