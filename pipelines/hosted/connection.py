"""One HTTP connection pool to a hosted model: a request -> its answer, or why it is to be sent again. httpx is here."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

from pipelines.base.redaction import redacted_text
from pipelines.hosted.address import is_here, proxy_of
from pipelines.hosted.endpoint import Endpoint
from stages.core.errors import ConfigError, first_line

# Shorter than servers and balancers keep an idle connection: one that is closed as it is used costs a try.
KEEP_ALIVE_S = 20.0
BROKEN, CUT = "broken connection", "cut answer"


class Again(NamedTuple):
    """Why a request is to be sent once more, and after how long (s), where the server says. `detail` is in its own
    words; `lasting`: nothing that time mends.
    """

    reason: str
    wait_s: float | None = None
    detail: str = ""
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`content` is the body's JSON; where it `is_json` not, None. `phrase` is the status in words."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    content: Any
    is_json: bool
    begins: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        return 300 <= self.status < 400

    def says(self) -> str:
        """What an error's body says, wherever its API puts that; without one the status in words."""
        if self.is_redirect and (location := self.headers.get("location")):
            return f"go on to {location}"
        content = self.content
        for _ in range(4):
            if isinstance(content, dict):
                names = ("message", "error", "detail", "msg")
                content = next((content[name] for name in names if content.get(name)), "")
            elif isinstance(content, list) and content:
                content = content[0]
        return first_line(Exception(str(content))) if content else self.phrase


class Connection:
    """Opened with `async with`. The key goes to the endpoint's own host alone: no redirect is followed.

    Raises ConfigError where the address, or a proxy that the environment names, cannot be used.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float, at_once: int) -> None:
        self.endpoint, self._timeout_s = endpoint, timeout_s
        proxy = proxy_of(endpoint.url)
        self._through = f"through the proxy {proxy}" if proxy else ""
        limits = httpx.Limits(max_connections=at_once, keepalive_expiry=KEEP_ALIVE_S)
        # As everywhere else, proxies are for what is not on this machine.
        direct = httpx.AsyncHTTPTransport(limits=limits) if is_here(endpoint.url) else None
        try:
            httpx.URL(endpoint.url)
            self._client = httpx.AsyncClient(
                headers=endpoint.headers, timeout=timeout_s, limits=limits, transport=direct
            )
        except httpx.InvalidURL as error:
            raise ConfigError(f"{endpoint.named.url} {redacted_text(endpoint.url)}: is no address ({error})") from error
        except (ValueError, ImportError) as error:
            told = redacted_text(first_line(error))
            raise ConfigError(f"the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names: {told}") from error

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, body: Any) -> Answer | Again:
        return await self._sent(self._client.post(self.endpoint.url, json=body))

    async def get(self, url: str) -> Answer | Again:
        return await self._sent(self._client.get(url))

    async def _sent(self, answer: Awaitable[httpx.Response]) -> Answer | Again:
        """The whole answer must be there in time, however it drips."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return _answer(await answer)
        except (TimeoutError, httpx.TimeoutException):
            return Again("time-out", detail=self._through)
        except httpx.DecodingError as error:
            return Again(CUT, detail=first_line(error))
        except httpx.RequestError as error:
            causes = list(_causes(error))
            detail = next((first_line(one) for one in causes if str(one)), first_line(error))
            detail = ", ".join(filter(None, [detail, self._through]))
            return Again(BROKEN, detail=detail, lasting=any(map(_lasts, causes)))


def _answer(response: httpx.Response) -> Answer:
    try:
        content, is_json = json.loads(response.content), True
    except (ValueError, RecursionError):
        content, is_json = None, False
    begins = response.content[:1000].decode("utf-8", "replace")
    return Answer(response.status_code, response.reason_phrase, response.headers, content, is_json, begins)


def _lasts(cause: BaseException) -> bool:
    """Whether it is of a certificate, a name that does not exist, or a request that HTTP cannot carry."""
    unknown = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    return unknown or isinstance(cause, ssl.SSLError | httpx.LocalProtocolError | httpx.UnsupportedProtocol)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
