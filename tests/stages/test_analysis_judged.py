"""The share of the top k that was judged."""

from __future__ import annotations

import pytest

from stages.analysis.judged import judged_at
from stages.records import Judgements


def test_the_share_is_of_the_documents_that_are_there() -> None:
    judgements = Judgements({"q": {"a": 1, "b": 0, "z": 1}, "p": {"a": 1}, "unanswered": {"a": 1}})
    found = judged_at([("q", ("x", "a", "b")), ("unjudged", ("a",)), ("p", ("a",))], judgements, [1, 2, 10])
    assert found.query_ids == ("p", "q", "unanswered")
    assert found.answered == (True, True, False)
    assert found.values["judged@1"] == (1.0, 0.0, 0.0)
    assert found.values["judged@2"] == (1.0, 0.5, 0.0)
    assert found.values["judged@10"] == pytest.approx((1.0, 2 / 3, 0.0))
