"""Of what leaves a run folder nothing holds a secret of its config, and modes stay."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from pipelines.base.config import ServeConfig, load, load_config
from pipelines.base.redaction import write_config
from pipelines.runs.folder import RunFolder
from pipelines.runs.outgoing import mirror, outgoing, secrets_of
from stages.core.errors import ConfigError
from tests.logged_folders import make_folder

SECRET = 'hunter"22&x'


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run, and below it one of its first stages, whose files hold the secret in every form."""
    folder = make_folder(tmp_path / "run", None, engine={"extra": {"hf_token": SECRET}})
    folder.child("bm25").path.mkdir(parents=True)
    folder.logs.mkdir()
    for one in (folder, folder.child("bm25")):
        config = load_config(folder.config)
        write_config(one.config, config.to_yaml(), config.model_dump(mode="json"))
        one.config.chmod(0o600)
    folder.write_json(folder.analysis, {"said": f"it said {SECRET}"})
    folder.report.write_text("<p>hunter&quot;22&amp;x</p>")
    (folder.logs / "job.log").write_bytes(b"\xff token " + SECRET.encode() + b"\r\n")
    return folder


def test_a_mirror_holds_every_file_and_no_secret(folder: RunFolder, tmp_path: Path) -> None:
    mirror(folder, tmp_path / "copy")
    names = sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*"))
    assert sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")) == names
    for path in (tmp_path / "copy").rglob("*"):
        assert path.is_dir() or b"hunter" not in path.read_bytes()
    assert (tmp_path / "copy" / "logs" / "job.log").read_bytes() == b"\xff token ***\r\n"
    assert json.loads((tmp_path / "copy" / "analysis.json").read_text()) == {"said": "it said ***"}


def test_the_config_of_each_first_stage_is_redacted_and_its_mode_stays(folder: RunFolder, tmp_path: Path) -> None:
    mirror(folder, tmp_path / "copy")
    for name in ("config.yaml", "runs/bm25/config.yaml"):
        copy = tmp_path / "copy" / name
        assert yaml.safe_load(copy.read_text())["engine"]["extra"] == {"hf_token": "***"}
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert SECRET in yaml.safe_load(folder.config.read_text())["engine"]["extra"]["hf_token"]


def test_what_holds_no_secret_is_the_file_itself(folder: RunFolder, tmp_path: Path) -> None:
    for path in (folder.metrics, folder.environment, folder.per_query, folder.rankings):
        assert outgoing(path, secrets_of(folder), tmp_path / "copy") == path


def test_what_a_service_does_not_read_of_its_config_may_lack_its_secrets(tmp_path: Path) -> None:
    (path := tmp_path / "config.yaml").write_text("tracking: {uri: 'https://***@host'}\nserve: {replicas: 2}\n")
    assert load(ServeConfig, path).serve.replicas == 2


def test_a_log_is_told_without_tokens_that_no_config_names(folder: RunFolder, tmp_path: Path) -> None:
    log = folder.logs / "engine-1.out"
    log.write_text("args: {'hf_token': 'hf_abcdefghijklmnopqrst'}, from https://me:pw@host\n")
    sent = outgoing(log, set(), tmp_path / "copy")
    assert sent.read_text() == "args: {'hf_token': '***'}, from https://***@host\n"


def test_a_redacted_config_is_not_run(folder: RunFolder, tmp_path: Path) -> None:
    mirror(folder, tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"engine\.extra\.hf_token: \*\*\* stands in place of a secret"):
        load_config(tmp_path / "copy" / "config.yaml")
    with pytest.raises(ConfigError, match=r"engine\.extra\.hf_token"):
        load(ServeConfig, tmp_path / "copy" / "config.yaml")
    given = load_config(tmp_path / "copy" / "config.yaml", ["engine.extra.hf_token=another"])
    assert given.engine.extra == {"hf_token": "another"}
