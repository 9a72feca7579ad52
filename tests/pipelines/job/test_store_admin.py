"""`rerank-eval scores`: what a store holds is told, exported and deleted as asked."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app, main
from pipelines.job.store_admin import duration_s
from stages.core.errors import ConfigError
from stages.core.grades import Reply
from stages.core.records import PairScore
from stages.core.scoring import sigmoid
from stages.store.file import FILE
from stages.store.records import query_keys
from stages.store.replies import REPLIES, ReplyStore
from stages.store.store import ScoreStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with two scores of one model and one of another."""
    store = ScoreStore(tmp_path / "store")
    keys = query_keys("identity 1", None, "q", ["a", "b"])
    pairs = [PairScore(sigmoid(1.5), 1.5, 7), PairScore(0.25, None, 9, passages=3, cut_score=0.125, truncated=True)]
    store.write(keys.query, dict(zip(keys.pairs, pairs, strict=True)), "identity 1", "small")
    other = query_keys("identity 2", None, "q", ["a"])
    store.write(other.query, {other.pairs[0]: PairScore(0.5)}, "identity 2", "large")
    store.close()
    return tmp_path / "store"


def told(*arguments: object, answer: str | None = None) -> str:
    done = CliRunner().invoke(app, ["scores", *map(str, arguments)], input=answer)
    assert done.exit_code == 0, done.output
    return done.output


def scores_left(folder: Path) -> dict[str, int]:
    stats = json.loads(told("stats", folder, "--json"))
    return {one["model"]: one["scores"] for one in stats["scorings"]}


def test_stats_tell_scores_and_bytes_by_scoring(folder: Path) -> None:
    stats = json.loads(told("stats", folder, "--json"))
    assert (stats["scores"], stats["bytes"]) == (3, (folder / FILE).stat().st_size)
    assert [(one["identity"], one["model"], one["scores"]) for one in stats["scorings"]] == [
        ("identity 1", "small", 2),
        ("identity 2", "large", 1),
    ]
    shown = told("stats", folder)
    assert "scores\t3\n" in shown and "small\t2\t" in shown


def test_stats_of_an_empty_store_are_zero(tmp_path: Path) -> None:
    ScoreStore(tmp_path).close()
    stats = json.loads(told("stats", tmp_path, "--json"))
    assert (stats["scores"], stats["bytes_per_score"], stats["scorings"]) == (0, None, [])


def test_an_export_holds_every_score_under_its_key(folder: Path, tmp_path: Path) -> None:
    told("export", folder, "--out", tmp_path / "scores.parquet")
    rows = {row["key"]: row for row in pq.read_table(tmp_path / "scores.parquet").to_pylist()}
    first, second = (rows[key.hex()] for key in query_keys("identity 1", None, "q", ["a", "b"]).pairs)
    assert len(rows) == 3
    assert (first["score"], first["logit"], first["prompt_tokens"], first["truncated"]) == (sigmoid(1.5), 1.5, 7, False)
    assert (second["score"], second["logit"], second["truncated"]) == (0.25, None, True)
    assert (first["passages"], first["cut_score"]) == (1, None)
    assert (second["passages"], second["cut_score"], second["cut_logit"]) == (3, 0.125, None)
    assert (first["model"], first["identity"]) == ("small", "identity 1")
    assert not (tmp_path / "scores.parquet.partial").exists()


def test_an_export_leaves_damaged_batches_out_and_says_so(folder: Path, tmp_path: Path) -> None:
    store = ScoreStore(folder)
    store._database.execute("UPDATE batches SET records = zeroblob(27) WHERE scores = 1")
    store.close()
    output = told("export", folder, "--out", tmp_path / "scores.parquet")
    assert "left out 1 damaged" in output
    assert pq.read_table(tmp_path / "scores.parquet").num_rows == 2


def test_prune_deletes_a_models_scores_alone(folder: Path) -> None:
    assert "deleted 2 of 3 scores" in told("prune", folder, "--model", "small", "--yes")
    assert scores_left(folder) == {"large": 1}


def test_prune_by_age_spares_what_is_newer(folder: Path) -> None:
    store = ScoreStore(folder)
    store._database.execute("UPDATE batches SET written_s = written_s - 3 * 86400 WHERE scores = 1")
    store.close()
    told("prune", folder, "--older-than", "2d", "--yes")
    assert scores_left(folder) == {"small": 2}


def test_prune_asks_first_and_takes_no_for_an_answer(folder: Path) -> None:
    done = CliRunner().invoke(app, ["scores", "prune", str(folder), "--all"], input="n\n")
    assert done.exit_code == 1 and "Delete 3 of 3 scores and replies" in done.output
    assert scores_left(folder) == {"small": 2, "large": 1}
    told("prune", folder, "--all", answer="y\n")
    assert scores_left(folder) == {}


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 days"])
def test_a_duration_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 30d"):
        duration_s(text)


def test_a_duration_is_in_hours_days_or_weeks() -> None:
    assert (duration_s("12h"), duration_s("30d"), duration_s("8w")) == (43_200, 2_592_000, 4_838_400)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stats", "none"], "no score store"),
        (["prune", "none", "--all", "--yes"], "no score store"),
        (["prune", "store"], "say which scores"),
        (["prune", "store", "--all", "--model", "small"], "say which scores"),
        (["prune", "store", "--older-than", "soon"], "such as 30d"),
        (["export", "store", "--out", "no/such/folder/x.parquet"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(SystemExit) as stop:
        main(["scores", *arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert line.startswith("rerank-eval: ") and words in line
    assert not Path("none").exists()


def test_a_damaged_store_is_one_line_and_exit_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(SystemExit) as stop:
        main(["scores", "stats", str(folder)])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and "malformed" in line and "away" in line


def test_a_store_of_0_1_0_is_counted_and_exported_as_it_is(tmp_path: Path) -> None:
    identity = json.dumps([["0123456789abcdef"], ["embedding", "single_newline", None, 256], "bfloat16", "auto", {}])
    store = ScoreStore(tmp_path / "store")
    keys = query_keys(identity, None, "q", ["a"])
    store.write(keys.query, {keys.pairs[0]: PairScore(0.5)}, identity, "small")
    store.close()
    (scoring,) = json.loads(told("stats", tmp_path / "store", "--json"))["scorings"]
    assert (scoring["scores"], scoring["identity"]) == (1, identity)
    assert told("export", tmp_path / "store", "--out", tmp_path / "scores.parquet").startswith("1 scores in")
    assert pq.read_table(tmp_path / "scores.parquet").column("identity").to_pylist() == [identity]


def test_replies_of_judges_are_counted_and_deleted_as_scores_are(folder: Path) -> None:
    store = ReplyStore(folder)
    keys = query_keys("judge 1", None, "q", ["a", "b"])
    store.write(keys.query, dict.fromkeys(keys.pairs, Reply(text="2")), "judge 1", "some-judge")
    store.close()
    replies = json.loads(told("stats", folder, "--json"))["replies"]
    assert replies["replies"] == 2 and replies["bytes"] == (folder / REPLIES.file).stat().st_size
    assert "some-judge\t2\t" in told("stats", folder)
    assert told("prune", folder, "--model", "some-judge", "--yes") == (
        "deleted 0 of 3 scores, and 2 of 2 replies of judges\n"
    )
    assert scores_left(folder) == {"small": 2, "large": 1}


def test_a_folder_of_replies_alone_is_a_store_too(tmp_path: Path) -> None:
    ReplyStore(tmp_path).close()
    assert json.loads(told("stats", tmp_path, "--json"))["replies"]["judges"] == []
    assert told("prune", tmp_path, "--all", "--yes") == "deleted 0 of 0 scores\n"
