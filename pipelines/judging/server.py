"""The judging page on this machine: HTTP by Python's own library, for one plan and whoever has its address.

The address holds a token, behind a `#`, so that it is in no log and no request line. Every request for data carries it
in a header of its own, which no other site's page can send; and `Host` must be an address or the name that was
listened on, so that no other site's name can lead here (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from pipelines.judging.campaign import Campaign, Grade
from stages.core.errors import ConfigError, InputError
from stages.report.judging_page import judging_page, meanings, policy

LARGEST_BODY, MOST_DISCARDED = 10_000, 1_000_000
TOKEN_HEADER = "X-Judging-Token"  # noqa: S105
IDLE_S = 60.0
"""So long a connection may say nothing."""


class JudgingServer(ThreadingHTTPServer):
    """Listens once it is made; `serve_forever` answers. Raises ConfigError where it cannot listen."""

    daemon_threads = True

    def __init__(self, campaign: Campaign, host: str, port: int) -> None:
        self.campaign = campaign
        self.host = host
        self.token = secrets.token_urlsafe(24)
        self.lock = threading.Lock()
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror or error}); give another --port"
            ) from error

    def server_bind(self) -> None:
        """Without asking the network what this machine is called, as the library's own does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the midst of an answer is no fault."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where the page is, with its token."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.server_port}/#{self.token}"

    def knows_host(self, header: str | None) -> bool:
        """Whether a request's Host is this machine's: an address, localhost, or the name that was listened on."""
        name = ""
        try:
            name = urlsplit(f"//{header or ''}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            return name in ("localhost", self.host.lower()) if header and name else False
        return True


class _Handler(BaseHTTPRequestHandler):
    server: JudgingServer
    protocol_version = "HTTP/1.1"
    server_version = "rerank-eval"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self.server.knows_host(self.headers["Host"]):
            self._refuse(HTTPStatus.FORBIDDEN, "this name is not this machine's: use the address that was printed")
        elif path == "/":
            nonce = secrets.token_urlsafe(16)
            self._send(HTTPStatus.OK, judging_page(nonce), "text/html", policy(nonce))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        # Read before anything is refused: a connection that is closed on unread bytes takes the answer with it.
        asked = self._body()
        answer = _ANSWERS.get(urlsplit(self.path).path)
        token = self.headers[TOKEN_HEADER] or ""
        if not self.server.knows_host(self.headers["Host"]):
            self._refuse(HTTPStatus.FORBIDDEN, "this name is not this machine's: use the address that was printed")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that the command printed last")
        elif answer is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif asked is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "the request is no small JSON object")
        else:
            self._answer(answer, asked)

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal is the command's."""

    def _answer(self, answer: Callable[[Campaign, Mapping[str, Any]], dict[str, Any]], asked: dict[str, Any]) -> None:
        try:
            with self.server.lock:
                told = answer(self.server.campaign, asked)
        except InputError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        except (KeyError, TypeError, ValueError):
            self._refuse(HTTPStatus.BAD_REQUEST, "the request lacks something, or holds something else")
        else:
            self._send(HTTPStatus.OK, json.dumps(told, ensure_ascii=False), "application/json")

    def _body(self) -> dict[str, Any] | None:
        try:
            length = int(self.headers["Content-Length"] or 0)
            if not 0 <= length <= LARGEST_BODY:
                self.rfile.read(min(max(length, 0), MOST_DISCARDED))
                return None
            found = json.loads(self.rfile.read(length) or b"{}")
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        # What of a body was not read would be taken for the next request.
        self.close_connection = True
        self._send(status, json.dumps({"error": words}), "application/json")

    def _send(self, status: HTTPStatus, text: str, kind: str, csp: str = "default-src 'none'") -> None:
        content = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", csp)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _state(campaign: Campaign, asked: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page shows, of the query at `place`; of the first that is not done where none is asked for."""
    progress, place = campaign.progress(), asked.get("place")
    if place is None:
        open_ones = (one for one in range(progress.number) if not campaign.is_done(one))
        place = next(open_ones, progress.number - 1)
    place = min(max(_whole(place), 0), progress.number - 1)
    query, grades = campaign.queries[place], campaign.grades(place)
    documents = [
        {
            "document": number,
            "text": text,
            "grade": grades.get(number),
            "id": query.doc_ids[number] if text is None else None,
        }
        for number, text in enumerate(query.texts)
        if query.known[number] is None
    ]
    return {
        "place": place,
        "query": query.query,
        "skipped": place in campaign.skipped,
        "done": campaign.is_done(place),
        "documents": documents,
        "progress": asdict(progress),
        "highest": campaign.plan.highest,
        "meanings": meanings(campaign.plan.highest),
        "verdict": campaign.verdict,
    }


def _grade(campaign: Campaign, asked: Mapping[str, Any]) -> dict[str, Any]:
    grade = asked["grade"]
    place, document = _whole(asked["place"]), _whole(asked["document"])
    campaign.record([Grade(place, document, None if grade is None else _whole(grade))])
    return _state(campaign, asked)


def _skip(campaign: Campaign, asked: Mapping[str, Any]) -> dict[str, Any]:
    campaign.skip(_whole(asked["place"]), skipped=asked["skipped"] is True)
    return _state(campaign, asked)


def _finish(campaign: Campaign, asked: Mapping[str, Any]) -> dict[str, Any]:
    campaign.finish()
    return _state(campaign, asked)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


_ANSWERS: Mapping[str, Callable[[Campaign, Mapping[str, Any]], dict[str, Any]]] = {
    "/state": _state,
    "/grade": _grade,
    "/skip": _skip,
    "/finish": _finish,
}
