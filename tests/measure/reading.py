"""How long this checkout and an earlier one read a large collection, and in how much memory.

`python -m tests.measure.reading COMMIT [--lines 10000000] [--documents 5000000] [--rounds 1]` makes a BEIR folder with
a run of so many lines over so many documents, and has both read it as a job does: the run alone, query by query, and
all of it, judgements and texts joined. Each reading is a process of its own; sides take turns. Needs 2 GB of disk a
million documents or so, for the files and what is unpacked of them. Figures count on a machine that does nothing else.
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
from pathlib import Path

from stages.core.words import number
from tests.measure.against import NEW, figures_of, machine, ratios, spread
from tests.measure.checkout import Figures, Side, checked_out

READ_ALONE = Path(__file__).with_name("read_alone.py")
DEPTH, WORDS, VOCABULARY = 100, 40, 5_000  # documents a query; words a text, and of how many


def write_collection(folder: Path, lines: int, documents: int) -> None:
    """Texts of some 280 characters; a query for each DEPTH lines, and a judgement for each query."""
    rng = random.Random(7)
    text = " ".join(f"word{rng.randrange(VOCABULARY)}" for _ in range(20 * VOCABULARY))
    with (folder / "corpus.jsonl").open("w", encoding="ascii") as corpus:
        for one in range(documents):
            start = rng.randrange(len(text) - 7 * WORDS)
            record = f'"title": "title {one}", "text": "{text[start : start + 7 * WORDS]}"'
            corpus.write(f'{{"_id": "doc-{one}", {record}}}\n')
    (folder / "qrels").mkdir()
    with (
        (folder / "queries.jsonl").open("w", encoding="ascii") as queries,
        (folder / "run.trec").open("w", encoding="ascii") as run,
        (folder / "qrels" / "test.tsv").open("w", encoding="ascii") as qrels,
    ):
        qrels.write("query-id\tcorpus-id\tscore\n")
        for query in range(lines // DEPTH):
            listed = rng.sample(range(documents), DEPTH)
            queries.write(json.dumps({"_id": f"q{query}", "text": f"what is word{query % VOCABULARY}"}) + "\n")
            qrels.write(f"q{query}\tdoc-{listed[0]}\t1\n")
            for place, one in enumerate(listed, start=1):
                run.write(f"q{query} Q0 doc-{one} {place} {30 - place / 8:.6f} made-up\n")


def read(side: Side, what: str, folder: Path) -> Figures:
    """One process of that checkout reads; its figures. Raises CalledProcessError where it fails."""
    environment = {**os.environ, **side.environment}
    command = [sys.executable, str(READ_ALONE), what, str(folder)]
    done = subprocess.run(command, env=environment, cwd=side.root, stdout=subprocess.PIPE, check=True)
    told: Figures = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(old: Side, what: str, folder: Path, rounds: int) -> dict[str, list[Figures]]:
    """By side, the figures of each round, the other way round in every second one."""
    found = defaultdict[str, list[Figures]](list)
    for turn in range(rounds):
        for side in (old, NEW) if turn % 2 == 0 else (NEW, old):
            figures = read(side, what, folder)
            told = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
            print(f"  {what}, round {turn + 1}, {side.name}: {told}; load {os.getloadavg()[0]:.1f}", flush=True)
            found[side.name].append(figures)
    return dict(found)


def tell(what: str, found: dict[str, list[Figures]]) -> None:
    print(f"\n{what:<24}{'old':>24}{'new':>24}{'new / old':>24}")
    for name in found["new"][0]:
        old, new = figures_of(found["old"], name), figures_of(found["new"], name)
        cells = (spread(old), spread(new), spread(ratios(new, old)))
        print(f"{name:<24}" + "".join(f"{cell:>24}" for cell in cells))
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the commit to compare this checkout with; 0.1.0 is 3c6921c")
    parser.add_argument("--lines", type=int, default=10_000_000, help="of the run")
    parser.add_argument("--documents", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="rerank-eval-reading-") as name, checked_out(given.commit) as old:
        write_collection(Path(name), given.lines, given.documents)
        for what in ("run", "collection"):
            tell(what, measure(old, what, Path(name), given.rounds))


if __name__ == "__main__":
    main()
