"""What a job's store could not do is one line: true counts, and how to mend it."""

from __future__ import annotations

from pipelines.job.store_faults import describe_faults
from stages.store.scorer import StoreFaults


def test_where_all_went_well_nothing_is_said() -> None:
    assert describe_faults(StoreFaults()) is None


def test_that_vectors_are_no_longer_kept_is_said_with_its_setting_and_without_a_number() -> None:
    told = str(describe_faults(StoreFaults(vectors_full=1) + StoreFaults()))
    assert told.startswith("documents' vectors are no longer kept: vectors.sqlite has the size of rerank.store_vectors")
    assert told.endswith("Raise it to keep more.")
    assert not any(letter.isdigit() for letter in told)


def test_what_failed_is_counted_with_its_reason_beside_that() -> None:
    told = str(describe_faults(StoreFaults(vectors_full=1) + StoreFaults(unkept_vectors=1200, reason="disk full")))
    assert told.startswith("1,200 documents' vectors were not kept (disk full); documents' vectors are no longer kept:")
    assert told.endswith("Make room, or move a damaged store away.")
