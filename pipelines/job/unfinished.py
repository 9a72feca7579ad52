"""What is left of a job that stops before its last query, and how it goes on."""

from __future__ import annotations

from pipelines.base.config import RunConfig
from pipelines.base.process import same_again
from pipelines.job.prepare import Prepared
from pipelines.job.ranked import failed_pairs, write_trec
from pipelines.runs.folder import RunFolder
from stages.core.errors import InterruptedRunError
from stages.files.failures import write_failures


def interrupted(config: RunConfig, folder: RunFolder, prepared: Prepared, queries: int) -> InterruptedRunError:
    return InterruptedRunError(f"interrupted: {kept_for_the_next_try(config, folder, prepared, queries)}")


def kept_for_the_next_try(config: RunConfig, folder: RunFolder, prepared: Prepared, queries: int) -> str:
    """Write what there is, without metrics: a mean over some of the queries would be taken for one over all."""
    write_trec(folder)
    write_failures([*prepared.set_aside, *failed_pairs(folder)], folder.failures)
    ranked = f"{queries:,} of {prepared.manifest.queries:,} queries are ranked, in {folder.path}"
    stage = "" if folder.stage_number is None else f"stage {folder.stage_number}: "
    return f"{stage}{ranked}. {_how_it_goes_on(config)}"


def stopped_between(config: RunConfig, folder: RunFolder, stage: int) -> InterruptedRunError:
    """Before this stage of a cascade began."""
    done = f"interrupted: stage {stage - 1} is done, in {folder.stage(stage - 1).path}, and stage {stage} was not begun"
    return InterruptedRunError(f"{done}. {_how_it_goes_on(config)}")


def _how_it_goes_on(config: RunConfig) -> str:
    again = same_again()
    if config.rerank.store is None or config.rerank.store_mode == "read_only":
        return f"No score was kept for the next try (see rerank.store). From the start: {again}"
    if config.model.api is not None and config.rerank.store_days == 0:
        return f"rerank.store_days 0 asks for all of them again: set it to 1 to go on from there. {again}"
    return f"The scores are in {config.rerank.store}; the same command goes on from there: {again}"
