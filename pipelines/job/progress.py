"""How far scoring is, and what it took: whoever scores, engines behind Ray Data or the store alone."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from stages.files.rankings import rankings_from
from stages.telemetry.telemetry import Telemetry


@dataclass(slots=True)
class Progress:
    """What is done so far; shared between the job and the thread that watches the engine."""

    queries: int = 0
    pairs: int = 0
    failed_pairs: int = 0

    def add(self, table: pa.Table) -> None:
        for ranking in rankings_from(table):
            self.queries += 1
            self.pairs += len(ranking.doc_ids) - ranking.store_hits
            self.failed_pairs += len(ranking.failed)


@dataclass(frozen=True, slots=True)
class StreamResult:
    """Scoring: when it began (Unix s: the first engine was ready), its seconds until the last ranking, and what the
    engines counted meanwhile.
    """

    started_s: float
    wall_s: float
    telemetry: Telemetry
