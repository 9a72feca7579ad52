"""What comes with the packages is found in a checkout, and above wherever a wheel was installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base import bundled as module
from pipelines.base.bundled import bundled, bundled_configs
from stages.core.errors import DataError

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["lib/python3.11/site-packages", "."], ids=["environment", "target"])
def installed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages in an environment, or where `pip install --target` puts them; returns their share."""
    packages = tmp_path / request.param
    packages.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(module, "PACKAGES", packages)
    share = tmp_path / "share" / "rerank-eval"
    (share / "configs").mkdir(parents=True)
    (share / "configs" / "qwen3-0.6b.yaml").touch()
    return share


def test_in_a_checkout_it_is_the_repositorys() -> None:
    assert bundled("configs/demo/corpus.jsonl") == ROOT / "configs" / "demo" / "corpus.jsonl"
    assert bundled_configs() == {path.stem: path for path in (ROOT / "configs").glob("*.yaml")}
    assert "demo" in bundled_configs()


def test_from_a_wheel_it_is_in_its_share(installed: Path) -> None:
    assert bundled("configs/qwen3-0.6b.yaml") == installed / "configs" / "qwen3-0.6b.yaml"
    assert bundled_configs() == {"qwen3-0.6b": installed / "configs" / "qwen3-0.6b.yaml"}


def test_folders_of_others_beside_the_packages_are_not_ours(installed: Path) -> None:
    others = module.PACKAGES / "configs"
    others.mkdir()
    (others / "theirs.yaml").touch()
    assert "theirs" not in bundled_configs()


def test_what_is_missing_is_named_with_where_it_should_be(installed: Path) -> None:
    with pytest.raises(DataError, match=rf"^HANDBOOK.md comes with rerank-eval and is not in {installed}: install"):
        bundled("HANDBOOK.md")


def test_where_nothing_came_along_a_name_is_no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", tmp_path)
    assert bundled_configs() == {}
    with pytest.raises(DataError, match="share/rerank-eval: install rerank-eval again"):
        bundled("configs")
