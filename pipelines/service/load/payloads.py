"""What a load test sends: requests made up of a shape, from a run config's candidates, or from a file of bodies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from pipelines.service.load.payload_shape import Payload, ShapePayloads, parse_shape
from stages.core.errors import ConfigError, DataError

__all__ = [
    "CycledPayloads",
    "Payload",
    "Payloads",
    "ShapePayloads",
    "config_payloads",
    "file_payloads",
    "open_payloads",
    "parse_shape",
]

# Requests are kept in memory, and sent again from the first one when there are no more.
MOST_REQUESTS, MOST_BYTES = 5000, 256 << 20
DEFAULT_SHAPE = "1x100x200"


class Payloads(Protocol):
    """An endless series of requests to /v1/rerank."""

    @property
    def words(self) -> str:
        """What is sent, in words."""
        ...

    def take(self, model: str | None) -> Payload:
        """The next request; it names `model`, where there is one and it names none itself."""
        ...

    def probes(self, model: str | None) -> Sequence[Payload]:
        """What to send first, one after the other, to see that the service answers."""
        ...

    def calibrate(self, tokens_per_pair: Sequence[float]) -> str | None:
        """What the service counted for each of the probes. Returns a note for the reader, if there is one to make."""
        ...


class CycledPayloads:
    """Ready bodies, in order, over and over."""

    def __init__(self, payloads: Sequence[Payload], words: str) -> None:
        self._payloads, self._words = payloads, words
        self._next = 0

    @property
    def words(self) -> str:
        return self._words

    def take(self, model: str | None) -> Payload:
        place = self._next
        self._next = (place + 1) % len(self._payloads)
        payload = self._payloads[place]
        if model is None or payload.names_model:
            return payload
        # Written into the bytes: to read and write the body anew for each request would take the client's time.
        return Payload(b'{"model": ' + json.dumps(model).encode() + b", " + payload.body[1:], payload.documents)

    def probes(self, model: str | None) -> Sequence[Payload]:
        return [self.take(model)]

    def calibrate(self, tokens_per_pair: Sequence[float]) -> str | None:  # noqa: ARG002
        """Nothing to set: these requests are as they are."""
        return None


def open_payloads(
    config: Path | None, file: Path | None, shape: str | None, repeat: float = 0.0, seed: int = 0
) -> Payloads:
    """What the command line asks for; without a word the shape DEFAULT_SHAPE. Raises ConfigError or DataError."""
    given = {"--config": config, "--file": file, "--shape": shape}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)}: give one of them, it says what is sent")
    if repeat and (config or file):
        raise ConfigError(f"--repeat {repeat:g} is for --shape: {named[0]} has its own queries. Leave one of them out.")
    if config is not None:
        return config_payloads(config)
    if file is not None:
        return file_payloads(file)
    return ShapePayloads(parse_shape(shape or DEFAULT_SHAPE), repeat, seed)


def config_payloads(path: Path) -> CycledPayloads:
    """The candidates of a run config, a request for each query. Raises ConfigError or DataError as a run would."""
    from pipelines.base.config import load_config
    from pipelines.job.prepare import askable_candidates
    from stages.sources import open_source

    config = load_config(path, cascade=True)
    source = open_source(config.data)
    bodies: Iterator[dict[str, Any]] = (
        {"query": one.query, "documents": one.texts, "return_documents": False}
        | ({"instruction": one.instruction} if one.instruction else {})
        for one in askable_candidates(source, config.data.depth)
    )
    payloads = _within_memory(
        Payload(json.dumps(body, ensure_ascii=False).encode(), len(body["documents"])) for body in bodies
    )
    if not payloads:
        raise DataError(f"--config {path}: no query has candidates. What is set aside, and why: rerank-eval run")
    return CycledPayloads(payloads, f"{_count(payloads)} of {source.name}, in order, over and over")


def file_payloads(path: Path) -> CycledPayloads:
    """A JSONL file of bodies for /v1/rerank, sent as they stand there. Raises DataError that names the line."""
    try:
        with path.open("rb") as file:
            payloads = _within_memory(
                _from_line(path, number, line) for number, line in enumerate(file, 1) if line.strip()
            )
    except OSError as error:
        raise DataError(
            f"--file {path}: cannot be read ({error.strerror}). Give a JSONL file of request bodies."
        ) from error
    if not payloads:
        raise DataError(f"--file {path}: no line in it. Write a body of /v1/rerank on each.")
    return CycledPayloads(payloads, f"{_count(payloads)} of {path.name}, in order, over and over")


def _within_memory(payloads: Iterable[Payload]) -> list[Payload]:
    """The first MOST_REQUESTS, of MOST_BYTES together at most, and one in any case."""
    kept: list[Payload] = []
    size = 0
    for payload in islice(payloads, MOST_REQUESTS):
        size += len(payload.body)
        if kept and size > MOST_BYTES:
            break
        kept.append(payload)
    return kept


def _count(payloads: Sequence[Payload]) -> str:
    documents = sum(payload.documents for payload in payloads) / len(payloads)
    requests = f"{len(payloads):,} request{'' if len(payloads) == 1 else 's'}"
    return f"the {requests} (on average {documents:,.4g} documents each)"


def _from_line(path: Path, number: int, line: bytes) -> Payload:
    """Raises DataError where the line is no body of /v1/rerank."""
    try:
        body = json.loads(line.decode())
    except ValueError as error:
        raise DataError(f"--file {path}:{number}: not JSON ({error}). Write one request body a line.") from error
    fault = _fault(body)
    if fault:
        raise DataError(f'--file {path}:{number}: {fault}. Write {{"query": "...", "documents": ["...", ...]}}')
    return Payload(line.strip(), len(_documents(body)), names_model=body.get("model") is not None)


def _fault(body: Any) -> str | None:
    if not isinstance(body, dict):
        return "no JSON object"
    if not isinstance(body.get("query"), str) or not body["query"]:
        return '"query" is no text' if "query" in body else '"query" is missing'
    documents = _documents(body)
    if documents is None:
        return '"documents" is missing'
    if not isinstance(documents, list) or not documents:
        return '"documents" is no list of documents'
    for place, document in enumerate(documents):
        if not isinstance(document.get("text") if isinstance(document, dict) else document, str):
            return f'"documents"[{place}] has no text'
    return None


def _documents(body: dict[str, Any]) -> Any:
    """`docs` is what some clients call them."""
    return body.get("documents", body.get("docs"))
