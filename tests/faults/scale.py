"""A job of 100,000 and of 1,000,000 pairs over 200,000 documents, scored by the stand-in, the score store on: is memory
bounded, and does time grow in proportion?

Takes four minutes on two cores: `python -m tests.faults.scale [--pairs 100000 1000000] [--judged]`. A collection needs
judgements: they are of one query, or with `--judged` of all, so that evaluation and analysis grow too. Exit code 1
where a claim does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipelines.runs.folder import RunFolder
from tests.faults.jobs import Claims, Job, latest, metrics_of, write_config

DOCUMENTS, WORDS, VOCABULARY = 200_000, 40, 20_000
DEPTH, QUERY_WORDS, JUDGED_BESIDES = 100, 4, 5
SAMPLE_S = 0.5
MORE_MEMORY, EXPONENT = 1.15, 1.05
MIB = 1 << 20


@dataclass(slots=True)
class Peak:
    """The most memory that a job's processes had at once, what is shared counted once (PSS)."""

    mib: float = 0.0
    at_s: float = 0.0
    largest: str = ""

    def look(self, job: Job) -> None:
        sizes: list[tuple[float, str]] = []
        for one in [psutil.Process(job.process.pid), *psutil.Process(job.process.pid).children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                sizes.append((one.memory_full_info().pss / MIB, _title(one)))
        total = sum(size for size, _ in sizes)
        if total > self.mib:
            self.mib, self.at_s = total, time.monotonic() - job.started_s
            self.largest = ", ".join(f"{title} {size:,.0f}" for size, title in sorted(sizes, reverse=True)[:4])


@dataclass(frozen=True, slots=True)
class Measured:
    """One job: seconds of all of it, from the engine's readiness to the last ranking, and from there to the end."""

    pairs: int
    whole_s: float
    scoring_s: float
    after_s: float
    peak: Peak


def write_corpus(folder: Path, rng: random.Random) -> list[list[str]]:
    """corpus.jsonl; returns the words of each document."""
    vocabulary = [f"word{number}" for number in range(VOCABULARY)]
    words = [rng.choices(vocabulary, k=WORDS) for _ in range(DOCUMENTS)]
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as lines:
        for number, text in enumerate(words):
            lines.write(json.dumps({"_id": f"d{number}", "title": "", "text": " ".join(text)}) + "\n")
    return words


def write_queries(folder: Path, words: list[list[str]], queries: int, judged: bool, rng: random.Random) -> None:
    """Each query is some words of one document, which alone is relevant, somewhere among others in the run."""
    (folder / "qrels").mkdir(exist_ok=True)
    with (
        (folder / "queries.jsonl").open("w", encoding="utf-8") as texts,
        (folder / "run.trec").open("w", encoding="utf-8") as run,
        (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as qrels,
    ):
        qrels.write("query-id\tcorpus-id\tscore\n")
        for query in range(queries):
            listed = rng.sample(range(DOCUMENTS), DEPTH)
            relevant = rng.choice(listed)
            text = " ".join(rng.sample(words[relevant], QUERY_WORDS))
            texts.write(json.dumps({"_id": f"q{query}", "text": text}) + "\n")
            for place, document in enumerate(listed, start=1):
                run.write(f"q{query} Q0 d{document} {place} {DEPTH - place} made-up\n")
            others = [one for one in listed if one != relevant][:JUDGED_BESIDES]
            for document in [relevant, *others] if judged or not query else []:
                qrels.write(f"q{query}\td{document}\t{int(document == relevant)}\n")


def measure(claims: Claims, folder: Path, pairs: int) -> Measured:
    name = f"{pairs}"
    data = {"format": "beir", "path": str(folder), "run": str(folder / "run.trec"), "depth": DEPTH}
    config = write_config(
        folder / f"{name}.yaml",
        folder / name,
        data=data,
        model={"name": "overlap"},
        rerank={"store": str(folder / f"{name}-store")},
    )
    job, peak = Job(config, folder / f"{name}.log"), Peak()
    while job.process.poll() is None:
        with contextlib.suppress(psutil.Error):
            peak.look(job)
        time.sleep(SAMPLE_S)
    whole_s, ended_s = time.monotonic() - job.started_s, time.time()
    claims.check("exit code 0", job.process.returncode == 0, job.process.returncode)
    if job.process.returncode:
        sys.exit(job.log.read_text(encoding="utf-8")[-3000:])
    results = latest(folder / name)
    told = metrics_of(results)
    check_results(claims, told, results, pairs)
    after_s = ended_s - (results.rankings / "part-00000.parquet").stat().st_mtime
    return Measured(pairs, whole_s, told["throughput"]["wall_s"], after_s, peak)


def check_results(claims: Claims, told: dict[str, Any], results: RunFolder, pairs: int) -> None:
    covered, quality = told["coverage"], told["quality"]
    complete = covered["pairs"] == pairs and not covered["failed_pairs"] and not covered["unanswered"]
    claims.check("every pair is ranked", complete, covered)
    seen = f"{quality['first_stage']['ndcg_at_10']:.3f} -> {quality['reranked']['ndcg_at_10']:.3f}"
    claims.check("the relevant document comes to the top", quality["reranked"]["ndcg_at_10"] > 0.99, f"ndcg@10 {seen}")
    claims.check("the run is analysed", results.analysis.is_file(), f"{results.analysis.stat().st_size:,} bytes")


def exponent(first_s: float, second_s: float, first: Measured, second: Measured) -> float:
    """b of time ~ pairs**b, through two points."""
    return math.log(second_s / first_s) / math.log(second.pairs / first.pairs)


def compare(claims: Claims, small: Measured, large: Measured) -> None:
    ratio = large.peak.mib / small.peak.mib
    claims.check(f"memory grows by less than {MORE_MEMORY - 1:.0%}", ratio <= MORE_MEMORY, f"{ratio - 1:+.1%}")
    whole = exponent(small.whole_s, large.whole_s, small, large)
    claims.check("time grows no faster than pairs", whole <= EXPONENT, f"exponent {whole:.2f} of the whole")
    scoring = exponent(small.scoring_s, large.scoring_s, small, large)
    claims.check("scoring grows no faster than pairs", scoring <= EXPONENT, f"exponent {scoring:.2f}")
    more = (large.pairs - small.pairs) / 100_000
    serial_s = ((large.whole_s - large.scoring_s) - (small.whole_s - small.scoring_s)) / more
    print(
        f"        each further 100,000 pairs cost {(large.whole_s - small.whole_s) / more:.1f} s, {serial_s:.1f} of ",
        end="",
    )
    print("them before and after scoring, on the driver's node alone: however many engines score, a job of many pairs ")
    print(f"        does not get through more than {100_000 / serial_s:,.0f} pairs/s")


def _title(process: psutil.Process) -> str:
    words = process.cmdline() or [process.name()]
    return "job" if "pipelines.run" in words else Path(words[0]).name.split("(")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--judged", action="store_true")
    given = parser.parse_args()
    claims, measured = Claims(), []
    with tempfile.TemporaryDirectory() as name:
        rng = random.Random(7)
        words = write_corpus(Path(name), rng)
        for pairs in given.pairs:
            write_queries(Path(name), words, pairs // DEPTH, given.judged, rng)
            one = measure(claims, Path(name), pairs // DEPTH * DEPTH)
            measured.append(one)
            print(f"{one.pairs:,} pairs: {one.whole_s:.1f} s, {one.scoring_s:.1f} of them scoring, ", end="")
            print(f"{one.after_s:.1f} after it; peak {one.peak.mib:,.0f} MiB at {one.peak.at_s:.0f} s", end="")
            print(f" ({one.peak.largest}); load {os.getloadavg()[0]:.1f}", flush=True)
    if len(measured) > 1:
        compare(claims, measured[0], measured[-1])
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
