"""A dry run tells what a run would do, in counts, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.base.ports import free_port
from pipelines.job.dry_run import make_plan, print_plan
from stages.core.errors import ConfigError, DataError

CORPUS = [{"_id": f"d{n}", "title": "", "text": f"text {n}"} for n in range(1, 5)] + [{"_id": "empty", "text": " "}]
QUERIES = [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}, {"_id": "q3", "text": "three"}]
# q1: 3 documents, one below the depth; q2: one usable, one without text, one unknown; q4 has no text.
RUN = [
    "q1 Q0 d1 1 9 x",
    "q1 Q0 d2 2 8 x",
    "q1 Q0 d3 3 7 x",
    "q1 Q0 d4 4 6 x",
    "q2 Q0 d1 1 9 x",
    "q2 Q0 empty 2 8 x",
    "q2 Q0 unknown 3 7 x",
    "q4 Q0 d1 1 9 x",
    "a line too short",
]
# q3 is judged but was not retrieved.
QRELS = ["query-id\tcorpus-id\tscore", "q1\td1\t1", "q1\td3\t0", "q3\td2\t2"]


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", CORPUS), ("queries", QUERIES)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(QRELS))
    (folder / "run.trec").write_text("\n".join(RUN))
    return RunConfig.model_validate(
        {
            "data": {"format": "beir", "path": str(folder), "run": str(folder / "run.trec"), "depth": 3},
            "model": {"name": "overlap"},
            "serve": {"replicas": 2},
            "tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db"},
            "output": {"dir": str(tmp_path / "results")},
        }
    )


def test_queries_pairs_judgements_and_what_is_set_aside_are_counted(config: RunConfig) -> None:
    plan = make_plan(config)
    counted = {name: plan[name] for name in ("queries", "pairs", "judged_queries", "judged_queries_with_candidates")}
    assert counted == {
        "queries": 3,
        "pairs": 3 + 1,
        "judged_queries": 2,
        "judged_queries_with_candidates": 1,
    }
    assert plan["unasked_pairs"] == 3, "two of q2, and all of q4"
    assert plan["set_aside_rows"] == 4
    assert list(plan["set_aside_reasons"].items()) == [
        ("a run has … columns, this line …", 1),
        ("no text", 1),
        ("document … is not in the corpus", 1),
        ("unknown query", 1),
    ], "causes first"


def test_rows_with_more_documents_than_the_depth_are_cut_to_it(config: RunConfig, tmp_path: Path) -> None:
    row = {"query_id": "q1", "query": "one", "documents": ["text 1", "text 2", "text 3"]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    data = {"format": "jsonl", "path": str(tmp_path / "rows.jsonl"), "depth": 2}
    plan = make_plan(RunConfig.model_validate(config.model_dump() | {"data": data}))
    assert (plan["queries"], plan["pairs"], plan["judged_queries"]) == (1, 2, 0)


def test_what_meets_in_part_is_told_whatever_the_limit(
    config: RunConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    remarks = make_plan(config)["remarks"]
    assert remarks == [
        "1 of 2 judged queries has no candidates and counts as 0, such as 'q3'",
        "2 of 3 queries with candidates are not judged, such as 'q2'",
        "2 of 7 candidates had no text, such as 'empty': they stand behind those that were scored, in their old order",
        "1 of 3 queries could not be asked, such as 'q4': their lists stay as they were given",
    ]
    print_plan(config, as_json=False)
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("mind ")] == [
        f"mind        {remark}" for remark in remarks
    ]
    without_texts = config.model_copy(update={"output": config.output.model_copy(update={"texts": False})})
    assert make_plan(without_texts)["remarks"] == remarks, "ids may be told"
    limited = make_plan(config.model_copy(update={"data": config.data.model_copy(update={"limit": 1})}))
    assert limited["remarks"] == [
        "1 of 2 judged queries has no candidates (before data.limit), such as 'q3'",
        "2 of 3 queries with candidates are not judged (before data.limit), such as 'q2'",
    ]
    (tmp_path / "small" / "qrels" / "test.tsv").write_text("q2\td1\t1\n")
    limited = make_plan(config.model_copy(update={"data": config.data.model_copy(update={"limit": 1})}))
    assert limited["remarks"][-1] == "none of the first 1 queries is judged, so there is no quality: see data.limit"


@pytest.mark.parametrize("limit", [None, 1])
def test_judgements_of_other_queries_are_refused(limit: int | None, config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "small" / "qrels" / "test.tsv").write_text("1\td1\t1\n")
    with pytest.raises(DataError, match="no query in common: the one has 'q1', the other '1'"):
        make_plan(config.model_copy(update={"data": config.data.model_copy(update={"limit": limit})}))


def test_the_plan_says_what_with_and_how_it_is_measured(config: RunConfig) -> None:
    plan = make_plan(config)
    assert plan["dataset"] == "small"
    assert plan["model"] == {
        "name": "overlap",
        "family": "overlap",
        "recipe": None,
        "max_length": 8192,
        "backend": None,
        "remarks": [],
    }
    assert (plan["replicas"], plan["metrics"]) == (2, ["ndcg@10", "mrr@10"])
    assert plan["config_digest"] == config.digest


def test_the_plan_goes_through_all_eight_hops_with_columns_and_counts(config: RunConfig) -> None:
    hops = make_plan(config)["hops"]
    assert [hop["hop"][0] for hop in hops] == list("12345678")
    assert all(hop["columns"] and hop["counts"] for hop in hops)
    assert hops[1]["counts"] == "3 queries, 4 pairs"
    assert "texts" in hops[1]["columns"] and "logits" in hops[5]["columns"]


def test_nothing_is_written(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    print_plan(config, as_json=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_as_json_the_plan_is_all_that_is_printed(config: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(config, as_json=True)
    assert json.loads(capsys.readouterr().out) == make_plan(config)


def test_people_get_a_table_and_what_was_set_aside(config: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(config, as_json=False)
    shown = capsys.readouterr().out
    assert "small: nothing was started" in shown
    assert "3 queries, 4 pairs" in shown
    lines = shown.splitlines()
    first = lines.index("set aside   4 rows") + 1
    assert [line.partition(": ")[2] for line in lines[first : first + 4]] == [
        "a run has 6 columns, this line 4",
        "no text",
        "document unknown is not in the corpus",
        "unknown query: no text for this id",
    ]


@pytest.mark.parametrize(
    ("changed", "error", "told"),
    [
        ({"model": {"name": "./none"}}, ConfigError, "model.name ./none: no such folder"),
        ({"data": {"format": "beir", "path": "/no/where", "run": "x"}}, DataError, "data.path: /no/where"),
    ],
)
def test_the_plan_fails_where_the_run_would(
    config: RunConfig, changed: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        make_plan(RunConfig.model_validate(config.model_dump() | changed))


def test_a_first_stage_that_is_made_here_is_named_and_kept(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = config.data.model_dump() | {"run": None, "first_stage": "bm25", "bm25": {"folder": str(tmp_path / "kept")}}
    with_bm25 = RunConfig.model_validate(config.model_dump() | {"data": data})
    (tmp_path / "small" / "queries.jsonl").write_text('{"_id": "q1", "text": "text"}\n{"_id": "q3", "text": "three"}')
    print_plan(with_bm25, as_json=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "first stage BM25 (made here: bm25s 0." in told and ", lucene, k1=0.9, b=0.4, english)" in told
    assert f"index of 5 documents, made, kept in {tmp_path}/kept/" in told
    assert "BM25 found nothing for 1 of 2 queries, such as 'q3'" in told
    plan = make_plan(with_bm25)
    assert (plan["queries"], plan["pairs"]) == (1, 3)
    assert plan["first_stage_made"]["first_stage"]["k1"] == 0.9
    assert not (tmp_path / "results").exists()
    elsewhere = data | {"bm25": {"folder": "elsewhere"}}
    assert RunConfig.model_validate(config.model_dump() | {"data": elsewhere}).digest == with_bm25.digest


def test_a_cluster_that_is_not_there_is_told_in_one_line(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", dead)
    print_plan(config, as_json=False)
    told = [line for line in capsys.readouterr().out.splitlines() if dead in line]
    assert len(told) == 1 and told[0].startswith(f"mind        no Ray cluster at {dead}: Connection refused. Start it")
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(ConfigError, match="the Ray address nowhere is not of the form"):
        make_plan(config)
    for unasked in ("auto", "local"):
        monkeypatch.setenv("RAY_ADDRESS", unasked)
        assert not any("Ray" in remark for remark in make_plan(config)["remarks"])
