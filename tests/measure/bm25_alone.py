"""One retrieval over a BEIR folder, by bm25s or by us: prints its seconds, peak memory and what it found as JSON."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.pop(0)  # this file's own folder
sys.path.insert(0, str(Path(__file__).parents[2]))

DEPTH = 100


def by_bm25s(folder: Path) -> int:
    """As its README has it, with the words that ours are: how many candidates have a score."""
    import bm25s

    texts = [f"{one['title']} {one['text']}".strip() for one in _lines(folder / "corpus.jsonl")]
    corpus = bm25s.tokenize(texts, stopwords=None, token_pattern=r"\w+", show_progress=False)
    index = bm25s.BM25(k1=0.9, b=0.4)
    index.index(corpus, show_progress=False)
    queries = [one["text"] for one in _lines(folder / "queries.jsonl")]
    asked = bm25s.tokenize(queries, stopwords=None, token_pattern=r"\w+", show_progress=False, return_ids=False)
    found = index.retrieve(asked, k=DEPTH, show_progress=False)
    return int((found.scores > 0).sum())


def by_us(folder: Path) -> int:
    """As a job opens its first stage: how many candidates there are."""
    from stages.sources import DataSettings
    from stages.sources.bm25.first_stage import with_bm25
    from stages.sources.given import file_parts
    from stages.sources.run_index import QueryIds

    made = {"first_stage": "bm25", "bm25": {"language": None, "folder": str(folder / "kept")}}
    settings = DataSettings.model_validate({"format": "beir", "path": str(folder), "depth": DEPTH, **made})
    (run,) = with_bm25(file_parts(settings), settings).runs.values()
    with run.open(QueryIds(), print) as lists:
        return sum(len(lists.read(query_id).doc_ids) for query_id in lists)


def _lines(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main() -> None:
    side, name = sys.argv[1:]
    folder = Path(name)
    if side == "ours, made":
        shutil.rmtree(folder / "kept", ignore_errors=True)
    started_s = time.perf_counter()
    found = by_bm25s(folder) if side == "bm25s" else by_us(folder)
    seconds = time.perf_counter() - started_s
    figures = {
        "candidates": found,
        "seconds": seconds,
        "processor, s": time.process_time(),
        "peak memory, MiB": _peak_mib(),
    }
    print(json.dumps(figures))


def _peak_mib() -> float:
    """Of this process alone: what `resource` tells begins with that of the process which started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


if __name__ == "__main__":
    main()
