"""The page's server: for whoever has the address, and no other site; whatever is sent to it, the plan stays whole."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.ports import free_port
from pipelines.judging.campaign import Campaign
from pipelines.judging.plan import PlanOrder, make_plan
from pipelines.judging.server import LARGEST_BODY, TOKEN_HEADER, JudgingServer
from stages.core.errors import ConfigError
from tests.pipelines.unjudged_runs import HOSTILE, unjudged_run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JudgingServer]:
    unjudged_run(tmp_path / "run", 30, documents=4, same=0, text=HOSTILE + "{}")
    folder = make_plan(PlanOrder([tmp_path / "run"], tmp_path / "plan", "ndcg@3", 0.2, pilot=20))
    with JudgingServer(Campaign(folder), "127.0.0.1", free_port()) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


Answer = tuple[int, dict[str, str], str]


def call(server: JudgingServer, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    told = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    connection.close()
    return told


def post(server: JudgingServer, path: str, **content: Any) -> tuple[int, dict[str, Any]]:
    body = json.dumps(content).encode()
    status, _, text = call(server, "POST", path, body, **{TOKEN_HEADER: server.token})
    return status, json.loads(text)


def test_the_page_holds_nothing_of_the_data_and_may_load_nothing_from_elsewhere(server: JudgingServer) -> None:
    status, headers, page = call(server, "GET", "/")
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    assert "onerror" not in page and "question" not in page and server.token not in page
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-") and "unsafe" not in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert page.count(f'nonce="{nonce}"') == 2
    assert call(server, "GET", "/")[1]["content-security-policy"] != policy
    assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
    assert "http://" not in page and "https://" not in page


def test_a_query_comes_with_its_documents_and_neither_ids_nor_ranks(server: JudgingServer) -> None:
    status, told = post(server, "/state")
    query = server.campaign.queries[0]
    assert status == 200 and told["query"] == query.query
    assert [set(one) for one in told["documents"]] == [{"document", "text", "grade", "id"}] * len(query.doc_ids)
    assert [one["text"] for one in told["documents"]] == list(query.texts)
    assert {one["id"] for one in told["documents"]} == {None}
    assert told["verdict"] is None and "change" not in json.dumps(told)
    assert told["meanings"] == ["not relevant", "related, no answer", "answers in part", "answers fully"]


@pytest.mark.parametrize("path", ["/state", "/grade", "/skip", "/finish"])
@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_without_the_token_nothing_is_told_or_done(server: JudgingServer, path: str, token: str | None) -> None:
    headers = {} if token is None else {TOKEN_HEADER: token.encode("utf-8").decode("latin-1")}
    body = json.dumps({"place": 0, "document": 0, "grade": 1, "skipped": True}).encode()
    status, _, text = call(server, "POST", path, body, **headers)
    assert status == 403 and json.loads(text) == {"error": "open the address that the command printed last"}
    assert not server.campaign.grades(0) and not server.campaign.skipped


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "["]
)
def test_another_sites_name_leads_nowhere_even_with_the_token(server: JudgingServer, host: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/state")):
        status, _, text = call(server, method, path, b"{}", Host=host, **{TOKEN_HEADER: server.token})
        assert status == 403 and "not this machine's" in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8000", "[::1]:8000", "192.168.1.4:8000"])
def test_addresses_and_localhost_are_this_machine(server: JudgingServer, host: str) -> None:
    assert call(server, "GET", "/", Host=host)[0] == 200


def test_another_sites_page_may_not_read_or_send(server: JudgingServer) -> None:
    status, headers, _ = call(server, "OPTIONS", "/grade", Origin="http://evil.example")
    assert status == 501
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/grade", {}, 400),
        ("/grade", {"place": 0, "document": 0}, 400),
        ("/grade", {"place": "0", "document": 0, "grade": 1}, 400),
        ("/grade", {"place": 0, "document": 0, "grade": True}, 400),
        ("/grade", {"place": 0, "document": 0, "grade": 1.5}, 400),
        ("/grade", {"place": 0, "document": 0, "grade": 7}, 409),
        ("/grade", {"place": 0, "document": 99, "grade": 1}, 409),
        ("/grade", {"place": 29, "document": 0, "grade": 1}, 409),
        ("/skip", {"place": -1, "skipped": True}, 409),
        ("/finish", {}, 409),
        ("/state", {"place": "x"}, 400),
        ("/other", {}, 404),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_a_sentence(
    server: JudgingServer, path: str, content: dict[str, Any], status: int
) -> None:
    found, told = post(server, path, **content)
    assert (found, [*told]) == (status, ["error"])
    assert not server.campaign.folder.journal.exists()
    assert post(server, "/state")[0] == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b" " * (LARGEST_BODY + 1), b"[" * 9000])
def test_a_body_that_is_no_small_object_is_refused(server: JudgingServer, body: bytes) -> None:
    status, _, text = call(server, "POST", "/state", body, **{TOKEN_HEADER: server.token})
    assert status == 400 and "no small JSON object" in text
    assert post(server, "/state")[0] == 200


def test_two_tabs_that_press_at_once_lose_no_grade(server: JudgingServer) -> None:
    pressed = [(place, document, (place + document) % 4) for place in range(20) for document in range(4)]
    pressed = [one for one in pressed if one[1] < len(server.campaign.queries[one[0]].doc_ids)]
    with ThreadPoolExecutor(8) as tabs:
        answers = [*tabs.map(lambda one: post(server, "/grade", place=one[0], document=one[1], grade=one[2]), pressed)]
    assert {status for status, _ in answers} == {200}
    again = Campaign(server.campaign.folder)
    assert {(place, document): grade for place in range(20) for document, grade in again.grades(place).items()} == {
        (place, document): grade for place, document, grade in pressed
    }


def test_the_last_grade_and_finishing_lead_to_the_verdict(server: JudgingServer) -> None:
    for place in range(30):
        if place < server.campaign.number:
            for document in range(len(server.campaign.queries[place].doc_ids)):
                _, told = post(server, "/grade", place=place, document=document, grade=(place * document) % 4)
    assert told["progress"]["complete"] and told["verdict"] is None
    assert post(server, "/finish")[1]["verdict"]["words"].startswith("ndcg@3 ")
    assert post(server, "/grade", place=0, document=0, grade=0)[0] == 409


def test_a_port_that_is_taken_is_told(server: JudgingServer) -> None:
    with pytest.raises(ConfigError, match="give another --port"):
        JudgingServer(server.campaign, "127.0.0.1", server.server_port)
