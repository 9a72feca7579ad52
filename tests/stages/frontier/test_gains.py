"""Quick values are those of ranx, for every metric, list and depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ConfigError
from stages.frontier.assemble import list_of
from stages.frontier.gains import BOUNDED, KNOWN, Gains
from stages.frontier.points import Step
from stages.quality.evaluate import evaluate
from stages.quality.measures import SUPPORTED
from tests.examples import examples
from tests.frontier_inputs import Scored, drawn, scored

NAMES = [f"{measure}.8" if measure == "rbp" else measure for measure in KNOWN]
NAMES += ["ndcg@3", "ndcg@2-l2", "mrr@2", "map@3", "recall@2", "precision@20", "f1@3", "hit_rate@1", "dcg@5", "map-l2"]


@examples(60)
@given(scored(), st.sampled_from(NAMES))
def test_quick_values_are_ranxs(made: Scored, name: str) -> None:
    study = made.study(name)
    depths = range(1, made.lists.width + 1)
    quick = study.curve((), 0, len(depths))
    for column, depth in enumerate(depths):
        lists = {query.query_id: list_of(query, [Step(0, depth)]) for query in made.queries}
        slow = evaluate(lists, made.judgements, [name])
        assert study.gains.query_ids == slow.query_ids
        assert np.allclose(quick[:, column], slow.values[name], rtol=0, atol=1e-12)


@examples(20)
@given(scored(), st.sampled_from([name for name in NAMES if name.split("@")[0].split(".")[0] in BOUNDED]))
def test_what_is_called_bounded_lies_between_0_and_1(made: Scored, name: str) -> None:
    values = made.study(name).curve((), 1, made.lists.width)
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@pytest.mark.parametrize("name", sorted(set(SUPPORTED) - set(KNOWN)))
def test_a_metric_that_asks_for_more_than_relevant_documents_is_refused(name: str) -> None:
    made = drawn(1, 3)
    with pytest.raises(ConfigError, match=f"not of {name}"):
        Gains(name, made.lists, made.judgements)
