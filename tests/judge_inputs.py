"""A judging with made grades, as judge.json has it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipelines.base.judge_prompts import judge_prompt
from stages.core.grades import Graded
from stages.grading.agreement import agreement
from stages.grading.planted import Pair, planted_pairs
from stages.grading.planted_effect import planted_effect
from stages.grading.record import Cost, Counts, Judge, Judged, JudgeRecord, Pool, Verdict, told
from stages.grading.repeatability import repeatability
from stages.grading.reply import NO_GRADE, UNLIKELY

WORDS = (
    "ndcg@10 changes by +0.031 (95 % interval -0.012 to +0.074) from the first stage to the reranked order",
    "By the model's own grades it would be +0.120: its error on the change is +0.089 (+0.046 to +0.132), and not 0",
)


def judged(quality: float = 0.2, queries: int = 30, people: bool = True, seed: int = 5) -> dict[str, Any]:
    """Of a judge that says what people say with probability `quality`, and guesses otherwise."""
    generator = np.random.default_rng(seed)
    theirs: dict[str, dict[str, int]] = {}
    model: dict[str, dict[str, int]] = {}
    for query in range(queries):
        grades = generator.choice(4, 10, p=[0.5, 0.2, 0.2, 0.1])
        said = np.where(generator.random(10) < quality, grades, generator.choice(4, 10, p=[0.1, 0.2, 0.4, 0.3]))
        theirs[f"q{query}"] = {f"d{place}": int(grade) for place, grade in enumerate(grades)}
        model[f"q{query}"] = {f"d{place}": int(grade) for place, grade in enumerate(said)}
    prompt = judge_prompt("graded")
    pairs = [
        Pair(query, doc, "query", "text", grade) for query, grades in model.items() for doc, grade in grades.items()
    ]
    planted = planted_pairs(pairs, prompt, 0, 20)
    raised = [Graded(min(one.pair.grade + place % 2, 3)) for place, one in enumerate(planted)]
    again = [Graded(grade if place % 9 else 0) for place, grade in enumerate(model["q0"].values())]
    language = {query: "zh" if place % 3 == 0 else "en" for place, query in enumerate(model)}
    grades = [grade for one in model.values() for grade in one.values()]
    record = JudgeRecord(
        runs=[Judged("reranked", "results/run-1", "ab" * 32, "BAAI/bge-reranker-v2-m3")],
        judge=Judge(
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "0123456789ab",
            "prefill",
            "graded",
            prompt.digest,
            {"revision": "main<b>"},
        ),
        pool=Pool(10, queries, ["first stage", "reranked"]),
        counts=Counts(len(grades) + 7, len(grades), 7, len(grades), 7, len(grades) if people else 0, 3),
        grades=[grades.count(grade) for grade in range(4)],
        missing={UNLIKELY: 5, NO_GRADE: 2},
        agreement=agreement(theirs, model, slices={"language": language}) if people else None,
        repeatability=repeatability(["q0"] * len(again), [Graded(one) for one in model["q0"].values()], again),
        planted=planted_effect(planted, raised, [Graded(one.pair.grade) for one in planted]),
        cost=Cost(len(grades), 123_456, len(grades), 12.5, len(grades) / 12.5),
        verdicts=[Verdict("first stage", "reranked", "ndcg@10", WORDS, "unsure", "ppi++", 0.031, (-0.012, 0.074))],
        notes=["7 pairs have no text in any run"],
    )
    content: dict[str, Any] = json.loads(json.dumps(told(record), allow_nan=False))
    return content
