"""How far scoring is, and what it took: whoever scores, engines behind Ray Data or the store alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.core.metrics import Quantiles
from stages.telemetry.telemetry import Telemetry


@dataclass(slots=True)
class Progress:
    """What is done so far; shared between the job and the thread that watches the engine."""

    queries: int = 0
    pairs: int = 0
    failed_pairs: int = 0
    prompts: int = 0
    """What the engines have computed, of queries that are not done as well."""
    waits: str = ""
    """What of somebody else is waited for, where there is no engine."""

    def add(self, table: pa.Table) -> None:
        self.queries += table.num_rows
        self.pairs += _total(pc.list_value_length(table["doc_ids"])) - _total(table["store_hits"])
        self.failed_pairs += sum(map(len, table["failed"].to_pylist()))


@dataclass(frozen=True, slots=True)
class StreamResult:
    """Scoring: when it began (Unix s: the first engine was ready), its seconds until the last ranking, and what the
    engines counted meanwhile; how long each query took that was scored.
    """

    started_s: float
    wall_s: float
    telemetry: Telemetry
    query_ms: Quantiles | None = None


def _total(numbers: Any) -> int:
    return pc.sum(numbers).as_py() or 0
