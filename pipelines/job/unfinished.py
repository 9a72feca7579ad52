"""What is left of a job that stops before its last query, and how it goes on."""

from __future__ import annotations

from pipelines.base.config import RunConfig
from pipelines.base.process import same_again
from pipelines.job.prepare import Prepared
from pipelines.job.write import failed_pairs, write_trec
from pipelines.runs.folder import RunFolder
from stages.core.errors import InterruptedRunError
from stages.files.failures import write_failures


def interrupted(config: RunConfig, folder: RunFolder, prepared: Prepared, queries: int) -> InterruptedRunError:
    return InterruptedRunError(f"interrupted: {kept_for_the_next_try(config, folder, prepared, queries)}")


def kept_for_the_next_try(config: RunConfig, folder: RunFolder, prepared: Prepared, queries: int) -> str:
    """Write what there is, without metrics: a mean over some of the queries would be taken for one over all."""
    write_trec(folder)
    write_failures([*prepared.set_aside, *failed_pairs(folder)], folder.failures)
    again = same_again()
    goes_on = f"The scores are in {config.rerank.store}; the same command goes on from there: {again}"
    if config.rerank.store is None or config.rerank.store_mode == "read_only":
        goes_on = f"No score was kept for the next try (see rerank.store). From the start: {again}"
    elif config.model.api is not None and config.rerank.store_days == 0:
        goes_on = f"rerank.store_days 0 asks for all of them again: set it to 1 to go on from there. {again}"
    return f"{queries:,} of {prepared.manifest.queries:,} queries are ranked, in {folder.path}. {goes_on}"
