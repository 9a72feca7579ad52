"""How long a BM25 of `data.first_stage` takes beside bm25s by itself, over the same words, and in how much memory.

`python -m tests.measure.bm25 [--documents 1000000] [--queries 1000] [--rounds 1]` makes a BEIR folder of so many
documents. Each side is a process of its own, which reads the folder and retrieves 100 documents for each query: bm25s
as its README does it, from a list of texts to an index in memory; ours as a job does, with an index that is kept, and
once more with the one that was. Sides take turns. Needs 2 GB of disk a million documents. Figures count on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import accumulate
from pathlib import Path

from stages.core.words import number
from tests.measure.against import figures_of, machine, ratios, spread
from tests.measure.checkout import Figures

ALONE = Path(__file__).with_name("bm25_alone.py")
WORDS, VOCABULARY = 60, 500_000  # words a document; and of how many, as frequent as Zipf's law has it


def write_collection(folder: Path, documents: int, queries: int) -> None:
    """Documents of 30 to 90 words; queries of 3 to 8, which are judged."""
    rng = random.Random(7)
    names = [f"w{place:x}q" for place in range(VOCABULARY)]
    weights = list(accumulate(1 / (place + 3) for place in range(VOCABULARY)))
    with (folder / "corpus.jsonl").open("w", encoding="ascii") as corpus:
        for one in range(documents):
            text = " ".join(rng.choices(names, cum_weights=weights, k=rng.randint(WORDS // 2, WORDS * 3 // 2)))
            corpus.write(f'{{"_id": "doc-{one}", "title": "", "text": "{text}"}}\n')
    (folder / "qrels").mkdir()
    with (
        (folder / "queries.jsonl").open("w", encoding="ascii") as asked,
        (folder / "qrels" / "test.tsv").open("w", encoding="ascii") as qrels,
    ):
        qrels.write("query-id\tcorpus-id\tscore\n")
        for query in range(queries):
            text = " ".join(rng.choices(names, cum_weights=weights, k=rng.randint(3, 8)))
            asked.write(json.dumps({"_id": f"q{query}", "text": text}) + "\n")
            qrels.write(f"q{query}\tdoc-{rng.randrange(documents)}\t1\n")


def measured(side: str, folder: Path) -> Figures:
    """One process; its figures. Raises CalledProcessError where it fails."""
    command = [sys.executable, str(ALONE), side, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    told: Figures = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}", flush=True)
    found = defaultdict[str, list[Figures]](list)
    with tempfile.TemporaryDirectory(prefix="rerank-eval-bm25-") as name:
        write_collection(Path(name), given.documents, given.queries)
        for turn in range(given.rounds):
            for side in ("bm25s", "ours, made", "ours, kept"):
                figures = measured(side, Path(name))
                told = ", ".join(f"{what} {number(value)}" for what, value in figures.items())
                print(f"  round {turn + 1}, {side}: {told}; load {os.getloadavg()[0]:.1f}", flush=True)
                found[side].append(figures)
    for side in ("ours, made", "ours, kept"):
        print(f"\n{side:<24}{'bm25s':>24}{'ours':>24}{'ours / bm25s':>24}")
        for name in found[side][0]:
            theirs, ours = figures_of(found["bm25s"], name), figures_of(found[side], name)
            print(f"{name:<24}{spread(theirs):>24}{spread(ours):>24}{spread(ratios(ours, theirs)):>24}")


if __name__ == "__main__":
    main()
