"""Ray's job server, asked through Ray's own client."""

from __future__ import annotations

import logging
import os
from typing import Any, NoReturn

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from stages.core.errors import EngineError, InputError

CONNECT_S, ANSWER_S = 5.0, 60.0  # seconds that a question may take


class JobServer(JobSubmissionClient):
    """Ray's client, but each failure is an EngineError of one line, and a question is not waited on forever."""

    def _do_request(self, method: str, endpoint: str, **arguments: Any) -> Any:
        # Uploads may take their time.
        limit: dict[str, Any] = {"timeout": (CONNECT_S, ANSWER_S)} if method == "GET" else {}
        try:
            return super()._do_request(method, endpoint, **arguments, **limit)
        except AuthenticationError as error:
            raise _token_wanted(self._address) from error
        except OSError as error:  # which all errors of requests are
            raise EngineError(
                f"no Ray job server answers at {self._address} ({type(error).__name__}). Start the cluster, or give "
                "the address of its dashboard: --address http://HEAD:8265"
            ) from error

    def _raise_error(self, r: Any) -> NoReturn:
        raise EngineError(f"the job server at {self._address} answers {r.status_code}: {last_line(r.text)}")


def connect(address: str) -> JobServer:
    """A client of the job server at `address`, an http(s) URL.

    Raises InputError for another kind of address, EngineError when no job server answers there or it asks for a token.
    """
    if not address.startswith(("http://", "https://")):
        raise InputError(
            f"--address {address}: not a job server's. Give the address of the cluster's dashboard: "
            "--address http://HEAD:8265"
        )
    logging.disable(logging.WARNING)  # Ray's client tells of every ignore file that it finds
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray prefers its variables to the argument
    try:
        return JobServer(address)
    except AuthenticationError as error:  # this side wants to send a token, and has none
        raise _token_wanted(address) from error
    except (RuntimeError, OSError, ValueError, LookupError) as error:
        raise EngineError(
            f"what answers at {address} is no Ray job server ({last_line(str(error))}). Give the address of the "
            "cluster's dashboard: --address http://HEAD:8265"
        ) from error


def _token_wanted(address: str) -> EngineError:
    return EngineError(
        f"the job server at {address}: no token, or the wrong one. Put the cluster's into RAY_AUTH_TOKEN, with "
        "RAY_AUTH_MODE=token; for a cluster that was started without tokens say RAY_AUTH_MODE=disabled"
    )


def last_line(text: str) -> str:
    """Of what may be a traceback, the line that says what happened."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")
