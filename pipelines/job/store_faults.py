"""What a job's store could not do, in one line for the user."""

from __future__ import annotations

from stages.store.scorer import StoreFaults

AGAIN = "This run's results are complete; what was not kept is computed again next time."


def describe_faults(faults: StoreFaults, kept: str = "scores", again: str = AGAIN) -> str | None:
    """One line for the user; None where all went well. `kept` is what the store holds, `again` what comes of it."""
    counts = {
        f"{kept} were not kept": faults.unkept_scores,
        "lookups failed": faults.failed_lookups,
        "damaged batches were dropped": faults.damaged_batches,
        "documents' vectors were not kept": faults.unkept_vectors,
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    if not told and not faults.vectors_full:
        return None
    lines = [f"{told} ({faults.reason})"] if told else []
    if faults.vectors_full:
        lines.append("documents' vectors are no longer kept: vectors.sqlite has the size of rerank.store_vectors_gib")
    mend = "Make room, or move a damaged store away." if told else "Raise it to keep more."
    return f"{'; '.join(lines)}. {again} {mend}"
