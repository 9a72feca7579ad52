"""What each client is asked, and what must come of it. Runs in their environments: the standard library alone."""

from __future__ import annotations

import json
import os
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import NamedTuple

URL, KEY = os.environ["RERANK_EVAL_URL"], os.environ["RERANK_EVAL_KEY"]
MODEL, OTHER_MODEL, OTHER_KEY = "reranker", "no-such-model", "no-such-key"
QUERY = "how to freeze a layer"
DOCUMENTS = [
    "water can freeze",
    "how to freeze a layer of a network",
    "a layer of paint",
    "nothing of it",
]


class Place(NamedTuple):
    """A document's place in a client's answer; `text` where the client gives it."""

    index: int
    score: float
    text: str | None = None


Rank = Callable[[str, str], list[Place]]
"""A client's call: a model's name and a key -> what it gives, best first."""


def wanted() -> list[tuple[int, float]]:
    """The service's own answer."""
    request = urllib.request.Request(
        f"{URL}/v1/rerank",
        json.dumps({"query": QUERY, "documents": DOCUMENTS}).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return [(one["index"], one["relevance_score"]) for one in json.load(answer)["results"]]


def check(
    client: str, package: str, called: str, rank: Rank, *, sends_model: bool = True, reads_reason: bool = True
) -> None:
    """Prints a row of JSON. The order, scores and texts are the service's; a wrong name and a wrong key are errors that
    the client raises, and that say why; not where the client sends no model, or reads nothing of a refusal.
    """
    row = {"client": client, "version": version(package), "called": called, "fault": ""}
    try:
        _ranks(rank(MODEL, KEY))
        if sends_model:
            _refused(lambda: rank(OTHER_MODEL, KEY), OTHER_MODEL if reads_reason else "")
        _refused(lambda: rank(MODEL, OTHER_KEY), "API key" if reads_reason else "")
    except Exception as error:
        row["fault"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        traceback.print_exc()
    print(json.dumps(row), flush=True)


def _ranks(places: list[Place]) -> None:
    expected = wanted()
    assert len({score for _, score in expected}) == len(DOCUMENTS), "the scores tell the documents apart"
    assert [one.index for one in places] == [index for index, _ in expected], places
    for place, (index, score) in zip(places, expected, strict=True):
        assert abs(place.score - score) < 1e-3, (place, score)
        assert place.text in (None, DOCUMENTS[index]), place


def _refused(call: Callable[[], object], reason: str) -> None:
    try:
        answer = call()
    except Exception as error:
        told = " ".join(_told(error))
        assert reason in told, f"the client's error does not say {reason!r}: {told[:200]}"
        return
    raise AssertionError(f"taken, and gives {str(answer)[:100]}")


def _told(error: BaseException | None) -> Iterator[str]:
    """All that an error and its causes say, with what hangs on them."""
    while error is not None:
        yield str(error)
        yield from (str(getattr(error, name, "")) for name in ("body", "message", "detail", "response"))
        yield str(getattr(getattr(error, "response", None), "text", ""))
        error = error.__cause__ or error.__context__
