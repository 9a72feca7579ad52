"""HostedScorer against stubs of each API: the numbers, what it does about refusals and outages, what it pays for."""

from __future__ import annotations

import math
import time
from email.utils import formatdate
from typing import Any

import pytest

from pipelines.hosted.meter import BudgetSpentError
from serve_app.settings import Api
from stages.core.errors import EngineError, ScoringError
from stages.core.scoring import sigmoid
from tests.api_server import running_api
from tests.hosted_api import Fault, stub_api
from tests.pipelines.hosted.asking import APIS, DOCUMENTS, KEY, QUERY, Asking, asking, local


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off as short as it can be: what is tested is what is done, not how long it takes."""
    monkeypatch.setattr("pipelines.hosted.patience.FIRST_WAIT_S", 0.001)


# --- the numbers ---


@pytest.mark.parametrize("api", APIS)
def test_scores_are_those_of_the_model_itself_in_the_documents_order(api: Api) -> None:
    with stub_api(api) as stub:
        found = (one := asking(stub, batch_documents=3)).score()
    expected = local()
    if api == "nim":  # whose numbers are logits
        assert [pair.logit for pair in found] == expected
        assert [pair.score for pair in found] == list(map(sigmoid, expected))
    else:
        assert [pair.score for pair in found] == expected
    assert sorted(stub.asked) == sorted([(QUERY, DOCUMENTS[:3]), (QUERY, DOCUMENTS[3:])])
    assert (one.meter.sent, one.meter.answered, one.meter.guessed) == (2, 2, 0)
    assert one.meter.units == (2 if api == "cohere" else 8)
    assert set(stub.keys) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("api", APIS)
def test_our_own_service_is_one_of_each_kind(api: Api) -> None:
    with running_api(keys=[KEY]) as service:
        found = Asking(service.url, api, batch_documents=2).score()
    expected = local()
    assert [pair.logit if api == "nim" else pair.score for pair in found] == expected


# --- refused, and asked again ---


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, {"retry-after": "0"}),
        Fault(429, {"retry-after": "0.01"}),
        Fault(429, {"retry-after-ms": "10"}),
        Fault(429, {"retry-after": formatdate(0, usegmt=True)}),
        Fault(429, {}, {"type": "rate", "details": {"retry_after": 0.01}}),
        Fault(429),
        Fault(500, {}, "<html>"),
        Fault(503),
        Fault(424),
        Fault(dropped=True),
        Fault(cut=True),
        Fault(spoilt=lambda _: "not json"),
    ],
)
def test_what_passes_is_asked_again_and_is_told(fault: Fault) -> None:
    with stub_api("jina", faults=[fault, fault]) as stub:
        found = (one := asking(stub)).score()
    assert [pair.score for pair in found] == local()
    assert (stub.tries, one.meter.sent, one.meter.answered, one.stopped) == (3, 3, 1, None)
    assert sum(one.meter.again.values()) == 2


def test_an_answer_that_takes_too_long_is_asked_for_again() -> None:
    with stub_api("jina", delay_s=0.5) as stub:
        one = asking(stub, timeout_s=0.1, retry_for_s=0.5)
        found = one.score()
    assert {pair.score for pair in found} == {None}
    assert "time-out" in str(found[0].error) and stub.tries > 1 and stub.tries == one.meter.sent


def test_nothing_leaves_while_the_server_asks_to_wait() -> None:
    with stub_api("jina", faults=[Fault(429, {"retry-after": "0.3"})]) as stub:
        times: list[float] = []
        stub.when_answered = lambda: times.append(time.monotonic())
        began_s = time.monotonic()
        asking(stub, batch_documents=1, concurrency=1).score()
    assert min(times) - began_s >= 0.3


def test_an_outage_ends_the_run_and_says_so() -> None:
    with stub_api("jina", faults=[Fault(503)] * 1000) as stub:
        found = (one := asking(stub, retry_for_s=0.1)).score()
    assert isinstance(one.stopped, EngineError) and "HTTP 503" in str(one.stopped)
    assert "hosted.retry_for_s" in str(one.stopped) and {pair.score for pair in found} == {None}


def test_a_wait_that_is_longer_than_allowed_is_not_waited() -> None:
    with stub_api("jina", faults=[Fault(429, {"retry-after": "3600"})]) as stub:
        one = asking(stub, retry_for_s=10)
        one.score()
    assert "to wait for 3600 s" in str(one.stopped) and stub.tries == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404, 302])
def test_what_no_other_request_would_get_past_ends_the_run(status: int) -> None:
    refusal = Fault(status, {"location": "http://elsewhere/"}, {"message": f"no: {KEY}"})
    with stub_api("jina", faults=[refusal]) as stub:
        found = (one := asking(stub, batch_documents=1, concurrency=1)).score()
    assert stub.tries == 1 and isinstance(one.stopped, EngineError)
    assert {pair.score for pair in found} == {None} and str(status) in str(one.stopped)
    assert KEY not in str(one.stopped)


# --- too large, and answered in part ---


@pytest.mark.parametrize("status", [413, 422, 400])
def test_a_request_over_the_limits_is_split(status: int) -> None:
    with stub_api("jina", most_documents=1, refused_with=status) as stub:
        found = (one := asking(stub)).score()
    assert [pair.score for pair in found] == local()
    assert sorted(text for _, (text,) in stub.asked) == sorted(DOCUMENTS) and one.meter.answered == 4


def test_one_document_that_is_too_large_fails_alone_and_with_the_servers_reason() -> None:
    with stub_api("jina", most_documents=0) as stub:
        found = (one := asking(stub)).score()
    assert all("too many documents" in str(pair.error) for pair in found) and one.stopped is None


def test_a_request_that_is_wrong_is_not_split() -> None:
    with stub_api("jina", faults=[Fault(400, {}, {"detail": "unknown field"})]) as stub:
        found = asking(stub).score()
    assert stub.tries == 1 and "unknown field" in str(found[0].error)


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (lambda told: told | {"results": told["results"][:-1]}, "scores for 3 of 4"),
        (lambda told: told | {"results": told["results"][:-1] + told["results"][:1]}, "once more or out of range"),
        (lambda told: told | {"results": [*told["results"], {"index": 9, "relevance_score": 1}]}, "out of range"),
        (lambda told: told | {"results": [one | {"relevance_score": None} for one in told["results"]]}, "no number"),
        (
            lambda told: told | {"results": [one | {"relevance_score": math.inf} for one in told["results"]]},
            "no number",
        ),
        (lambda told: {"data": told["results"]}, "no list of results"),
        (lambda told: [], "no list of results"),
    ],
)
def test_an_answer_in_part_is_an_error_and_never_a_zero(spoilt: Any, told: str) -> None:
    with stub_api("jina", faults=[Fault(spoilt=spoilt)]) as stub:
        found = (one := asking(stub)).score()
    assert {pair.score for pair in found} == {None} and told in str(found[0].error)
    assert one.kept == [] and stub.tries == 1


# --- what is paid for ---


def test_each_requests_scores_are_kept_though_another_one_fails() -> None:
    with stub_api("jina", faults=[Fault(), Fault(400, {}, {"detail": "bad"})]) as stub:
        found = (one := asking(stub, batch_documents=2, concurrency=1)).score()
    assert [pair.score is None for pair in found] == [False, False, True, True]
    assert [documents for documents, _ in one.kept] == [DOCUMENTS[:2]]


def test_no_more_requests_than_the_budget_are_sent() -> None:
    with stub_api("jina") as stub:
        found = (one := asking(stub, batch_documents=1, max_requests=3)).score()
    assert isinstance(one.stopped, BudgetSpentError) and stub.tries == 3
    assert sum(pair.score is not None for pair in found) == len(one.kept) == 3


def test_no_more_money_than_the_budget_is_spent() -> None:
    with stub_api("cohere") as stub:
        one = asking(stub, batch_documents=1, price_per_1000_search_units=2.0, max_cost=0.005)
        one.score()
    assert isinstance(one.stopped, BudgetSpentError) and "max_cost" in str(one.stopped)
    assert stub.tries == 2 and one.meter.cost == pytest.approx(0.004)


@pytest.mark.parametrize(
    "budget",
    [{"max_requests": 30}, {"max_cost": 0.03, "price_per_1000_requests": 1}],
    ids=["requests", "money"],
)
def test_a_budget_of_exactly_what_it_takes_is_enough(budget: dict[str, Any]) -> None:
    with stub_api("jina") as stub:
        one = asking(stub, batch_documents=1, concurrency=1, **budget)
        found = one.score([f"fox {place}" for place in range(30)])
    assert one.stopped is None and stub.tries == 30 and all(pair.score is not None for pair in found)


def test_no_more_requests_are_at_work_than_allowed() -> None:
    with stub_api("jina", delay_s=0.02) as stub:
        asking(stub, batch_documents=1, concurrency=2).score(DOCUMENTS * 3)
    assert stub.most_at_once == 2


# --- what cannot be asked ---


def test_an_instruction_that_an_api_cannot_take_is_refused_instead_of_dropped() -> None:
    with stub_api("cohere") as stub, pytest.raises(ScoringError, match="takes no instruction"):
        asking(stub).score(instruction="find foxes")
    assert stub.tries == 0
