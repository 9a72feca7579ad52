"""How many pairs a second a judge grades: by one forward pass, by text that is a digit, by reasons and then a digit.

`python -m tests.measure.judging [--model tiny|smollm2|FOLDER] [--queries 8] [--documents 8] [--rounds 3]` asks one
engine about pairs of the demo collection, in each round about others. Sides take turns, with an empty cache each; the
prompts are those that come with rerank-eval, `graded` and, for reasons, `reasoned`. `tiny` has 5 million random
weights, and writes as long as it may; `smollm2` is SmolLM2-135M-Instruct. Figures count on a machine that does nothing
else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.base.judge_prompts import judge_prompt
from serve_app.engine.engine_args import cpu_environment
from serve_app.judge_settings import JudgeModelSettings
from serve_app.settings import EngineSettings
from stages.core.grades import Reply
from stages.core.words import number
from tests.measure.against import machine, ratios, spread

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "configs" / "demo"
MAX_LENGTH, MOST_WRITTEN = 1024, 128
BY_PREFILL, BY_DIGIT, BY_REASONS = "one forward pass", "text: a digit", "text: reasons, a grade"
SIDES = (BY_PREFILL, BY_DIGIT, BY_REASONS)


class Asked(NamedTuple):
    """A query and some of its documents."""

    query: str
    documents: list[str]


class Figures(NamedTuple):
    """Of one side in one round: pairs a second, tokens written a pair, and pairs without an answer that ended."""

    pairs_s: float
    written: float
    unfinished: int


def demo_pairs(queries: int, documents: int) -> list[Asked]:
    """The first stage's best documents of the demo's first queries."""
    texts = {line["_id"]: f"{line['title']}\n{line['text']}" for line in _lines(DEMO / "corpus.jsonl")}
    listed = defaultdict[str, list[str]](list)
    for line in (DEMO / "runs" / "bm25.trec").read_text(encoding="utf-8").splitlines():
        query, _, doc, *_ = line.split()
        listed[query].append(doc)
    asked = [line for line in _lines(DEMO / "queries.jsonl") if line["_id"] in listed][:queries]
    return [Asked(one["text"], [texts[doc] for doc in listed[one["_id"]][:documents]]) for one in asked]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def measured(judge: Any, way: Any, pairs: Sequence[Asked]) -> Figures:
    """All of a round's pairs at once, by one way, with nothing of them in the cache."""
    await judge.llm.reset_prefix_cache()
    judge.way = way
    began_s = time.perf_counter()
    told = await asyncio.gather(*(judge.grade(one.query, one.documents) for one in pairs))
    took_s = time.perf_counter() - began_s
    replies: list[Reply] = [reply for some in told for reply in some]
    assert not any(reply.error for reply in replies), next(reply.error for reply in replies if reply.error)
    written = sum(reply.generated_tokens for reply in replies) / len(replies)
    return Figures(len(replies) / took_s, written, sum(not reply.finished for reply in replies))


async def rounds(model: Path, count: int, asked: Callable[[int], Sequence[Asked]]) -> dict[str, list[Figures]]:
    from serve_app.engine.judge import JudgeEngine
    from serve_app.engine.judge_encoder import load_judge_encoder
    from serve_app.engine.judge_model import describe_judge
    from serve_app.engine.judge_ways import way_of

    graded, reasoned = map(judge_prompt, ("graded", "reasoned"))
    told = {"name": str(model), "max_length": MAX_LENGTH, "max_generated_tokens": MOST_WRITTEN}
    read, write = (JudgeModelSettings(answer=answer, **told) for answer in ("prefill", "text"))
    described = describe_judge(write)
    judge = JudgeEngine(described, write, reasoned, EngineSettings(), "measured", 1_000_000)
    ways = {
        side: way_of(load_judge_encoder(described, prompt, settings.answer), prompt, settings)
        for side, prompt, settings in (
            (BY_PREFILL, graded, read),
            (BY_DIGIT, graded, write),
            (BY_REASONS, reasoned, write),
        )
    }
    found = defaultdict[str, list[Figures]](list)
    try:
        for way in ways.values():  # what compiles at the first call does so here
            await measured(judge, way, [Asked(one.query, one.documents[:1]) for one in asked(count)[:2]])
        for turn in range(count):
            for side in (*SIDES[turn % 3 :], *SIDES[: turn % 3]):
                figures = await measured(judge, ways[side], asked(turn))
                found[side].append(figures)
                told_now = f"{number(figures.pairs_s)} pairs/s, {number(figures.written)} tokens written a pair"
                ended = f", {figures.unfinished} cut" if figures.unfinished else ""
                print(f"  round {turn + 1}, {side}: {told_now}{ended}; load {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        judge.shutdown()
    return found


def model_of(named: str, folder: Path) -> Path:
    """`folder` is for one that is made."""
    from tests.smollm2 import smollm2
    from tests.tiny_models import make_judge, make_tiny_qwen3

    if named == "smollm2":
        return smollm2()
    if named != "tiny":
        return Path(named)
    return make_judge(make_tiny_qwen3(folder / "reranker"), folder / "judge")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ.update(cpu_environment(os.sched_getaffinity(0), 0, 1, 1))
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}", flush=True)
    every = demo_pairs(given.queries * (given.rounds + 1), given.documents)
    parts = [every[given.queries * turn : given.queries * (turn + 1)] for turn in range(given.rounds + 1)]
    with tempfile.TemporaryDirectory(prefix="rerank-eval-judging-") as name:
        found = asyncio.run(rounds(model_of(given.model, Path(name)), given.rounds, parts.__getitem__))
    speeds = {side: [one.pairs_s for one in figures] for side, figures in found.items()}
    print(f"\n{'':<26}{'pairs/s':>28}{'one forward pass is':>28}")
    for side in SIDES:
        print(f"{side:<26}{spread(speeds[side]):>28}{spread(ratios(speeds[BY_PREFILL], speeds[side])):>26} x")


if __name__ == "__main__":
    main()
