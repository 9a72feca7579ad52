"""The README is short, docs/ is found from it, and what docs/ lists of the code is what the code has."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines.base.config_reference import config_reference
from serve_app.recipes.kinds import parse_recipe
from serve_app.settings import Family
from stages.core.metrics import Metrics
from tests.shown_texts import ROOT, ShownText

README_BYTES = 12_000
PICTURE_BYTES = 300_000
PAGES = {path for path in (ROOT / "docs").iterdir() if path.suffix == ".md"}


def in_chinese(path: Path) -> bool:
    return path.name.endswith(".zh.md")


def keys_of(part: type, above: str = "") -> Iterator[str]:
    """`queue.time_ms.p95`: each key of metrics.json that holds no part of its own."""
    for name, kind in typing.get_type_hints(part).items():
        if typing.is_typeddict(kind):
            yield from keys_of(kind, f"{above}{name}.")
        else:
            yield above + name


def documented(text: ShownText) -> Iterator[str]:
    """Those in the table of docs/results.md; `.p95` stands for what the key before it has in front."""
    (table,) = re.findall(
        r"^## metrics\.json$.*?^\|---\|---\|$\n((?:^\|[^\n]*\n)+)", text.prose, re.MULTILINE | re.DOTALL
    )
    for row in table.splitlines():
        above = ""
        for key in re.findall(r"`([^`]+)`", row.split("|")[1]):
            whole = above + key if key.startswith(".") else key
            above = whole.rpartition(".")[0]
            yield whole


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_a_readme_has_at_most_12_kb(name: str) -> None:
    assert (ROOT / name).stat().st_size <= README_BYTES


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_every_page_of_docs_is_linked_from_the_readme_in_its_language(name: str) -> None:
    linked = {link.target for link in ShownText(name).links()}
    chinese = {page.with_name(page.name.replace(".zh.md", ".md")) for page in PAGES if in_chinese(page)}
    english = {page for page in PAGES if not in_chinese(page)}
    wanted = english if name == "README.md" else {page for page in PAGES if in_chinese(page)} | (english - chinese)
    assert len(wanted) > 5
    assert wanted - linked == set()


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_readme_shows_the_report_in_a_small_picture(name: str) -> None:
    pictures = [link.target for link in ShownText(name).links() if link.target.suffix == ".png"]
    assert pictures == [ROOT / "docs" / "report.png"]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    assert pictures[0].stat().st_size < PICTURE_BYTES


def test_there_is_nothing_in_docs_that_no_readme_leads_to() -> None:
    linked = {link.target for name in ("README.md", "README.zh.md") for link in ShownText(name).links()}
    assert set((ROOT / "docs").iterdir()) - linked == set()


def test_the_config_reference_is_that_of_the_settings() -> None:
    shown = re.search(r"<!-- reference -->\n(.*)<!-- /reference -->", ShownText("docs/config.md").text, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == config_reference().strip(), "renew it: python -m pipelines.base.config_reference"


@pytest.mark.parametrize("name", ["docs/results.md", "docs/results.zh.md"])
def test_each_key_of_metrics_json_is_documented_once_and_no_other(name: str) -> None:
    assert sorted(documented(ShownText(name))) == sorted(keys_of(Metrics))


def test_the_keys_of_metrics_json_are_found_in_its_parts() -> None:
    assert {"run_id", "part_of", "quality.delta", "queue.time_ms.p95", "scores.canaries_passed"} < set(keys_of(Metrics))


@pytest.mark.parametrize(("page", "least"), [("docs/corrections.md", 40), ("docs/models.md", 20)])
def test_each_correction_names_a_test_that_is_there(page: str, least: int) -> None:
    tables = re.findall(r"^\|.*\| test \|\n\|[-|]*\n((?:\|.*\n)+)", ShownText(page).text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    named = [re.findall(r"`(tests/[\w/]+/test_\w+\.py)` \|$", row) for row in rows]
    assert len(rows) > least
    assert [row for row, tests in zip(rows, named, strict=True) if len(tests) != 1] == []
    assert [name for (name,) in named if not (ROOT / name).is_file()] == []


def test_each_recipe_that_is_shown_can_be_read() -> None:
    shown = [yaml.safe_load(block).get("model", {}) for block in ShownText("docs/models.md").blocks("yaml")]
    recipes = [model["recipe"] for model in shown if isinstance(model.get("recipe"), dict)]
    assert recipes
    assert [parse_recipe(recipe, "docs/models.md").kind for recipe in recipes] == [one["kind"] for one in recipes]


def test_the_page_on_models_names_each_kind_of_recipe() -> None:
    text = ShownText("docs/models.md").text
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(typing.get_args(Family)) - {
        "qwen3-reranker"
    }
