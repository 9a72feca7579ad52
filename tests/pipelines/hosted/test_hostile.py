"""What servers, and what stands before them, do wrong: a reason in one line, and never a score that is none."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.base.paid_sections import HostedSettings
from pipelines.base.ports import free_port
from pipelines.hosted.asker import MOST_USELESS
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.endpoint import endpoint_of, limited, told_by
from pipelines.hosted.meter import Meter
from serve_app.settings import Api, ModelSettings
from stages.core.errors import ConfigError, EngineError
from tests.hosted_api import Fault, StubApi, stub_api
from tests.pipelines.hosted.asking import APIS, DOCUMENTS, KEY, Asking, asking, local

RESULTS = {"tei": None, "nim": "rankings", "voyage": "data"}
SCORE = {"tei": "score", "nim": "logit"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.hosted.patience.FIRST_WAIT_S", 0.001)


def spoiling(api: str, change: Callable[[list[dict[str, Any]], str], Any]) -> Callable[[Any], Any]:
    """`change` gets the results of a good answer and the key under which each has its score."""

    def spoil(content: Any) -> Any:
        name = RESULTS.get(api, "results")
        results = change(content if name is None else content[name], SCORE.get(api, "relevance_score"))
        return results if name is None else content | {name: results}

    return spoil


# --- answers ---


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda results, score: results[:-1], "scores for 3 of 4"),
        (lambda results, score: [*results, results[0]], "once more or out of range"),
        (lambda results, score: [*results[:-1], results[-1] | {"index": 4}], "index 4 for 4 documents"),
        (lambda results, score: [*results[:-1], results[-1] | {"index": -1}], "index -1"),
        (lambda results, score: [one | {"index": str(one["index"])} for one in results], "index of type str"),
        (lambda results, score: [one | {score: None} for one in results], "None for document"),
        (lambda results, score: [one | {score: float("nan")} for one in results], "nan for document"),
        (lambda results, score: [one | {score: 10**400} for one in results], "which is no number"),
        (lambda results, score: [one | {score: 1e300} for one in results], "single precision"),
        (lambda results, score: [one | {score: KEY} for one in results], "of type str"),
        (lambda results, score: [one[score] for one in results], "index None"),
        (lambda results, score: {"0": 1.0}, "no list of"),
        (lambda results, score: [], "scores for 0 of 4"),
    ],
)
def test_no_api_gets_a_score_out_of_half_an_answer(api: Api, change: Any, told: str) -> None:
    with stub_api(api, faults=[Fault(spoilt=spoiling(api, change))]) as stub:
        found = (one := asking(stub)).score()
    assert {pair.score for pair in found} == {None} and told in str(found[0].error)
    assert one.kept == [] and KEY[:6] not in str(found[0].error)


@pytest.mark.parametrize("api", APIS)
def test_results_in_any_order_are_put_by_their_index(api: Api) -> None:
    with stub_api(api, faults=[Fault(spoilt=spoiling(api, lambda results, _: results[::-1]))]) as stub:
        found = asking(stub).score()
    assert [pair.logit if api == "nim" else pair.score for pair in found] == local()


@pytest.mark.parametrize(
    "body", [{"error": {"message": "out of\nstock"}}, {"detail": [{"msg": "out of stock"}]}, {"message": "out of"}]
)
def test_a_200_that_is_an_error_is_told_in_its_own_words(body: Any) -> None:
    with stub_api("jina", faults=[Fault(spoilt=lambda _: body)]) as stub:
        found = asking(stub).score()
    assert "no list of results" in str(found[0].error) and "It says: out of" in str(found[0].error)


@pytest.mark.parametrize("said", ["[/bold] \x1b[2J", "\ud800", "a" * 5000, "[" * 100, f"'{KEY}' is no key"])
def test_whatever_a_server_says_is_one_short_line_that_a_file_takes(said: str) -> None:
    with stub_api("jina", faults=[Fault(400, {}, {"detail": said})]) as stub:
        (error, *_) = [str(pair.error) for pair in asking(stub).score()]
    assert error.isprintable() and len(error) <= 200 and error.encode() and KEY not in error


@pytest.mark.parametrize("body", ["[" * 100_000, '{"results": ' + "1" * 5000 + "}", "", "null", '"text"', "<html>"])
def test_a_body_of_nonsense_is_no_traceback(body: str) -> None:
    with stub_api("jina", faults=[Fault(spoilt=lambda _: body)] * 3) as stub:
        found = asking(stub).score()
    assert {pair.score for pair in found} == {None}


def test_a_bill_of_nonsense_is_a_guess() -> None:
    for units in (10**400, float("nan"), -1, "many", True, [1]):
        with stub_api(
            "jina", faults=[Fault(spoilt=lambda told, u=units: told | {"usage": {"total_tokens": u}})]
        ) as stub:
            found = (one := asking(stub)).score()
        assert [pair.score for pair in found] == local() and one.meter.guessed == 1


def test_a_packed_answer_is_read_and_a_broken_one_is_asked_for_again() -> None:
    packed = Fault(headers={"content-encoding": "gzip"}, packed=gzip.compress)
    broken = Fault(headers={"content-encoding": "gzip"}, packed=lambda body: body)
    with stub_api("jina", faults=[broken, packed]) as stub:
        found = (one := asking(stub)).score()
    assert [pair.score for pair in found] == local() and dict(one.meter.again) == {"cut answer": 1}


def test_an_answer_that_drips_is_not_waited_for_longer_than_allowed() -> None:
    with stub_api("jina", faults=[Fault(drip_s=0.05)]) as stub:
        found = (one := asking(stub, timeout_s=0.5)).score()
    assert [pair.score for pair in found] == local() and dict(one.meter.again) == {"time-out": 1}


# --- refusals ---


def test_a_server_that_says_come_at_once_is_not_asked_without_a_pause() -> None:
    with stub_api("jina", faults=[Fault(429, {"retry-after": "0"})] * 10_000) as stub:
        asking(stub, retry_for_s=0.5).score()
    assert 1 < stub.tries < 20


def test_what_a_request_waits_for_its_turn_does_not_count_as_trying() -> None:
    with stub_api("jina", faults=[Fault()] * 3 + [Fault(429)]) as stub:
        found = asking(stub, batch_documents=1, requests_per_minute=120, retry_for_s=1).score()
    assert [pair.score for pair in found] == local()


def test_a_pair_that_kills_its_server_fails_alone() -> None:
    def refuses(_: str, documents: list[str]) -> Fault | None:
        return Fault(500) if "a dog" in documents else None

    with stub_api("jina", refuses=refuses) as stub:
        found = (one := asking(stub, batch_documents=1, retry_for_s=0.2, concurrency=1)).score()
    assert [pair.score is None for pair in found] == [True, False, False, False] and one.stopped is None


def test_an_outage_in_the_midst_ends_the_run_once_two_requests_in_a_row_are_given_up() -> None:
    with stub_api("jina", faults=[Fault()] + [Fault(503)] * 10_000) as stub:
        found = (one := asking(stub, batch_documents=1, retry_for_s=0.2, concurrency=1)).score()
    assert [pair.score is None for pair in found] == [False, True, True, True]
    assert isinstance(one.stopped, EngineError)


def test_one_text_that_a_firewall_refuses_fails_alone() -> None:
    with stub_api("jina", faults=[Fault(), Fault(403, {}, {"message": "blocked"})]) as stub:
        found = (one := asking(stub, batch_documents=1, concurrency=1)).score()
    assert [pair.score is None for pair in found] == [False, True, False, False] and one.stopped is None


def test_a_key_that_is_revoked_in_the_midst_ends_the_run() -> None:
    with stub_api("jina", faults=[Fault(), Fault(401)]) as stub:
        one = asking(stub, batch_documents=1, concurrency=1)
        one.score()
    assert stub.tries == 2 and "model.key_env" in str(one.stopped)


@pytest.mark.parametrize("fault", [Fault(400, {}, {"detail": "unknown field"}), Fault(spoilt=lambda _: {"data": []})])
def test_answers_without_a_score_are_not_paid_for_without_end(fault: Fault) -> None:
    with stub_api("jina", refuses=lambda *_: fault) as stub:
        one = asking(stub, batch_documents=1, concurrency=1)
        one.score(DOCUMENTS * MOST_USELESS)
    assert stub.tries == MOST_USELESS and "in a row got no score" in str(one.stopped)


def test_a_400_about_an_api_token_is_not_taken_for_one_about_size() -> None:
    with stub_api("jina", faults=[Fault(400, {}, {"detail": "invalid api token"})]) as stub:
        asking(stub).score()
    assert stub.tries == 1


def test_a_wrong_path_is_told_with_the_usual_one() -> None:
    with stub_api("jina", faults=[Fault(404)]) as stub:
        one = Asking(f"{stub.url}/v1", "jina")
        one.score()
    assert "the usual path is /v1/rerank" in str(one.stopped)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_key_and_the_texts_go_to_no_other_host(status: int) -> None:
    with stub_api("jina") as other, stub_api("jina", faults=[Fault(status, {"location": other.url})]) as stub:
        one = asking(stub)
        one.score()
    assert other.paths == [] and f"go on to {other.url}" in str(one.stopped)


# --- ways to the server ---


def test_an_address_of_ipv6_is_asked() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with stub_api("jina", host="::1") as stub:
        assert [pair.score for pair in asking(stub).score()] == local()


def test_a_server_on_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with stub_api("jina") as stub:
        assert [pair.score for pair in asking(stub).score()] == local()
        assert "proxy" not in asking(stub).endpoint.sent_to()


def test_another_is_asked_through_the_proxy_which_the_first_line_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with stub_api("jina") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:pw12345@"))
        one = Asking("http://reranker.example", "jina")
        assert [pair.score for pair in one.score()] == local()
    assert proxy.paths == ["http://reranker.example/v1/rerank"]
    assert "through the proxy http://***@127.0.0.1" in one.endpoint.sent_to()


def test_where_nobody_answers_the_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pw12345@127.0.0.1:{free_port()}")
    one = Asking("http://reranker.example", "jina", retry_for_s=0.01)
    told = {pair.error for pair in one.score()}
    assert len(told) == 1 and "(broken connection: " in str(told), told
    assert "through the proxy http://***@127.0.0.1:" in str(told), told


def test_a_proxy_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "htp://proxy")
    with pytest.raises(ConfigError, match="the proxy that"):
        Asking("http://reranker.example", "jina").score()


def test_a_certificate_that_cannot_be_checked_is_not_tried_for_minutes() -> None:
    with stub_api("jina") as stub:
        one = Asking(stub.url.replace("http:", "https:"), "jina")
        one.score()
    assert one.meter.sent == 1 and "SSL" in str(one.stopped) and stub.tries == 0


@pytest.mark.parametrize(
    "name", ["http://[::1", "http://host:99999", "http://ho st", "http://", "ftp://host", "http://h\n"]
)
def test_what_is_no_address_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="give the address"):
        endpoint_of(ModelSettings(name=name, api="tei"), {})


def test_an_address_that_holds_the_key_is_refused_without_showing_it() -> None:
    model = ModelSettings(name=f"https://host/{KEY}/rerank", api="tei", key_env="KEY")
    with pytest.raises(ConfigError, match="holds the key of KEY") as refused:
        endpoint_of(model, {"KEY": KEY})
    assert KEY not in str(refused.value)


# --- what it says of itself ---


def said_by(stub: StubApi, path: str = "", **settings: Any) -> tuple[dict[str, Any], int | None]:
    """What is kept of it, and how many documents a request may have."""
    model = ModelSettings(name=f"{stub.url}{path}", api=stub.api, served_as="overlap", key_env="KEY")  # type: ignore[arg-type]
    endpoint = endpoint_of(model, {"KEY": KEY})
    given = HostedSettings.model_validate(settings)

    async def ask() -> dict[str, Any]:
        async with HostedScorer(endpoint, given, Meter(endpoint.shape, given)) as scorer:
            return await scorer.tell()

    answers = asyncio.run(ask())
    return told_by(endpoint, answers), limited(endpoint, answers).most_documents


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ({"max_client_batch_size": 8, "max_concurrent_requests": 512}, 8),
        ({"max_client_batch_size": 128, "max_concurrent_requests": 64}, 64),
        ({"max_client_batch_size": 0, "max_concurrent_requests": "many"}, 32),
        ({}, 32),
    ],
)
def test_tei_says_how_many_documents_it_takes(told: dict[str, Any], most: int) -> None:
    info = {"model_id": "m", "model_sha": "s", "version": "1", "model_type": {"reranker": {}}, **told}
    with stub_api("tei", info={"/info": info}) as stub:
        assert said_by(stub) == ({"model_id": "m", "model_sha": "s", "version": "1"}, most)


def test_tei_with_an_embedding_model_is_refused_at_once() -> None:
    info = {"/info": {"model_type": {"embedding": {"pooling": "cls"}}}}
    with stub_api("tei", info=info) as stub, pytest.raises(EngineError, match="no reranker but embedding"):
        said_by(stub)


def test_a_server_behind_a_prefix_is_asked_there_and_an_unknown_path_not_at_all() -> None:
    with stub_api("tei", info={"/a/tei/info": {"model_id": "mine"}, "/info": {"model_id": "other"}}) as stub:
        assert said_by(stub, "/a/tei/rerank") == ({"model_id": "mine"}, 32)
        assert said_by(stub, "/a/endpoint") == ({}, 32)


def test_the_word_of_another_model_is_not_taken() -> None:
    listed = {"data": [{"id": "a", "root": "/a"}, {"id": "b", "root": "/b"}]}
    with stub_api("vllm", info={"/v1/models": listed, "/version": {"version": "1"}}) as stub:
        assert said_by(stub) == ({"version": "1"}, None)
    listed["data"][1]["id"] = "overlap"
    with stub_api("vllm", info={"/v1/models": listed}) as stub:
        assert said_by(stub)[0] == {"id": "overlap", "root": "/b"}


def test_a_key_that_is_echoed_is_in_no_identity() -> None:
    with stub_api("tei", info={"/info": {"model_id": f"for {KEY}", "version": "1", "sha": "\ud800"}}) as stub:
        assert said_by(stub)[0] == {"version": "1"}


def test_asking_what_it_is_counts_for_no_budget() -> None:
    with stub_api("vllm", info={"/v1/models": {"data": [{"id": "overlap"}]}, "/version": {"version": "1"}}) as stub:
        assert said_by(stub, max_requests=1, max_cost=0.001, price_per_1000_requests=100)[0]["version"] == "1"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_told_before_a_text_is_sent(status: int) -> None:
    info = {"/info": {"error": json.dumps({"no": KEY})}}
    with (
        stub_api("tei", info=info, told_status=status) as stub,
        pytest.raises(EngineError, match=r"See model\.key_env") as refused,
    ):
        said_by(stub)
    assert stub.tries == 0 and KEY not in str(refused.value)
