"""Making a new database of MLflow, which somebody may interrupt."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.tracking.database import made_whole, sqlite_name


def test_a_new_database_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    def make(uri: str) -> None:
        Path(sqlite_name(uri)).write_text("half")
        assert not (tmp_path / "new" / "mlflow.db").exists()
        Path(sqlite_name(uri)).write_text("whole")

    made_whole(f"sqlite:///{tmp_path}/new/mlflow.db", make)
    assert (tmp_path / "new" / "mlflow.db").read_text() == "whole"
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_one_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(uri: str) -> None:
        Path(sqlite_name(uri)).write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_whole(f"sqlite:///{tmp_path}/mlflow.db", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_that_of_another_process_stays(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"

    def make(uri: str) -> None:
        Path(sqlite_name(uri)).write_text("ours")
        file.write_text("theirs")

    made_whole(f"sqlite:///{file}", make)
    assert file.read_text() == "theirs"
    made_whole(f"sqlite:///{file}", pytest.fail)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "http://host:5000", "postgresql://host/db"])
def test_nothing_else_is_made(uri: str) -> None:
    made_whole(uri, pytest.fail)
