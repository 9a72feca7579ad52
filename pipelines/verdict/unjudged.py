"""What nobody judged of two finished runs' lists, which lie in their folders beside the judgements."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.runs.read import RunContent
from stages.core.records import Judgements, QueryMetrics
from stages.files.judgements import read_judgements
from stages.files.rankings import read_lists
from stages.quality.unjudged import TwoLists, Unjudged, highest_grade, unjudged


def unjudged_between(
    baseline: RunContent, run: RunContent, before: QueryMetrics, after: QueryMetrics
) -> Mapping[str, Unjudged]:
    """By metric, over the queries of `before` and `after`, the runs' values.

    Empty where that is not known: a run of before its judgements were kept, one that MLflow alone has, whose lists are
    not fetched, and runs with other judgements than each other.
    """
    if baseline.metrics.get("judgements_digest") != run.metrics.get("judgements_digest"):
        return {}
    if not baseline.folder.judgements.is_file():
        return {}
    try:
        whole = read_judgements(baseline.folder.judgements)
        if whole.grades.keys() < set(before.query_ids):
            return {}
        judgements = whole.of(before.query_ids)
        first, second = (_lists(one, judgements) for one in (baseline, run))
    except (OSError, ValueError, KeyError):
        return {}
    if not first or not second:
        return {}
    lists = (TwoLists(query_id, first.get(query_id, ()), second.get(query_id, ())) for query_id in before.query_ids)
    return unjudged(lists, judgements, before, after, highest=highest_grade(whole))


def _lists(run: RunContent, judgements: Judgements) -> dict[str, tuple[str, ...]]:
    return {query_id: ids for query_id, ids in read_lists(run.folder.rankings) if query_id in judgements.grades}
