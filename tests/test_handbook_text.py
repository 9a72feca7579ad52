"""The handbook names only what there is: chapters, limits, metrics, alerts, figures. Nothing is run here.

Its links, settings and commands are looked at with those of the other texts: see test_texts.py.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from pipelines.base.config import load_config
from serve_app.http.metrics import REASONS, ServiceMetrics
from tests.shown_texts import ROOT, ShownText

HANDBOOK = ShownText("HANDBOOK.md")
TEXT, PROSE = HANDBOOK.text, HANDBOOK.prose
SERIES = re.compile(r"_(?:total|bucket|sum|count)$")


def own_series() -> set[str]:
    registry = CollectorRegistry()
    ServiceMetrics(registry)
    return {family.name for family in registry.collect()}


def vllm_series() -> set[str]:
    """Names of metrics as the source of the installed vLLM spells them."""
    found = importlib.util.find_spec("vllm")
    assert found is not None
    assert found.origin is not None
    sources = (Path(found.origin).parent / "v1" / "metrics").glob("*.py")
    return {name for one in sources for name in re.findall(r'"(vllm:\w+)"', one.read_text(encoding="utf-8"))}


def test_chapters_are_numbered_from_0_to_12() -> None:
    assert [int(number) for number in re.findall(r"^## (\d+)\. ", PROSE, re.MULTILINE)] == list(range(13))
    named = {int(number) for number in re.findall(r"chapters? (\d+)", PROSE)}
    assert named <= set(range(13))


def test_lines_fit_120_columns_but_for_tables_and_commands() -> None:
    long = [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith(("|", "$ "))]
    assert long == []


def test_every_block_of_settings_is_a_config(tmp_path: Path) -> None:
    """Each document of a YAML block, but for limits; those of a run's sections are laid over the demo."""
    documents = [one for block in HANDBOOK.blocks("yaml") for one in yaml.safe_load_all(block)]
    settings = [one for one in documents if not one.keys() <= {"health", "resources"}]
    assert settings
    for one in settings:
        path = tmp_path / "some.yaml"
        path.write_text(yaml.safe_dump({"data": {"format": "jsonl", "path": "some.jsonl"}} | one), encoding="utf-8")
        assert load_config(path).digest


def test_every_block_of_limits_is_read(tmp_path: Path) -> None:
    from pipelines.service.limits import ServiceLimits, load_limits

    blocks_of_limits = [block for block in HANDBOOK.blocks("yaml") if re.match(r"health:|resources:", block)]
    assert blocks_of_limits
    for block in blocks_of_limits:
        path = tmp_path / "limits.yaml"
        path.write_text(block, encoding="utf-8")
        assert load_limits(path) != load_limits(None)
        assert isinstance(load_limits(path), ServiceLimits)


def test_every_health_zone_named_beside_the_block_exists() -> None:
    from pipelines.service.limits import load_limits

    (block,) = [block for block in HANDBOOK.blocks("yaml") if block.startswith("health:")]
    health = block.partition("resources:")[0]
    named = set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", health))
    assert named == set(type(load_limits(None).health).__dataclass_fields__)


def test_every_metric_named_exists() -> None:
    ours = [SERIES.sub("", name) for name in re.findall(r"`(rerank_[a-z_]+[a-z])", PROSE)]
    theirs = [SERIES.sub("", name) for name in re.findall(r"`(vllm:[a-z_]+)", PROSE)]
    assert len(set(ours)) >= 7
    assert len(set(theirs)) >= 5
    assert set(ours) - own_series() == set()
    assert set(theirs) - {SERIES.sub("", name) for name in vllm_series()} == set()


def test_every_reason_of_a_request_that_did_not_succeed_is_explained() -> None:
    reasons = {reason for outcome, several in REASONS.items() if outcome != "ok" for reason in several}
    assert reasons == {reason for reason in reasons if f"`{reason}`" in PROSE}


def test_every_alert_is_in_the_first_table_and_every_alert_named_exists() -> None:
    rules = yaml.safe_load((ROOT / "configs" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    first = PROSE.partition("## 1. ")[0]
    assert set(re.findall(r"`(Rerank\w+)`", PROSE)) == alerts == set(re.findall(r"`(Rerank\w+)`", first))


def test_every_exit_code_has_its_row() -> None:
    rows = re.compile(r"^\| (\d+) \| ", re.MULTILINE)
    _, codes = ShownText("docs/results.md").prose.split("## Exit codes")
    assert rows.findall(PROSE) == rows.findall(codes) != []


def test_every_console_line_is_a_command() -> None:
    lines = [line for block in HANDBOOK.blocks("console") for line in block.splitlines()]
    assert len(lines) > 12
    assert [line for line in lines if not re.match(r"\$ (rerank-eval|curl) ", line)] == []


@pytest.mark.parametrize(
    ("name", "layers", "hidden", "intermediate", "heads", "told"),
    [
        ("0.6B", 28, 1024, 3072, 16, "0.469"),
        ("4B", 36, 2560, 9728, 32, "3.71"),
        ("8B", 36, 4096, 12288, 32, "7.02"),
    ],
)
def test_the_figures_of_chapter_1_follow_from_its_formulas(
    name: str, layers: int, hidden: int, intermediate: int, heads: int, told: str
) -> None:
    kv_heads, head_dim = 8, 128
    weights = layers * hidden * (2 * heads * head_dim + 2 * kv_heads * head_dim + 3 * intermediate)

    def tera(tokens: int, cached: int = 0) -> float:
        attention = 4 * layers * heads * head_dim * (tokens**2 - cached**2) / 2
        return (2 * weights * (tokens - cached) + attention) / 1e12

    column = {"0.6B": 1, "4B": 2, "8B": 3}[name]
    table = [row.strip("|").split("|") for row in PROSE.splitlines() if row.startswith("|")]
    rows = {row[0].strip(): row[column].strip() for row in table if len(row) == 4}
    assert rows["layers, hidden, intermediate"] == f"{layers}, {hidden}, {intermediate}"
    assert rows["heads, kv_heads, head_dim"] == f"{heads}, {kv_heads}, {head_dim}"
    assert rows["P, billions"] == f"{weights / 1e9:.3f}"
    assert rows["a pair of 500 tokens, TFLOP: weights + attention"].endswith(f"**{told}**")
    assert f"{tera(500):.3g}" == told
    assert rows["the same, 80 tokens cached"] == f"{tera(500, 80):.3g}"
    longer = rows["a pair of 2,000; 8,192; 32,768 tokens, TFLOP"].split("; ")
    assert [float(one) for one in longer] == [float(f"{tera(tokens):.3g}") for tokens in (2000, 8192, 32768)]
    cache = 2 * layers * kv_heads * head_dim * 2
    assert rows["cache per token"] == f"{cache / 1024:.0f} KiB"
    assert rows["cache of 16,384 tokens in flight"] == f"{cache * 16384 / 2**30:.2f} GiB"
