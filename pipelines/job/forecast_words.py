"""A forecast, as `run --dry-run` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.words import count, counted, number, percent

BESIDE = " " * 12


def forecast_lines(forecast: Mapping[str, Any]) -> Iterator[str]:
    """What is known; then a line for what is not."""
    texts = "" if forecast["texts"] is None else f" ({count(forecast['texts'])} distinct documents to embed)"
    yield f"forecast    {counted(forecast['pairs'], 'pair')}, of which {count(forecast['stored_pairs'])} stored{texts}"
    if tokens := forecast["tokens"]:
        yield from _tokens(tokens)
    if told := _time(forecast):
        yield f"{BESIDE}{told}"
    if forecast["money"] is not None:
        start = forecast["money_with_start"]
        with_start = "" if start is None else f", {number(start)} with the start"
        yield f"{BESIDE}cost {number(forecast['money'])} at {forecast['per_hour']:g} an hour{with_start}"
    for remark in forecast["remarks"]:
        yield f"note        {remark}"


def _tokens(tokens: Mapping[str, Any]) -> Iterator[str]:
    if tokens["sampled"] == tokens["of"]:
        how = "(all counted)"
    else:
        sampled = f"{count(tokens['sampled'])} of {count(tokens['of'])}"
        how = f"± {_share(tokens['margin'])} ({percent(tokens['confidence'])} interval, from {sampled})"
    further = []
    if tokens["shared_share"]:
        further.append(f"{_share(tokens['shared_share'])} in beginnings that the cache holds")
    if tokens["cut_share"]:
        further.append(f"{_share(tokens['cut_share'])} of documents cut")
    if tokens["prompts_per_document"] > 1:
        further.append(f"{tokens['prompts_per_document']:.2f} passages a document")
    yield BESIDE + "; ".join([f"{count(tokens['total'])} tokens {how}", *further])


def _share(value: float) -> str:
    return percent(round(value, 3))


def _time(forecast: Mapping[str, Any]) -> str | None:
    if forecast["scoring_s"] is None:
        return None
    if not forecast["new_pairs"]:
        return "every score is stored: no engine starts"
    start = "" if forecast["start_s"] is None else f" + {number(forecast['start_s'], ' s')} start"
    about = f"about {number(forecast['scoring_s'], ' s')} scoring{start}"
    if measured := forecast["measured"]:
        device = f" on {measured['device']}" if measured["device"] else ""
        return f"{about}, from {number(forecast['pairs_per_s'])} pairs/s{device} as run {measured['run_id']} measured"
    gpu = forecast["gpu"]
    gpus = f"{gpu['gpus']} x " if gpu["gpus"] > 1 else ""
    return (
        f"{about} on {gpus}{gpu['name']}, at an assumed {percent(gpu['utilization'])} of "
        f"{gpu['tflops']:g} TFLOP/s (16 bits, dense, as its data sheet says); this is arithmetic, nothing was measured"
    )
