"""The file of --limits: what it changes, what it leaves, and how a mistake is told."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest
import yaml

from pipelines.service.limits import ServiceLimits, load_limits
from stages.core.errors import ConfigError
from stages.diagnosis.resources import ResourceLimits
from stages.telemetry.health import Zones


def load(folder: Path, text: str) -> ServiceLimits:
    path = folder / "limits.yaml"
    path.write_text(text, encoding="utf-8")
    return load_limits(path)


def test_without_a_file_all_is_as_by_default() -> None:
    assert load_limits(None) == ServiceLimits(Zones(), ResourceLimits())


def test_what_a_file_names_is_changed_and_the_rest_stays(tmp_path: Path) -> None:
    limits = load(tmp_path, "health: {queue_p95_s: 1, request_p95_s: 2.5}\nresources: {latency_s: 3}\n")
    assert limits.health == Zones(queue_p95_s=1.0, request_p95_s=2.5)
    assert limits.resources == ResourceLimits(latency_s=3.0)
    assert isinstance(limits.health.queue_p95_s, float)


@pytest.mark.parametrize("text", ["", "health:\n", "health: {}\nresources:\n"])
def test_empty_sections_are_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == load_limits(None)


def test_every_limit_can_be_written_as_its_default_is(tmp_path: Path) -> None:
    everything = {"health": asdict(Zones()), "resources": asdict(ResourceLimits())}
    assert load(tmp_path, yaml.safe_dump(everything)) == load_limits(None)


@pytest.mark.parametrize("kind", [Zones, ResourceLimits])
def test_every_limit_has_a_default(kind: type[Zones] | type[ResourceLimits]) -> None:
    assert {one.name for one in fields(kind)} == set(asdict(kind()))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("helth: {}", "unknown section helth; did you mean health? Known: health, resources"),
        ("health: {queue_p95: 1}", "unknown key health.queue_p95; did you mean queue_p95_s? Known: kv_barely_used, "),
        ("resources: {latencys: 1}", "unknown key resources.latencys; did you mean latency_s? Known: gpu_low_share, "),
        ("health: {queue_p95_s: fast}", "health.queue_p95_s: Input should be a valid number, not 'fast'"),
        ("health: {queue_p95_s: true}", "health.queue_p95_s: Input should be a valid number, not True"),
        ("health: {queue_p95_s: '1'}", "health.queue_p95_s: Input should be a valid number, not '1'"),
        ("health: {queue_p95_s: .nan}", "health.queue_p95_s: Input should be a finite number, not nan"),
        ("health: {queue_p95_s: null}", "health.queue_p95_s: Input should be a valid number, not None"),
        ("health: {queue_p95_s: -1}", "health.queue_p95_s: -1.0 is no limit: write a number above 0"),
        ("health: {kv_fine: 0.99}", "health: kv_barely_used, kv_fine, kv_nearly_full, kv_thrashing must ascend"),
        ("resources: {taken_share: 7}", "resources.taken_share: 7.0 is no share"),
        ("health: [1]", "health holds [1]; expected keys such as kv_barely_used: 0.5"),
        ("health: {1: 2}", "health holds {1: 2}; expected keys such as kv_barely_used: 0.5"),
        ("- health", "expected sections (health, resources), found ['health']"),
        ("health: {", "not YAML"),
    ],
)
def test_a_mistake_is_told_in_a_line_with_the_file_and_the_nearest_known_name(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"limits {tmp_path / 'limits.yaml'}: {told}")
    assert "\n" not in str(error.value)


def test_two_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"health\.kv_fine: Input.*; unknown key health\.queue;") as error:
        load(tmp_path, "health: {kv_fine: x, queue: 1}")
    assert str(error.value).count("limits ") == 1


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_limits(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_limits(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not YAML"):
        load_limits(tmp_path / "binary.yaml")
