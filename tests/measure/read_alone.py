"""One reading of a BEIR folder, by whichever checkout `PYTHONPATH` names: prints its seconds, on the clock and of the
processor, and peak memory as JSON.

Imports only what 0.1.0 has, too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.pop(0)  # this file's own folder
sys.path.insert(0, str(Path.cwd()))


def read_run(folder: Path) -> int:
    """The run alone, query by query; how many lines it had."""
    from stages.sources.run_index import QueryIds, open_run

    with open_run(folder / "run.trec", QueryIds(), print) as run:
        return sum(len(run.read(query_id).doc_ids) for query_id in run)


def read_collection(folder: Path) -> int:
    """What a job reads, in its order; how many pairs there were."""
    from stages.sources import DataSettings, open_source

    data = {"format": "beir", "path": str(folder), "run": folder / "run.trec", "depth": 100}
    source = open_source(DataSettings.model_validate(data))
    assert len(source.judgements(print))
    if hasattr(source, "meetings"):  # since 0.2.0: do candidates and judgements belong together?
        source.meetings()
    return sum(len(query.documents) for query in source.queries(print))


def main() -> None:
    what, folder = sys.argv[1:]
    started_s = time.perf_counter()
    rows = {"run": read_run, "collection": read_collection}[what](Path(folder))
    seconds = time.perf_counter() - started_s
    figures = {"rows": rows, "seconds": seconds, "processor, s": time.process_time(), "peak memory, MiB": _peak_mib()}
    print(json.dumps(figures))


def _peak_mib() -> float:
    """Of this process alone: what `resource` tells begins with that of the process which started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


if __name__ == "__main__":
    main()
