"""What a user sees on the terminal while a job runs."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from pipelines.base.console import LOG_EVERY_S, Console
from pipelines.base.redaction import redacted_text
from pipelines.base.sections import TrackingSettings
from pipelines.job.progress import Progress as Done
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import verdict_words
from serve_app.engine.models import ModelInfo
from serve_app.recipes.told import told_recipe
from serve_app.settings import ModelSettings
from stages.core.first_stage import MadeFirstStage
from stages.core.judges import BY_MODEL, NO_INTERVAL, mark_of
from stages.core.listed import order_in_words
from stages.core.metrics import Metrics
from stages.core.reasons import told_kinds
from stages.core.records import SetAside
from stages.core.words import counted
from stages.files.manifest import CandidatesManifest
from stages.report.by_model import marked_table
from stages.report.run.stages import stages_table
from stages.report.slices import of_run, slices_line
from stages.report.terminal import cost_table, forecast_words, print_table, quality_table
from stages.report.unjudged import unjudged_line
from stages.telemetry.telemetry import TimelinePoint

if TYPE_CHECKING:
    from serve_app.replica.app import RunningApp


class JobConsole(Console):
    """Prints the course of a job."""

    def sends(self, model: ModelSettings) -> None:
        """That texts leave the house is said first. Raises ConfigError where nobody can be asked, or without a key."""
        from pipelines.hosted.endpoint import endpoint_of

        self.say(escape(endpoint_of(model).sent_to()))

    def scored_as(self, model: ModelInfo) -> None:
        """By which recipe, and what a reader of its scores should know of that."""
        if model.recipe is not None:
            self.say(f"scored as   {escape(told_recipe(model.recipe))}")
        self.remarks(model.remarks)

    def made(self, first_stages: Mapping[str, MadeFirstStage]) -> None:
        """The first stages that were made here, and where what they were made with is kept."""
        for made in first_stages.values():
            self.say(f"first stage {escape(str(made))}")
            self.say(f"            {escape(made.index())}")

    def stage(self, number: int, of: int, model: ModelInfo, depth: int | None) -> None:
        """Which stage of a cascade begins."""
        top = "all candidates" if depth is None else f"the top {depth:,}"
        top += "" if number == 1 else f" of what stage {number - 1} left"
        self.say(f"stage {number} of {of}  {escape(model.name)}, {top}")

    def side_by_side(self, *, together: bool) -> None:
        """Whether the engine of the next stage starts while this one scores."""
        if together:
            self.say("engine      the next stage's starts meanwhile: there is room for both")
        else:
            self.say("engine      one after the other: no room here for two at a time")

    def prepared(
        self, manifest: CandidatesManifest, set_aside: Sequence[SetAside], remarks: Sequence[str], order_only: int
    ) -> None:
        """What there is to score; of what there is not, the causes before what follows from them."""
        told = f"{counted(manifest.queries, 'query', 'queries')}, {counted(manifest.pairs, 'pair')}"
        aside = f"; {counted(len(set_aside), 'row')} set aside (failures.parquet)" if set_aside else ""
        self.say(f"candidates  {told}{aside}")
        for kind in told_kinds(set_aside):
            self.say(f"            {escape(kind)}")
        if order_only:
            self.say(f"order only  {order_in_words(order_only, manifest.queries)}")
        self.remarks(remarks)

    def remarks(self, remarks: Sequence[str]) -> None:
        """What a reader of the values must know of the data, or of the model."""
        for remark in remarks:
            self.say(f"mind        {escape(remark)}")

    def starting(self, phase: Callable[[], str]) -> AbstractContextManager[None]:
        """While open, says what is waited for until the engine is ready."""
        return self.waiting("engine      starts", phase)

    def ready(self, app: RunningApp | None, needed: bool, seconds: float) -> None:
        told = f"ready after {seconds:.0f} s" if app and app.started_here else "found running, reused"
        if app is None:
            told = "none: the stand-in scores by itself" if needed else "not started: the store knows every score"
        self.say(f"engine      {told}")

    @contextlib.contextmanager
    def progress(self, manifest: CandidatesManifest) -> Iterator[Callable[[Done, TimelinePoint], None]]:
        """A live line: queries done, pairs per second, time left. In a log file: a line now and then."""
        if not self.rich.is_terminal:
            yield self._log_line(manifest.queries)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("reranking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("queries  {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.rich, transient=True) as bar:
            task = bar.add_task("rerank", total=manifest.queries, rate="")

            def on_progress(done: Done, point: TimelinePoint) -> None:
                bar.update(task, completed=done.queries, rate=_pace(done, point))

            yield on_progress

    def _log_line(self, queries: int) -> Callable[[Done, TimelinePoint], None]:
        told_s = 0.0

        def on_progress(done: Done, point: TimelinePoint) -> None:
            nonlocal told_s
            if point.elapsed_s - told_s >= LOG_EVERY_S:
                told_s = point.elapsed_s
                self.say(f"reranking   {done.queries:,} of {queries:,} queries, {_pace(done, point)}")

        return on_progress

    def table(self, metrics: Metrics, runs: Mapping[str, Metrics]) -> None:
        self.rich.print(quality_table(metrics, runs))
        if stages := metrics.get("stages"):
            print_table(marked_table(stages_table(stages), mark_of(metrics)), self.rich)
        self.rich.print(cost_table(metrics))
        if told := forecast_words(metrics):
            self.say(f"forecast    {told}")

    def verdict(self, folder: RunFolder) -> None:
        """The main metric's sentence, and the page that tells the rest."""
        analysis = json.loads(folder.analysis.read_text(encoding="utf-8"))
        for label, told in zip(chain(("verdict",), repeat("mind")), verdict_words(analysis), strict=False):
            self.say(f"{label:<11} {escape(told)}")
        named = 1 if analysis["useless"]["name"] else 0  # the first remark says what the verdict is worth
        self.remarks(analysis["remarks"][:named])
        self.harm(analysis)
        self._beside_verdict(analysis)
        self.remarks(analysis["remarks"][named:])
        if folder.report.is_file():
            self.say(f"report      {folder.report}")

    def unjudged(self, folder: RunFolder) -> None:
        """Where nobody judged, how that is mended: by people, and by a model whose grades people check."""
        run = shlex.quote(str(folder.path))
        self.say(
            f"no qrels    rerank-eval plan-judging {run} --metric ndcg@10 --width 0.03 --out judging  (people judge)"
        )
        self.say(
            f"            rerank-eval judge {run} --config judge.yaml --out judged  (a model does: docs/judging.md)"
        )

    def harm(self, analysis: Mapping[str, Any]) -> None:
        """How many lists changed, what was pushed out, and what cannot be told of the order, in a line each."""
        if changes := analysis["changes"]:
            self.say(f"changed     {changes['words']}")
        if (harm := analysis.get("harm")) and changes and changes["anywhere"]:
            self.say(f"harm        {harm['words']}{_mark(analysis)}")
        if not analysis["useless"]["name"]:  # a name is the first remark
            self.notes(analysis["useless"]["words"])

    def _beside_verdict(self, analysis: Mapping[str, Any]) -> None:
        """What of the lists is not judged, and the user's slices; nothing where all is judged, or none asked for."""
        for metric, found in list((analysis.get("unjudged") or {}).items())[:1]:
            if line := unjudged_line(metric, found):
                self.say(f"judged      {line}{_mark(analysis)}")
        if line := slices_line(of_run(analysis.get("slices") or [], analysis.get("metrics") or [])):
            mark = _mark(analysis)
            self.say(f"slices      {escape(line)}{mark}{f', and {NO_INTERVAL}' if mark else ''}")

    def gated(self, sentence: str, notes: Sequence[str]) -> None:
        """The gate's verdict, in the words of `rerank-eval gate`."""
        for note in notes:
            self.note(note)
        self.say(f"gate        {escape(sentence)}")

    def note(self, text: str) -> None:
        self.say(f"note        {escape(text)}")

    def notes(self, *texts: str | None) -> None:
        """Those that there are."""
        for text in texts:
            if text:
                self.note(text)

    def where(self, folder: RunFolder, tracking: TrackingSettings) -> None:
        """The command that opens MLflow and, as the last line, the run folder."""
        if tracking.uri:
            shown = redacted_text(tracking.uri)
            command = f"mlflow ui --backend-store-uri {shlex.quote(shown)}"
            self.say(f"compare     {shown if shown.startswith('http') else command}")
        self.say(f"run folder  {folder.path}")


def _mark(analysis: Mapping[str, Any]) -> str:
    """After numbers that come of a model's judgements."""
    return f"; {BY_MODEL}" if "inference" in analysis else ""


def _pace(done: Done, point: TimelinePoint) -> str:
    """How fast pairs are ranked; until one is, what is waited for: a call answers when its last score is there."""
    if done.queries:
        rate = f"{done.pairs / point.elapsed_s if point.elapsed_s else 0.0:,.0f} pairs/s"
        return f"{rate}; {escape(done.waits)}" if done.waits else rate
    if done.waits:
        return escape(done.waits)
    if not (done.prompts or point.running or point.waiting):
        return "waiting for the first prompts to be made"
    there = counted(point.running + point.waiting, "prompt")
    return f"waiting for the first answer: {there} in the engine, {done.prompts:,} computed"
