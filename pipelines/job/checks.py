"""What can be wrong with a job before a query is scored: `run` and `run --dry-run` ask the same, in the same order.

What only the data tell, both meet where they read them: `pipelines.job.prepare`.
"""

from __future__ import annotations

import errno
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pipelines.base.config import RunConfig
from pipelines.base.logs import libraries_log_to
from pipelines.job.lists import require_whole_lists
from pipelines.job.prompt_tokens import check_tokenizer
from pipelines.job.slices import slicings
from pipelines.tracking.uri import check_tracking
from pipelines.verdict.gate import check_pinned
from serve_app.engine.models import ModelInfo, describe
from serve_app.settings import ModelSettings
from stages.core.errors import DataError
from stages.sources import Source, open_source
from stages.sources.temporary import temporary_folder
from stages.store.file import is_damaged
from stages.store.store import ScoreStore


class Checked(NamedTuple):
    """What a job is about, once its config and all that this names can be used; and what to say of it. `models` are
    those of a cascade's stages, or the one.
    """

    models: tuple[ModelInfo, ...]
    source: Source
    notes: list[str]


def check_before_scoring(config: RunConfig) -> Checked:
    """Raises ConfigError and DataError: first what the config says, then the data, then the places that are read and
    written. Nothing is left in these.
    """
    slicings(config.evaluate.slices)
    models = tuple(map(_checked_model, config.stages()))
    check_tokenizer(config, models)
    notes = list(filter(None, [check_tracking(config.tracking.uri)]))
    source = open_source(config.data)
    _require_output(Path(config.output.dir))
    _require_store(config)
    if not config.output.texts:
        with temporary_folder():
            pass  # texts lie there while the job runs
    with tempfile.TemporaryDirectory(prefix="rerank-eval-checks-") as logs, libraries_log_to(Path(logs)):
        check_pinned(config)
    return Checked(models, source, notes)


def _checked_model(config: RunConfig) -> ModelInfo:
    model = describe_asked(config)
    _require_procedure(model, config.model)
    require_whole_lists(config, model)
    return model


def describe_asked(config: RunConfig) -> ModelInfo:
    """The model, found here or hosted elsewhere; that one's key must be at hand. Raises ConfigError."""
    if config.model.api is None:
        return describe(config.model, config.engine.backend)
    from pipelines.hosted.endpoint import hosted_model
    from pipelines.hosted.meter import check_prices
    from pipelines.hosted.shapes import SHAPES

    check_prices(SHAPES[config.model.api], config.model.api, config.hosted)
    return hosted_model(config.model)


def _require_procedure(model: ModelInfo, settings: ModelSettings) -> None:
    """In a light install what tokenizes is missing, and only a recipe of the user's own needs it."""
    folder = Path(model.path)
    bare = model.recipe is not None and folder.is_dir() and not (folder / "tokenizer.json").is_file()
    if isinstance(settings.recipe, dict) or (bare and find_spec("transformers")):
        from serve_app.engine.procedure import require_procedure

        require_procedure(model, settings)


def _require_output(folder: Path) -> None:
    """As RunFolder.create says it."""
    if code := _unwritable(folder):
        raise DataError(f"output.dir {folder}: cannot make a run folder ({os.strerror(code)}). Choose another.")


def _require_store(config: RunConfig) -> None:
    """A damaged store is no fault: a job sets it aside and starts anew, unless it may only read it."""
    if config.rerank.store is None:
        return
    folder, read_only = Path(config.rerank.store), config.rerank.store_mode == "read_only"
    if not read_only and (code := _unwritable(folder)):
        raise DataError(
            f"rerank.store {folder}: cannot be opened ({os.strerror(code)}). Move it away or choose another."
        )
    if not read_only and not (folder / "scores.sqlite").is_file():
        return
    try:
        ScoreStore(folder.resolve(), read_only=True, untouched=True).close()
    except DataError as error:
        if read_only or not (error.__cause__ and is_damaged(error.__cause__)):
            raise


def _unwritable(folder: Path) -> int | None:
    """Why it cannot be made or written (errno); None where it can."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        return errno.ENOTDIR
    return None if os.access(there, os.W_OK | os.X_OK) else errno.EACCES
