"""What a job's store could not do, in one line for the user."""

from __future__ import annotations

from stages.store.scorer import StoreFaults


def describe_faults(faults: StoreFaults) -> str | None:
    """One line for the user; None where all went well."""
    counts = {
        "scores were not kept": faults.unkept_scores,
        "lookups failed": faults.failed_lookups,
        "damaged batches were dropped": faults.damaged_batches,
        "documents' vectors were not kept": faults.unkept_vectors,
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    if not told:
        return None
    return (
        f"{told} ({faults.reason}). This run's results are complete; what was not kept is "
        "scored again next time. Make room, or move a damaged store away."
    )
