"""The demo collection is what its README says: large enough, consistent, and its first stage can be made again."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

DEMO = Path(__file__).parents[2] / "configs" / "demo"
README = (DEMO / "README.md").read_text(encoding="utf-8")
FURTHER_LANGUAGES = {"ar", "de", "es", "fr", "it", "ja", "pt"}
DEPTH = 50
SHINGLE = 8  # characters, so that texts without spaces are compared in the same way
NEAR_DUPLICATE = 0.3  # of the shorter text's shingles; the closest two texts share 0.18


class Judgement(NamedTuple):
    query_id: str
    doc_id: str
    grade: int


class Retrieved(NamedTuple):
    doc_id: str
    rank: int
    score: float


def _objects(file: str) -> list[dict[str, str]]:
    with (DEMO / file).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _judgements() -> list[Judgement]:
    header, *lines = (DEMO / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "query-id\tcorpus-id\tscore"
    rows = [line.split("\t") for line in lines]
    return [Judgement(query_id, doc_id, int(grade)) for query_id, doc_id, grade in rows]


def _run() -> dict[str, list[Retrieved]]:
    lists: dict[str, list[Retrieved]] = defaultdict(list)
    for line in (DEMO / "runs" / "bm25.trec").read_text(encoding="utf-8").splitlines():
        query_id, _, doc_id, rank, score, _ = line.split(" ")
        lists[query_id].append(Retrieved(doc_id, int(rank), float(score)))
    return lists


def _table(first_column: str) -> dict[str, list[int]]:
    """The README's table under that heading: first cell -> the numbers beside it."""
    rows = README.split(f"| {first_column} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {name: [int(number) for number in numbers] for name, *numbers in cells}


def _shared_shingles(texts: list[set[str]]) -> Iterator[tuple[int, int, float]]:
    """Each two texts with a shingle in common, and how much of the shorter one that is."""
    holders: dict[str, list[int]] = defaultdict(list)
    for number, shingles in enumerate(texts):
        for shingle in shingles:
            holders[shingle].append(number)
    shared = Counter(pair for numbers in holders.values() for pair in combinations(numbers, 2))
    for (one, other), count in shared.items():
        yield one, other, count / min(len(texts[one]), len(texts[other]))


CORPUS, QUERIES, JUDGEMENTS, RUN = _objects("corpus.jsonl"), _objects("queries.jsonl"), _judgements(), _run()
DOC_IDS = [document["_id"] for document in CORPUS]
QUERY_IDS = [query["_id"] for query in QUERIES]


def test_it_holds_at_least_800_documents_and_60_queries_in_the_beir_layout() -> None:
    assert len(CORPUS) >= 800
    assert len(QUERIES) >= 60
    assert {tuple(document) for document in CORPUS} == {("_id", "title", "text")}
    assert {tuple(query) for query in QUERIES} == {("_id", "text", "language", "theme")}


def test_it_asks_in_english_in_chinese_about_code_and_in_seven_further_languages() -> None:
    languages = Counter(query["language"] for query in QUERIES)

    assert set(languages) == {"en", "zh", "code"} | FURTHER_LANGUAGES
    assert languages["zh"] >= 10
    assert languages["code"] >= 10
    assert sum(languages[language] for language in FURTHER_LANGUAGES) >= 6


@pytest.mark.parametrize("ids", [DOC_IDS, QUERY_IDS], ids=["documents", "queries"])
def test_no_id_occurs_twice(ids: list[str]) -> None:
    assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_nothing_is_empty() -> None:
    empty = [row["_id"] for row in CORPUS + QUERIES if not all(value.strip() for value in row.values())]
    assert empty == []


def test_no_document_repeats_another() -> None:
    texts = [re.sub(r"\s+", " ", document["text"].lower()) for document in CORPUS]
    shingles = [{text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)} for text in texts]

    repeats = [(DOC_IDS[a], DOC_IDS[b]) for a, b, share in _shared_shingles(shingles) if share > NEAR_DUPLICATE]

    assert repeats == []


def test_every_judgement_names_a_query_and_a_document_that_exist_and_occurs_once() -> None:
    assert {judgement.query_id for judgement in JUDGEMENTS} <= set(QUERY_IDS)
    assert {judgement.doc_id for judgement in JUDGEMENTS} <= set(DOC_IDS)
    assert {judgement.grade for judgement in JUDGEMENTS} == {0, 1, 2}
    assert len({(judgement.query_id, judgement.doc_id) for judgement in JUDGEMENTS}) == len(JUDGEMENTS)


def test_every_query_has_an_answer_and_three_hard_negatives() -> None:
    grades: dict[str, Counter[int]] = {query_id: Counter() for query_id in QUERY_IDS}
    for judgement in JUDGEMENTS:
        grades[judgement.query_id][judgement.grade] += 1

    assert [query_id for query_id, counts in grades.items() if counts[2] < 1 or counts[0] < 3] == []


def test_the_run_ranks_known_documents_of_every_query_as_trec_eval_would() -> None:
    assert list(RUN) == QUERY_IDS
    for retrieved in RUN.values():
        assert len(retrieved) <= DEPTH
        assert {document.doc_id for document in retrieved} <= set(DOC_IDS)
        assert [document.rank for document in retrieved] == list(range(1, len(retrieved) + 1))
        assert all((a.score, a.doc_id) > (b.score, b.doc_id) for a, b in pairwise(retrieved))


def test_the_readme_counts_each_theme_as_the_files_do() -> None:
    found = {(query_id, document.doc_id) for query_id, retrieved in RUN.items() for document in retrieved}
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    theme_of = {query["_id"]: query["theme"] for query in QUERIES}
    for theme in [doc_id.split("-")[0] for doc_id in DOC_IDS]:
        counted[theme]["documents"] += 1
    for theme in theme_of.values():
        counted[theme]["queries"] += 1
    for query_id, doc_id, grade in JUDGEMENTS:
        counted[theme_of[query_id]][f"grade {grade}"] += 1
        counted[theme_of[query_id]]["missed"] += grade > 0 and (query_id, doc_id) not in found
    counted["all"] = sum(counted.values(), Counter())

    columns = ("documents", "queries", "grade 2", "grade 1", "grade 0", "missed")
    assert _table("theme") == {theme: [counts[column] for column in columns] for theme, counts in counted.items()}


def test_the_readme_counts_each_language_as_the_files_do() -> None:
    counts = Counter(query["language"] for query in QUERIES)
    assert _table("query language") == {language: [count] for language, count in counts.items()}


def test_the_readme_says_how_much_the_run_cannot_reach() -> None:
    found = {(query_id, document.doc_id) for query_id, retrieved in RUN.items() for document in retrieved}
    relevant = [judgement for judgement in JUDGEMENTS if judgement.grade > 0]
    missed = [judgement for judgement in relevant if judgement[:2] not in found]
    answered = {judgement.query_id for judgement in relevant if judgement.grade == 2 and judgement[:2] in found}
    lengths = [len(retrieved) for retrieved in RUN.values()]
    prose = " ".join(README.split())

    answers_missed = sum(judgement.grade == 2 for judgement in missed)
    hopeless = [query_id for query_id in QUERY_IDS if query_id not in answered]
    named = ", ".join(f"`{query_id}`" for query_id in sorted(hopeless, key=README.index))
    assert f"{len(missed)} of the {len(relevant)} are not in the run, {answers_missed} of them of grade 2" in prose
    assert f"for {len(hopeless)} queries ({named}) that is every document of grade 2" in prose
    short = sum(length < DEPTH for length in lengths)
    assert f"{short} queries have fewer than {DEPTH} candidates, the shortest list has {min(lengths)}" in prose


@pytest.mark.skipif(importlib.util.find_spec("bm25s") is None, reason="bm25s is not installed: make install-dev")
def test_the_script_in_the_readme_makes_the_run_again_byte_for_byte(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    for file in ("corpus.jsonl", "queries.jsonl"):
        shutil.copy(DEMO / file, tmp_path)

    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)

    assert (tmp_path / "runs" / "bm25.trec").read_bytes() == (DEMO / "runs" / "bm25.trec").read_bytes()
