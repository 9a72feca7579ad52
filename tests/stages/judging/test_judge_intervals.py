"""The simulation of judges: it makes the intervals that the verdict makes."""

from __future__ import annotations

import numpy as np
import pytest

from stages.judging.inference import Labelled, Method, infer
from stages.judging.precision import About
from tests.faults.judges import Case, cases
from tests.faults.many_intervals import intervals


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.change}-{case.judge}")
@pytest.mark.parametrize("n", [10, 20, 60])
def test_thousands_of_rounds_at_once_are_what_infer_makes_of_each(case: Case, n: int) -> None:
    both = case.draw(4, 100, np.random.default_rng(n))
    for about in About:
        many = intervals(both.people[:, :n], both.model[:, :n], both.model.mean(axis=1), 100, about, 0.95)
        for place, (people, model) in enumerate(zip(both.people, both.model, strict=True)):
            one = infer([Labelled(100, people[:n], model[:n], model[n:])], about, 0.95)
            assert many.told[place] == (one.interval is not None)
            if one.interval is not None:
                assert one.interval == pytest.approx((many.low[place], many.high[place]), abs=1e-9)
                assert many.leaned[place] == (one.method is not Method.PEOPLE)
