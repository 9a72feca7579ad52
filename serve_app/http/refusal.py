"""How a request ends that is not answered."""

from __future__ import annotations

from serve_app.http.metrics import Reason


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class RefusalError(Exception):
    """A request that gets an error for an answer: status, code and message of it."""

    def __init__(self, status: int, reason: Reason, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.param = status, reason, message, param
