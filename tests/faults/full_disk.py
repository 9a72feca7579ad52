"""A score store and results on a disk that is too small, and a store whose file is damaged.

Needs to be root, for a small tmpfs; no engine. Takes two minutes: `python -m tests.faults.full_disk`. Exit code 1 where
a claim does not hold.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stages.files.rankings import read_rankings
from tests.faults.jobs import Claims, Job, check_complete, compare, latest, metrics_of, write_config, write_rows

QUERIES, DOCUMENTS = 400, 50


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        sys.exit(f"skipped: no tmpfs can be mounted here ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def run_job(folder: Path, results: Path, store: Path | None) -> tuple[int, str]:
    """Its exit code and what it printed."""
    folder.mkdir(exist_ok=True)
    data = {"format": "jsonl", "path": str(folder.parent / "rows.jsonl")}
    rerank = {"store": str(store) if store else None}
    config = write_config(folder / "run.yaml", results, data=data, model={"name": "overlap"}, rerank=rerank)
    log = folder / "job.log"
    log.unlink(missing_ok=True)
    exit_code = Job(config, log).finish()
    return exit_code, log.read_text(encoding="utf-8")


def check_told(claims: Claims, outcome: tuple[int, str], *words: str) -> None:
    exit_code, printed = outcome
    claims.check("exit code 0", exit_code == 0, "" if exit_code == 0 else printed[-2000:])
    told = [line for line in printed.splitlines() if line.startswith("note")]
    claims.check("a note tells it", any(all(word in line for word in words) for line in told), " | ".join(told))


def full_store(claims: Claims, folder: Path) -> None:
    with small_disk(folder / "store-disk", "256k") as disk:
        check_told(claims, run_job(folder / "a", folder / "a" / "results", disk / "store"), "were not kept", "full")
        check_complete(claims, latest(folder / "a" / "results"))


def full_results(claims: Claims, folder: Path) -> None:
    for size in ("64k", "200k", "500k", "1m"):
        with small_disk(folder / f"disk-{size}", size) as disk:
            exit_code, printed = run_job(folder / "b", disk / "results", None)
            last = [line for line in printed.splitlines() if line.strip()][-1:]
            claims.check(f"results on {size}: one line, exit code 2", exit_code == 2, f"exit code {exit_code}, {last}")
            claims.check("no traceback", "Traceback" not in printed)
            for folder_made in (disk / "results").glob("*-*"):
                half = (folder_made / "metrics.json").exists()
                claims.check("no metrics.json", not half, sorted(one.name for one in folder_made.iterdir()))


def damaged_store(claims: Claims, folder: Path) -> None:
    """Bytes overwritten in the middle of the file, which SQLite does not notice when it opens it, and everywhere."""
    store, results = folder / "c" / "store", folder / "c" / "results"
    run_job(folder / "c", results, store)
    right = list(read_rankings(latest(results).rankings))
    file = store / "scores.sqlite"
    good = file.read_bytes()
    for name, start in (("the middle", len(good) // 3), ("all of it", 0)):
        noise = random.Random(7).randbytes(len(good) // 3 if start else len(good))
        file.write_bytes(good[:start] + noise + good[start + len(noise) :])
        print(f"damaged: {name}")
        check_told(claims, run_job(folder / "c", results, store), "damaged")
        check_complete(claims, latest(results))
        found = list(read_rankings(latest(results).rankings))
        claims.check("the scores are right", compare(right, found) == (0, 0.0, 0.0))
        print(f"        {metrics_of(latest(results))['cache']}")


def main() -> None:
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "rows.jsonl", QUERIES, DOCUMENTS)
        full_store(claims, folder)
        full_results(claims, folder)
        damaged_store(claims, folder)
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
