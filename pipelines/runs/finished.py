"""A finished run as a notebook shows it: numbers as dicts and DataFrames, the report as the page itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runs.read import RunContent, per_query_table, read_run_folder, verdict
from pipelines.runs.report import run_report
from stages.core.errors import DataError
from stages.core.judges import BY_MODEL, mark_of
from stages.core.metrics import Metrics
from stages.core.records import Ranking
from stages.core.words import counted, metric_value, signed, written_name
from stages.files.rankings import read_rankings

if TYPE_CHECKING:
    from pandas import DataFrame

    from pipelines.runs.export import Exported

PAGE_HEIGHT_PX = 800


class FinishedRun:
    """One finished run. Files are read when they are asked for, each once.

    `keeps` is whatever must live as long as the run, such as a folder that it was fetched into.
    """

    def __init__(self, content: RunContent, keeps: object = None) -> None:
        self.content = content
        self._keeps = keeps

    @property
    def run_id(self) -> str:
        return self.content.run_id

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.content.folder.path

    @property
    def metrics(self) -> Metrics:
        """metrics.json."""
        return self.content.metrics

    @property
    def analysis(self) -> Mapping[str, Any]:
        """analysis.json; empty where nothing was analysed."""
        return self.content.analysis

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved config, with `***` for every secret."""
        return self.content.redacted_config

    @property
    def verdict(self) -> str | None:
        """The main metric's sentence on the change, and what to mind of the data; None where there was nothing to
        compare with.
        """
        return verdict(self.analysis)

    @cached_property
    def per_query(self) -> DataFrame:
        """A row for each judged query: `query_id`, `answered`, and `first_stage/`, `reranked/` and `delta/` of each
        metric (`reranked/ndcg_at_10`). Empty where nothing was judged.
        """
        from pandas import DataFrame

        path = self.content.folder.per_query
        return per_query_table(path).to_pandas() if path.is_file() else DataFrame()

    @cached_property
    def rankings(self) -> DataFrame:
        """A row for each document of the new order: `query_id`, `doc_id`, `rank` from 1, `score`, `logit`.

        Documents that could not be scored, and those below `data.depth`, follow the reranked ones without a score; why
        they could not be is in `failures`.
        Raises DataError where the folder has lost them.
        """
        from pandas import DataFrame

        if not self.content.folder.rankings.is_dir():
            raise DataError(f"{self.path}: its rankings are missing. Open the whole run folder, or run the job again.")
        rows = [row for ranking in read_rankings(self.content.folder.rankings) for row in _places(ranking)]
        return DataFrame(rows, columns=["query_id", "doc_id", "rank", "score", "logit"])

    @cached_property
    def failures(self) -> DataFrame:
        """What was set aside or failed, with file, line and reason."""
        import pyarrow.parquet as pq
        from pandas import DataFrame

        path = self.content.folder.failures
        return pq.read_table(path, partitioning=None).to_pandas() if path.is_file() else DataFrame()

    @cached_property
    def runs(self) -> dict[str, FinishedRun]:
        """Of a job over several first stages: each one's own run, by name."""
        return {child.path.name: open_folder(child.path) for child in self.content.folder.children()}

    @cached_property
    def stages(self) -> list[FinishedRun]:
        """Of a cascade: each stage's own run, in order, over what the stage before left."""
        return [open_folder(stage.path) for stage in self.content.folder.stages()]

    @cached_property
    def report(self) -> ReportPage:
        return ReportPage(self.content)

    def export(
        self,
        to: str,
        out: str | Path,
        *,
        top: int = 5,
        tokens: int | None = None,
        tokenizer: str | None = None,
        first_stage: bool = False,
        reference: str | None = None,
    ) -> Exported:
        """Write the best documents of each query, with their texts, to the file `out`, as `rerank-eval export` does.

        Returns what was counted on the way. Raises ConfigError and DataError as `export_run` does.
        """
        from pipelines.runs.export import ExportOrder, export_run

        order = ExportOrder(to, top, tokens, tokenizer, first_stage, reference)
        return export_run(self.content, order, Path(out))

    def __repr__(self) -> str:
        return f"<run {self.run_id}: {', '.join(self._told())}>"

    def _repr_html_(self) -> str:
        quality = self.metrics["quality"]
        before, change = quality["first_stage"] or {}, quality["delta"] or {}
        cells = [
            (written_name(key), metric_value(before.get(key)), metric_value(after), signed(change.get(key)))
            for key, after in (quality["reranked"] or {}).items()
        ]
        corner = BY_MODEL if mark_of(self.metrics) else ""
        heads = "".join(f"<th>{head}</th>" for head in (corner, "first stage", "reranked", "change"))
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        said = f"<p>{escape(self.verdict)}</p>" if self.verdict else ""
        table = f"<table><tr>{heads}</tr>{rows}</table>" if rows else ""
        return f"<p><b>{escape(self.run_id)}</b>: {escape(', '.join(self._told()))}</p>{table}{said}"

    def _told(self) -> list[str]:
        """The main metric, where there is one, and how much was reranked."""
        quality, coverage = self.metrics["quality"], self.metrics["coverage"]
        told = []
        for key, after in list((quality["reranked"] or {}).items())[:1]:
            change = f" ({signed(quality['delta'][key])})" if quality["delta"] else ""
            mark = f", {told_mark}" if (told_mark := mark_of(self.metrics)) else ""
            told.append(f"{written_name(key)} {metric_value(after)}{change}{mark}")
        return [*told, counted(coverage["queries"], "query", "queries"), counted(coverage["pairs"], "pair")]


class ReportPage:
    """The report of a run. In a notebook it is shown; `html` is the page, `path` its file (which a run that was fetched
    from MLflow may lack).
    """

    def __init__(self, content: RunContent) -> None:
        self.path = content.folder.report
        self._content = content

    @cached_property
    def html(self) -> str:
        """The whole page, made anew from the run's numbers."""
        from stages.report.html import to_html

        return to_html(run_report(self._content))

    def __repr__(self) -> str:
        return f"<report of {self._content.run_id}: {self.path}>"

    def _repr_html_(self) -> str:
        """In a frame: the page's own styles stay in it."""
        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:{PAGE_HEIGHT_PX}px;border:0"></iframe>'


def open_folder(path: Path, keeps: object = None) -> FinishedRun:
    """Raises DataError where the folder is not one of a finished run."""
    return FinishedRun(read_run_folder(path), keeps)


def _places(ranking: Ranking) -> Iterator[tuple[str, str, int, float | None, float | None]]:
    """Each document of the order."""
    unscored = len(ranking.ordered()) - len(ranking.doc_ids)
    scores, logits = [*ranking.scores, *[None] * unscored], [*ranking.logits, *[None] * unscored]
    for rank, (doc_id, score, logit) in enumerate(zip(ranking.ordered(), scores, logits, strict=True), 1):
        yield ranking.query_id, doc_id, rank, score, logit
