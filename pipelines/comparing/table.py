"""A comparison as a notebook shows it: a table with a row for each run and metric."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pipelines.verdict.runs import Comparison

if TYPE_CHECKING:
    from pandas import DataFrame


class ComparedRuns:
    """Runs beside the first of them, the baseline. `comparison` holds everything, `notes` what to mind."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @property
    def notes(self) -> list[str]:
        return list(self.comparison.notes)

    @property
    def table(self) -> DataFrame:
        """A row for each run but the baseline, and metric: means, `difference`, the ends of its interval, the p value
        corrected for all rows, queries gained, tied and lost, whether it is `significant` (where a model judged, by
        people's grades alone), by whom it is `judged`, and a sentence in `words`.
        """
        from pandas import DataFrame

        return DataFrame(
            {
                "run": one.system,
                "metric": one.metric,
                "baseline": one.difference.mean_baseline,
                "mean": one.difference.mean_system,
                "difference": one.difference.difference,
                "low": one.difference.interval.low if one.difference.interval else None,
                "high": one.difference.interval.high if one.difference.interval else None,
                "corrected_p": one.corrected_p,
                "wins": one.difference.wins,
                "ties": one.difference.ties,
                "losses": one.difference.losses,
                "significant": self.comparison.sure(one),
                "judged": self.comparison.mark or "by people",
                "words": one.words,
            }
            for one in self.comparison.tested
        )

    def __repr__(self) -> str:
        others = [label for label in self.comparison.runs if label != self.comparison.baseline]
        queries = f"{self.comparison.queries:,} judged queries"
        queries += f", {self.comparison.mark}" if self.comparison.mark else ""
        return f"<comparison of {', '.join(others)} against {self.comparison.baseline}: {queries}>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>Mind: {escape(note)}.</p>" for note in self.notes)
        table = self.table.to_html(index=False, float_format="{:.4f}".format)
        return f"<p>{escape(repr(self)[1:-1])}</p>{table}{notes}"
