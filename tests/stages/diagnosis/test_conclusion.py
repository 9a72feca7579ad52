"""Findings come to one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.diagnosis.conclusion import CAUSES_FIRST, conclude
from stages.diagnosis.direct import SideBySide, direct_findings
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.quality.agreement import agreement


def finding(kind: str, weight: Weight, words: str = "It is so.", advice: Advice | None = None) -> Finding:
    return Finding("resources", kind, weight, words, {}, advice)


def test_a_service_without_faults_is_called_healthy_with_the_reasons() -> None:
    told = conclude([finding("a", Weight.FINE, "Nothing waits."), finding("b", Weight.NOTE, "A disk rotates.")])
    assert told.bottleneck is None
    assert told.sentence == "The service is healthy: Nothing waits."


def test_the_sentence_holds_the_evidence_the_next_setting_and_the_effect() -> None:
    advice = Advice("add a replica", "half the wait", "serve.replicas", 1, 2)
    told = conclude([finding("queue", Weight.LIMIT, "Queries wait 900 ms.", advice)])
    assert told.sentence == (
        "The bottleneck: Queries wait 900 ms. Next: add a replica (serve.replicas: 1 → 2); expect: half the wait."
    )


def test_of_a_cause_and_its_effect_the_cause_is_named() -> None:
    queue, taken = finding("queue", Weight.LIMIT), finding("processor_taken", Weight.LIMIT)
    assert conclude([queue, taken]).bottleneck == taken


def test_wrong_results_come_before_slow_ones() -> None:
    slow, wrong = finding("one_thread", Weight.LIMIT), finding("scores_differ", Weight.BROKEN)
    assert conclude([slow, wrong]).bottleneck == wrong


KINDS = st.sampled_from([*CAUSES_FIRST, "something else"])


@given(st.lists(st.tuples(KINDS, st.sampled_from(Weight)), max_size=8), st.randoms())
def test_nothing_heavier_than_the_bottleneck_is_left_and_the_order_does_not_matter(seen: list, random) -> None:
    findings = [finding(kind, weight) for kind, weight in seen]
    first = conclude(findings).bottleneck
    random.shuffle(findings)
    second = conclude(findings).bottleneck
    assert (first is None) == all(one.weight <= Weight.NOTE for one in findings)
    assert first is None or first.weight == max(one.weight for one in findings)
    assert (first and (first.kind, first.weight)) == (second and (second.kind, second.weight))


def side_by_side(served: float, direct: float, difference: float) -> SideBySide:
    """Of one pair, where 0.01 is allowed."""
    scores = agreement(["q"], [0.5 + difference], [0.5], 0.01, probabilities=True)
    return SideBySide(100, served, direct, scores, 0.01, "3 times 0.0033")


def test_transformers_as_slow_means_the_model_and_transformers_faster_the_configuration() -> None:
    def kind(served: float, direct: float) -> tuple[str, Weight]:
        (one,) = direct_findings(side_by_side(served, direct, 0.001))
        return one.kind, one.weight

    assert kind(300, 100) == ("engine_faster", Weight.FINE)
    assert kind(100, 100) == ("model_or_machine", Weight.COST)
    assert kind(50, 100) == ("configuration", Weight.LIMIT)


def test_scores_that_differ_are_broken_however_fast_they_come() -> None:
    found = direct_findings(side_by_side(300, 100, 0.4))
    assert [(one.kind, one.weight) for one in found] == [
        ("engine_faster", Weight.FINE),
        ("scores_differ", Weight.BROKEN),
    ]
    assert "differ by up to 0.400, where 0.010 can be explained (3 times 0.0033)" in found[1].words
    assert (found[1].evidence["largest_difference"], found[1].evidence["tolerance"]) == (pytest.approx(0.4), 0.01)


def test_where_no_scores_can_be_compared_speed_alone_is_told() -> None:
    (one,) = direct_findings(SideBySide(100, 300, 100, None, 0.01, "3 times 0.0033"))
    assert one.kind == "engine_faster"
    assert one.evidence["largest_difference"] is None
