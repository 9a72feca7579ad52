"""What a run passes on is its own order with whole texts, as the next tool reads it; or one line says why not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import open_run
from pipelines.cli.app import main
from pipelines.runs.contexts import Budget, Choice, read_contexts
from pipelines.runs.export import Exported, ExportOrder, export_run
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from stages.core.errors import ConfigError, DataError, RerankEvalError
from stages.core.order import trec_order
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, Ranking, SetAside
from stages.files.rankings import rankings_table, write_trec_run
from stages.files.tables import write_candidates
from stages.files.untexted import write_without_texts
from stages.sources import DataSettings, open_source
from tests.examples import examples
from tests.pipelines.finished_runs import finished_run

ROOT = Path(__file__).parents[3]
RAIN = Candidates(
    "007", "why does it rain?", ("a", "b", "c", "d"), ("Sun.", "Clouds\nfall.", "雨。", "Wind."), (4.0, 3.0, 2.0, 1.0),
    tail=("z",), instruction="Find the cause.", attributes={"language": "en", "answer": "Clouds cool."},
)  # fmt: skip
SNOW = Candidates("7", "why does it snow?", ("a", "e"), ("Sun.", "Frost."), (2.0, 1.0), attributes={"language": "de"})
# c and b have the same probability; d failed.
RANKED = [
    Ranking("007", ("c", "b", "a"), (1.0, 1.0, 0.5), (9.5, 9.25, 0.0), ("d", "z"), {"d": "too long"}, unscored=1),
    Ranking("7", (), (), (), ("a", "e"), {"a": "query too long", "e": "query too long"}, unscored=2),
]


def run_of(path: Path, queries: Sequence[Candidates], rankings: Sequence[Ranking], **config: Any) -> RunContent:
    """A finished run with these queries and rankings; the rankings lie in two files, the last query's first."""
    run = finished_run(path, [0.5] * len(queries), config=config)
    write_candidates(queries, run.folder.candidates, rows_per_file=1)
    run.folder.rankings.mkdir()
    half = len(rankings) // 2
    for number, some in enumerate((rankings[half:], rankings[:half])):
        pq.write_table(rankings_table(some), run.folder.rankings / f"part-{number}.parquet")
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunContent:
    return run_of(tmp_path / "run", [RAIN, SNOW], RANKED)


def lines(run: RunContent, out: Path, to: str, **order: Any) -> list[dict[str, Any]]:
    export_run(run, ExportOrder(to, **order), out)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


# --- the forms ---


def test_ragas_gets_question_contexts_ids_and_the_ground_truth_that_is_there(run: RunContent, tmp_path: Path) -> None:
    rain, snow = lines(run, tmp_path / "out.jsonl", "ragas", top=2)
    assert rain == {
        "query_id": "007",
        "user_input": "why does it rain?",
        "retrieved_contexts": ["雨。", "Clouds\nfall."],
        "retrieved_context_ids": ["c", "b"],
        "retrieved_context_scores": [9.5, 9.25],
        "reference": "Clouds cool.",
    }
    # Nothing of it was scored.
    assert (snow["retrieved_context_ids"], snow["retrieved_context_scores"]) == (["a", "e"], [-1.0, -2.0])
    assert snow["reference"] is None


def test_without_ground_truth_there_is_no_reference_and_with_its_column_named_it_is_that(tmp_path: Path) -> None:
    plain = Candidates("q", "why?", ("a",), ("Sun.",), (1.0,), attributes={"gold": "So.", "answer": " "})
    run = run_of(tmp_path / "run", [plain], [Ranking("q", ("a",), (0.5,), (None,))])
    assert lines(run, tmp_path / "o.jsonl", "ragas")[0]["reference"] is None
    assert lines(run, tmp_path / "o.jsonl", "ragas", reference="gold")[0]["reference"] == "So."
    run = run_of(tmp_path / "other", [SNOW], [Ranking("7", ("e", "a"), (0.5, 0.25), (None, None))])
    assert "reference" not in lines(run, tmp_path / "o.jsonl", "ragas")[0]


def test_datasets_reads_what_ragas_gets(run: RunContent, tmp_path: Path) -> None:
    export_run(run, ExportOrder("ragas"), tmp_path / "out.jsonl")
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "out.jsonl"), split="train", cache_dir=str(tmp_path)
    )
    assert loaded["query_id"] == ["007", "7"]
    assert loaded[0]["retrieved_contexts"] == ["雨。", "Clouds\nfall.", "Sun.", "Wind."]
    assert loaded["reference"] == ["Clouds cool.", None]


def test_rank_llm_gets_our_order_as_the_order_of_its_list(run: RunContent, tmp_path: Path) -> None:
    rain, snow = lines(run, tmp_path / "out.jsonl", "rank_llm", top=2)
    assert rain == {
        "query": {"text": "why does it rain?", "qid": "007"},
        "candidates": [
            {"docid": "c", "score": 9.5, "doc": {"contents": "雨。"}},
            {"docid": "b", "score": 9.25, "doc": {"contents": "Clouds\nfall."}},
        ],
    }
    assert [one["docid"] for one in snow["candidates"]] == ["a", "e"]


def test_trec_is_the_top_of_run_trec(run: RunContent, tmp_path: Path) -> None:
    whole = StringIO()
    write_trec_run(RANKED, whole, "rerank-eval")
    export_run(run, ExportOrder("trec", top=2), tmp_path / "out.trec")
    assert (tmp_path / "out.trec").read_text() == "".join(
        line for line in whole.getvalue().splitlines(keepends=True) if int(line.split()[3]) <= 2
    )


def test_a_document_without_a_score_stands_behind_those_that_have_one_before_what_was_not_reranked(
    run: RunContent, tmp_path: Path
) -> None:
    told = export_run(run, ExportOrder("trec", top=9), tmp_path / "out.trec")
    rows = [line.split() for line in (tmp_path / "out.trec").read_text().splitlines() if line.startswith("007")]
    assert [(row[2], row[4]) for row in rows] == [
        ("c", "9.5"), ("b", "9.25"), ("a", "0"), ("d", "-1"), ("z", "-2"),
    ]  # fmt: skip
    assert told == Exported(queries=2, documents=7, unanswered=1, unscored=4)
    rain, _ = lines(run, tmp_path / "out.jsonl", "rank_llm", top=9)
    assert [one["docid"] for one in rain["candidates"]] == ["c", "b", "a", "d"]  # z has no text


def test_the_first_stage_can_be_exported_to_compare_with(run: RunContent, tmp_path: Path) -> None:
    rain, snow = lines(run, tmp_path / "out.jsonl", "ragas", top=2, first_stage=True)
    assert (rain["retrieved_context_ids"], rain["retrieved_context_scores"]) == (["a", "b"], [4.0, 3.0])
    assert snow["retrieved_context_ids"] == ["a", "e"]


def test_documents_and_queries_without_a_text_keep_their_places_in_trec_and_are_left_out_elsewhere(
    tmp_path: Path,
) -> None:
    gap = Candidates("q", "why?", ("b",), ("Sun.",), (2.0,), ("z",), listed=("a", "b", "c"))
    unknown = Candidates("u", "", (), (), (), ("z",), listed=("a", "b"))
    bare = Candidates("w", "who?", (), (), (), listed=("a",))
    rankings = [
        Ranking("q", ("b",), (0.5,), (None,), ("a", "c", "z"), unscored=2),
        Ranking("u", (), (), (), ("a", "b", "z"), unscored=2),
        Ranking("w", (), (), (), ("a",), unscored=1),
    ]
    run = run_of(tmp_path / "run", [gap, unknown, bare], rankings)
    for first_stage, order in ((False, ["b", "a", "c", "z"]), (True, ["a", "b", "c", "z"])):
        export_run(run, ExportOrder("trec", top=9, first_stage=first_stage), tmp_path / "out")
        rows = [line.split() for line in (tmp_path / "out").read_text().splitlines()]
        assert [row[2] for row in rows if row[0] == "q"] == order
        assert [row[2] for row in rows if row[0] == "u"] == ["a", "b", "z"]
        assert trec_order([row[2] for row in rows[:4]], [float(row[4]) for row in rows[:4]]) == tuple(order)
        told = export_run(run, ExportOrder("jsonl", top=9, first_stage=first_stage), tmp_path / "out")
        read = [json.loads(line)["documents"] for line in (tmp_path / "out").open()]
        assert [[one["id"] for one in documents] for documents in read] == [["b"], []]
        assert {"1 query without a text: left out", "1 query without a document: no text, or none that fits"} <= set(
            told.notes()
        )


# --- back again, as a first stage ---


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
SCORES = st.sampled_from([0.0, 1.0, 1.0 + 1e-9, -3.5, 2.129133, 2.1291331]) | st.floats(-50, 50)


@st.composite
def ranked_queries(draw: st.DrawFn) -> tuple[list[Candidates], list[Ranking]]:
    """Queries with candidates, and what a reranker made of them: ties, failed documents, none scored at all."""
    queries, rankings = [], []
    for query_id in draw(st.lists(st.sampled_from(["007", "7", "q", "é"]), min_size=1, max_size=3, unique=True)):
        ids = draw(st.lists(st.text("ab1-", min_size=1, max_size=3), min_size=1, max_size=6, unique=True))
        texts = tuple(draw(TEXTS) for _ in ids)
        attributes = draw(st.dictionaries(st.sampled_from(["language", "scores", "answer"]), TEXTS, max_size=2))
        queries.append(
            Candidates(
                query_id,
                draw(TEXTS),
                tuple(ids),
                texts,
                tuple(map(float, range(len(ids), 0, -1))),
                (),
                None,
                attributes,
            )
        )
        logits = {doc_id: draw(SCORES) for doc_id in ids if draw(st.booleans())}
        order = trec_order(list(logits), list(logits.values()))
        failed = {doc_id: "failed" for doc_id in ids if doc_id not in logits}
        keys = tuple(logits[doc_id] for doc_id in order)
        rankings.append(
            Ranking(query_id, order, (1.0,) * len(order), keys, tuple(failed), failed, unscored=len(failed))
        )
    return queries, rankings


@examples(60)
@given(made=ranked_queries())
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_is_exported_is_read_again_as_a_first_stage_in_the_same_order(
    form: str, made: tuple[list[Candidates], list[Ranking]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = tmp_path_factory.mktemp("export")
    run = run_of(here / "run", *made)
    export_run(run, ExportOrder(form, top=4), here / f"out.{form}")
    expected = list(read_contexts(run.folder, Choice(4), with_texts=True))
    aside: list[SetAside] = []
    source = open_source(DataSettings(format=form, path=str(here / f"out.{form}")))
    read = {one.query_id: one for one in prepare_all(source.queries(aside.append), None, aside.append)}
    assert not aside
    assert list(read) == [one.query.query_id for one in expected]
    for one, again in zip(expected, read.values(), strict=True):
        assert (again.doc_ids, again.texts, list(again.scores)) == (one.doc_ids, one.texts, one.scores)
        assert again.query == one.query.query
        assert again.attributes == {name: told for name, told in one.query.attributes.items() if name != "scores"}


def test_a_column_of_the_data_that_a_row_has_for_something_else_is_left_out_and_told(tmp_path: Path) -> None:
    odd = Candidates("q", "why?", ("a",), ("Sun.",), (1.0,), attributes={"scores": "high", "language": "en"})
    run = run_of(tmp_path / "run", [odd], [Ranking("q", ("a",), (0.5,), (None,))])
    told = export_run(run, ExportOrder("jsonl"), tmp_path / "o.jsonl")
    assert next(told.notes()).startswith("the queries' own scores: left out")


# --- how much ---


def test_as_many_whole_documents_as_fit_the_tokens_are_passed_on(run: RunContent) -> None:
    def fitting(tokens: int) -> list[tuple[str, ...]]:
        choice = Choice(4, budget=Budget(tokens, lambda texts: [len(text) for text in texts]))
        return [one.texts for one in read_contexts(run.folder, choice, with_texts=True)]

    # Sun. has 4 letters and would fit, but stands behind what does not.
    assert fitting(1) == [(), ()]
    assert fitting(8) == [("雨。",), ("Sun.",)]
    assert fitting(2 + len("Clouds\nfall."))[0] == ("雨。", "Clouds\nfall.")
    assert fitting(1000)[0] == ("雨。", "Clouds\nfall.", "Sun.", "Wind.")


@pytest.mark.heavy
def test_tokens_are_those_of_the_model_and_a_document_longer_than_it_reads_counts_whole(tmp_path: Path) -> None:
    long = Candidates("q", "why?", ("a", "b"), ("rain " * 600, "rain"), (2.0, 1.0))
    ranking = Ranking("q", ("b", "a"), (0.5, 0.25), (None, None))
    model = {"name": "embedded:all-MiniLM-L6-v2"}
    run = run_of(tmp_path / "run", [long], [ranking], model=model)
    run.folder.write_json(run.folder.metrics, {**run.metrics, "model": {**run.metrics["model"], **model}})
    run = read_run_folder(run.folder.path)
    for tokens, kept in ((600, ["b"]), (601, ["b", "a"])):
        assert lines(run, tmp_path / "o.jsonl", "ragas", tokens=tokens)[0]["retrieved_context_ids"] == kept


# --- where it goes, and what is refused ---


def test_without_a_file_stdout_has_the_lines_alone(run: RunContent, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(run.folder.path), "--to", "ragas", "--top", "4"])
    told = capsysbinary.readouterr()
    assert [json.loads(line)["query_id"] for line in told.out.splitlines()] == ["007", "7"]
    assert told.err.decode().splitlines() == [
        "mind: 1 query without a scored document: in the old order",
        "mind: 3 documents without a score: behind the others, in the old order",
        "mind: 1 query without ground truth: reference is null",
    ]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("where", "code", "said"), [("> /dev/full", 2, "No space left on device"), ("| true", 0, ""), ("| head -1", 0, "")]
)
def test_a_full_disk_and_a_reader_that_left_end_without_a_traceback(
    run: RunContent, where: str, code: int, said: str
) -> None:
    many = f"{sys.executable} -m pipelines export {run.folder.path} --to ragas --top 4"
    done = subprocess.run(["bash", "-c", f"{many} {where}"], cwd=ROOT, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if not line.startswith("mind:")]
    assert done.returncode == code
    assert len(told) == bool(said)
    assert said in "".join(told)


def test_python_exports_as_the_command_does(run: RunContent, tmp_path: Path) -> None:
    told = open_run(run.folder.path).export("rank_llm", tmp_path / "new" / "out.jsonl", top=1)
    assert (told.queries, told.documents, told.words) == (2, 2, "2 queries, 2 documents")
    assert (tmp_path / "new" / "out.jsonl").is_file()


@pytest.mark.parametrize(
    ("order", "out", "said"),
    [
        (ExportOrder("csv"), "o", "--to csv: choose from trec, rank_llm, ragas, jsonl, parquet"),
        (ExportOrder("parquet"), None, "--to parquet: its file is no text; name it with --out"),
        (ExportOrder("rank_llm"), "o.json", "rank_llm reads lines from files that end in .jsonl alone"),
        (ExportOrder("ragas", tokenizer="x"), "o", "--tokenizer: it counts what --tokens allows"),
        (ExportOrder("jsonl", reference="x"), "o", "--reference: of ragas alone"),
        (ExportOrder("ragas", reference="anser"), "o", "did you mean answer? Known: answer, language"),
        (ExportOrder("ragas", tokens=5, tokenizer="./none"), "o", "--tokens: model.name ./none: no such folder"),
        (ExportOrder("ragas"), "run/metrics.json/o", "cannot be written"),
        (ExportOrder("ragas"), "run", "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line_and_leaves_nothing(
    run: RunContent, tmp_path: Path, order: ExportOrder, out: str | None, said: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RerankEvalError) as raised:
        export_run(run, order, None if out is None else tmp_path / out)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_breaks_off_leaves_the_earlier_file_as_it_was(run: RunContent, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("earlier")
    (run.folder.candidates / "part-00001.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataError, match=r"cannot read candidates from .*part-00001\.parquet"):
        export_run(run, ExportOrder("rank_llm"), out)
    assert out.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_run_that_was_left_without_texts_gives_its_order_alone(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [RAIN, SNOW], RANKED)
    whole = run.folder.candidates.rename(tmp_path / "whole")
    write_without_texts(whole, run.folder.candidates, labels=())
    export_run(run, ExportOrder("trec", top=1), tmp_path / "out.trec")
    assert (tmp_path / "out.trec").read_text() == "007 Q0 c 1 9.5 rerank-eval\n7 Q0 a 1 -1 rerank-eval\n"
    with pytest.raises(DataError, match=r"holds ids and digests, no texts: the job ran with output\.texts: false"):
        export_run(run, ExportOrder("ragas"), tmp_path / "out.jsonl")


def test_of_several_first_stages_each_is_exported_from_its_own_folder(tmp_path: Path) -> None:
    job = run_of(tmp_path / "run", [RAIN], RANKED[:1])
    dense = run_of(RunFolder(tmp_path / "run").child("dense").path, [RAIN], RANKED[:1])
    with pytest.raises(ConfigError, match=r"--first-stage: .* has several; export one of .*run/runs/dense"):
        export_run(job, ExportOrder("trec", first_stage=True), tmp_path / "out")
    export_run(dense, ExportOrder("trec", top=1, first_stage=True), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "007 Q0 a 1 4 rerank-eval\n"


def test_a_device_is_written_to_and_stays_one(run: RunContent, tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    export_run(run, ExportOrder("trec"), tmp_path / "null")
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "null").is_symlink()
