"""What an agreement means, in sentences with their numbers, and beside which published judges it is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stages.core.words import counted, percent, share
from stages.grading.record import Told
from stages.grading.scale import Scale


class Published(NamedTuple):
    """Kappa of the worst and the best of the published judges that agreement is held beside."""

    low: float
    high: float


FOUR_GRADES, BINARY = Published(0.20, 0.29), Published(0.32, 0.40)
SOURCE = "LLM judges of TREC Deep Learning 2023's passages beside NIST's assessors"
"""Llama-3-8B to the best public entry, by the grades that were published."""


def agrees_badly(kappa: Told, binary: Told, scale: Scale) -> bool:
    """Whether a kappa that can be held beside published ones, or the low end of its interval, is below all of them; or
    where there is none at all.
    """
    held = [(told, published) for told, published in _held(kappa, binary, scale) if told.value is not None]
    return not held or any(_low(told) < published.low for told, published in held)


def agreement_words(
    size: tuple[int, int],
    only: int | None,
    kappa: Told,
    binary: Told,
    identical: Told,
    difference: Told,
    confirmed: Told,
    found: Told,
    scale: Scale,
    confidence: float,
) -> list[str]:
    """`size`: pairs and queries; `only`: the judge's grade, where it gave all the same. The verdict first."""
    pairs, queries = size
    over = f"over {counted(pairs, 'pair')} of {counted(queries, 'query', 'queries')} that both graded"
    told = [_verdict(kappa, binary, scale, over, confidence), *_beside(kappa, binary, scale)]
    if only is not None and pairs > 1:
        told.insert(1, f"It gave every one of these pairs grade {only}: it tells no document from another")
    if confirmed.value is not None:
        told.append(f"Of the pairs that it calls 2 or 3, people confirm {_share(confirmed, confidence)}")
    if found.value is not None:
        told.append(f"Of the pairs that people call relevant, it finds {_share(found, confidence)}")
    if identical.value is not None:
        told.append(f"It gives the same grade as people to {_share(identical, confidence)}")
    if difference.value is not None:
        told.append(_leniency(difference, confidence))
    return told


def kappa_words(told: Told, confidence: float | None = None) -> str:
    if told.value is None:
        return f"not defined ({told.reason})"
    ends = "" if told.interval is None else f"{told.interval[0]:z.2f} to {told.interval[1]:z.2f}"
    sure = "" if confidence is None else f"{percent(confidence)} interval "
    return f"{told.value:z.2f}" + (f" ({sure}{ends})" if ends else "")


def _verdict(kappa: Told, binary: Told, scale: Scale, over: str, confidence: float) -> str:
    on = f"on {counted(scale.highest + 1, 'grade')}"
    numbers = (
        f"Cohen's kappa is {kappa_words(kappa, confidence)} {on} and {kappa_words(binary, confidence)} on relevant or "
        f"not, {over}"
    )
    held = [(told, published) for told, published in _held(kappa, binary, scale) if told.value is not None]
    if not held:
        return f"How well it agrees with people cannot be told: {numbers}"
    if not agrees_badly(kappa, binary, scale):
        return f"It agrees with people as published judges do, or better: {numbers}"
    surely = any(_high(told) < published.low for told, published in held)
    opinion = "It agrees badly with people" if surely else "It agrees badly with people, as far as these pairs can tell"
    return f"{opinion}: {numbers}"


def _held(kappa: Told, binary: Told, scale: Scale) -> list[tuple[Told, Published]]:
    """On four grades only where people had four."""
    return [*([(kappa, FOUR_GRADES)] if scale.highest == 3 else []), (binary, BINARY)]


def _low(told: Told) -> float:
    return told.interval[0] if told.interval else told.value or 0.0


def _high(told: Told) -> float:
    return told.interval[1] if told.interval else told.value or 0.0


def _beside(kappa: Told, binary: Told, scale: Scale) -> Iterator[str]:
    """What badly is measured by."""
    names = {FOUR_GRADES: "four grades", BINARY: "relevant or not"}
    reached = [
        f"{published.low:.2f} to {published.high:.2f} on {names[published]}"
        for told, published in _held(kappa, binary, scale)
        if told.value is not None
    ]
    if reached:
        told = f"Published judges reach a kappa of {' and '.join(reached)} ({SOURCE})"
        yield f"{told}: badly is what may be below all of them"


def _share(told: Told, confidence: float) -> str:
    if not told.interval:
        return share(told.value, 0)
    low, high = (share(end, 0) for end in told.interval)
    return f"{share(told.value, 0)} ({percent(confidence)} interval {low} to {high})"


def _leniency(difference: Told, confidence: float) -> str:
    value, ends = difference.value or 0.0, difference.interval
    sure = f" ({percent(confidence)} interval {ends[0]:+z.2f} to {ends[1]:+z.2f})" if ends else ""
    if ends and ends[0] <= 0 <= ends[1]:
        return (
            f"That it is more lenient or stricter than people cannot be told: its grade differs by {value:+z.2f}{sure}"
        )
    more = "more lenient" if value > 0 else "stricter"
    return f"It is {more} than people: its grade differs by {value:+z.2f} on average{sure}"
