"""A real Prometheus for tests, and whether the dashboard and the rules find their data in it."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIGS = Path(__file__).parents[1] / "configs"
PROMETHEUS = CONFIGS / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((CONFIGS / "grafana" / "rerank.json").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
_NAME = re.compile(r"\b(?:vllm:|rerank_|rerank:)[a-z0-9_:]+")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy

requires_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not installed: apt-get install --no-install-recommends prometheus",
)


def dashboard_queries(rate_interval: str = "1m") -> dict[str, str]:
    """Panel and legend -> PromQL, as Grafana would send it."""
    return {
        f"{panel['title']} ({target['legendFormat']})": target["expr"].replace("$__rate_interval", rate_interval)
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }


def metric_names() -> set[str]:
    """Every name that the dashboard or a rule reads."""
    expressions = [*dashboard_queries().values(), *(rule["expr"] for rule in RULES)]
    return {name for expression in expressions for name in _NAME.findall(expression)}


def ask(prometheus_url: str, path: str, **parameters: str) -> Any:
    """The data that Prometheus answers with. AssertionError with its message where it refuses the question."""
    url = f"{prometheus_url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with _DIRECT.open(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"Prometheus refuses {parameters}: {error.read().decode()}") from error


def has_data(prometheus_url: str, expression: str) -> bool:
    """Whether the expression gives at least one finite number now."""
    result = ask(prometheus_url, "query", query=expression)["result"]
    return any(math.isfinite(float(series["value"][1])) for series in result)


def assert_dashboard_has_data(prometheus_url: str, timeout_s: float = 180.0) -> None:
    """Every query of the dashboard, every recording rule and every name that an alert reads has a finite number, and
    Prometheus evaluates every rule without an error.

    There must be traffic meanwhile or in the last minute: a percentile of nothing is not a number.
    """
    recorded = {rule["record"]: rule["record"] for rule in RULES if "record" in rule}
    missing = {**dashboard_queries(), **recorded, **{name: name for name in metric_names()}}
    deadline = time.monotonic() + timeout_s
    while missing:
        missing = {what: query for what, query in missing.items() if not has_data(prometheus_url, query)}
        assert not missing or time.monotonic() < deadline, f"no data within {timeout_s:g} s for {missing}"
        time.sleep(0.5 if missing else 0)
    _assert_rules_are_healthy(prometheus_url)


def _assert_rules_are_healthy(prometheus_url: str) -> None:
    rules = [rule for group in ask(prometheus_url, "rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {rule.get("record") or rule["alert"] for rule in RULES}
    sick = {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"}
    assert not sick, f"Prometheus cannot evaluate {sick}"


@contextlib.contextmanager
def running_prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus with our configuration that scrapes `target` (host:port) each second; gives its URL.

    It listens on a free port of the loopback interface, keeps its data in `folder`, and is gone at the end.
    """
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / file) for file in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield _url_when_ready(process, log)
        finally:
            process.terminate()


def _url_when_ready(process: subprocess.Popen[bytes], log: Path, timeout_s: float = 120.0) -> str:
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r'"Listening on".* address=(\S+)', log.read_text(encoding="utf-8")):
            with contextlib.suppress(urllib.error.URLError):  # 503 until it is ready
                _DIRECT.open(f"http://{found[1]}/-/ready", timeout=5).close()
                return f"http://{found[1]}"
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not start:\n{log.read_text(encoding='utf-8')}")
