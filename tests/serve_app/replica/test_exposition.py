"""Several registries become one text that Prometheus reads: nothing lost, nothing twice, all told apart."""

from __future__ import annotations

import re
import subprocess
from collections import Counter as Tally

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from serve_app.http.metrics import ServiceMetrics
from serve_app.replica.exposition import labelled_exposition, merge_expositions
from tests.monitoring import requires_prometheus


def engine_registry(label: str = "m", text: str = "Prompt tokens.") -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("vllm:prompt_tokens", text, ["model_name"], registry=registry).labels(label).inc(7)
    Histogram("vllm:request_queue_time_seconds", text, ["model_name"], registry=registry).labels(label).observe(0.4)
    return registry


def samples(text: str) -> Tally[tuple[str, frozenset[tuple[str, str]], float]]:
    families = text_string_to_metric_families(text)
    return Tally((one.name, frozenset(one.labels.items()), one.value) for family in families for one in family.samples)


def test_a_counter_keeps_its_help_type_and_total_and_says_whose_it_is() -> None:
    registry = CollectorRegistry()
    Counter("vllm:prompt_tokens", "Prompt tokens.", ["engine"], registry=registry).labels("0").inc(7)
    assert labelled_exposition(registry, "r1") == (
        "# HELP vllm:prompt_tokens_total Prompt tokens.\n"
        "# TYPE vllm:prompt_tokens_total counter\n"
        'vllm:prompt_tokens_total{engine="0",replica="r1"} 7.0\n'
    )


def test_only_families_of_the_engine_and_of_ours_are_kept() -> None:
    registry = engine_registry()
    ServiceMetrics(registry)
    Gauge("process_resident_memory_bytes", "Not ours.", registry=registry)
    Gauge("ray_vllm:kv", "Not ours either.", registry=registry)
    names = {family.name for family in text_string_to_metric_families(labelled_exposition(registry, "r1"))}
    assert {"vllm:prompt_tokens", "rerank_requests", "rerank_queue_seconds"} <= names
    assert all(name.startswith(("vllm:", "rerank_")) for name in names)


def test_times_of_creation_are_left_out() -> None:
    assert "_created" not in labelled_exposition(engine_registry(), "r1")


def test_the_registry_is_as_before() -> None:
    registry = engine_registry()
    labelled_exposition(registry, "r1")
    assert registry.get_sample_value("vllm:prompt_tokens_total", {"model_name": "m"}) == 7


def test_a_registry_without_such_families_gives_an_empty_text() -> None:
    assert labelled_exposition(CollectorRegistry(), "r1") == ""
    assert merge_expositions([]) == merge_expositions(["", ""]) == ""


def test_merging_puts_the_samples_of_all_replicas_under_one_help_and_type() -> None:
    first = '# HELP vllm:a A.\n# TYPE vllm:a gauge\nvllm:a{replica="r1"} 1.0\n'
    second = (
        '# HELP rerank_b B.\n# TYPE rerank_b gauge\nrerank_b{replica="r2"} 3.0\n'
        '# HELP vllm:a A, newer.\n# TYPE vllm:a gauge\nvllm:a{replica="r2"} 2.0\n'
    )
    assert merge_expositions([first, second]) == (
        '# HELP vllm:a A.\n# TYPE vllm:a gauge\nvllm:a{replica="r1"} 1.0\nvllm:a{replica="r2"} 2.0\n'
        '# HELP rerank_b B.\n# TYPE rerank_b gauge\nrerank_b{replica="r2"} 3.0\n'
    )


def test_one_text_merges_to_itself() -> None:
    text = labelled_exposition(engine_registry(), "r1")
    assert merge_expositions([text]) == text


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_merging_loses_and_doubles_no_sample_whatever_stands_in_labels_and_help(quoted: list[tuple[str, str]]) -> None:
    texts = [
        labelled_exposition(engine_registry(label, text), f"r{number}") for number, (label, text) in enumerate(quoted)
    ]
    merged = merge_expositions(texts)
    assert samples(merged) == sum((samples(text) for text in texts), Tally())
    assert all(count == 1 for count in Tally(re.findall(r"^# TYPE (\S+)", merged, re.MULTILINE)).values())


def test_a_label_that_looks_like_a_family_is_a_label() -> None:
    trap = '"\n# HELP vllm:prompt_tokens_total x\n# TYPE vllm:prompt_tokens_total counter\n'
    texts = [labelled_exposition(engine_registry(trap, trap), replica) for replica in ("r1", trap)]
    assert samples(merge_expositions(texts)) == samples(texts[0]) + samples(texts[1])


@requires_prometheus
def test_promtool_finds_nothing_wrong_but_vllms_colons() -> None:
    registries = [engine_registry(), engine_registry()]
    for registry in registries:
        ServiceMetrics(registry).request_done("rerank", "ok", "none", 0.1, 10, 1_000)
    text = merge_expositions(labelled_exposition(one, f"r{number}") for number, one in enumerate(registries))
    check = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    complaints = [line for line in check.stderr.splitlines() if "should not contain ':'" not in line]
    assert (complaints, check.returncode) == ([], 3)  # 3: it read everything, and has something to say
