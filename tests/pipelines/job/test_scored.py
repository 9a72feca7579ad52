"""What a job's engines cost: each replica for as long as it lasted."""

from __future__ import annotations

import pytest

from pipelines.job.scored import held_s


def replica(began_s: float, ended_s: float | None = None) -> dict[str, float | None]:
    return {"began_s": began_s, "ended_s": ended_s}


@pytest.mark.parametrize(
    ("engines", "seconds"),
    [
        ([replica(50)], 60),
        ([replica(50), replica(90)], 120),
        ([replica(10, 50), replica(20, 50), replica(60), replica(60)], 120),
        ([replica(50, 130), replica(132)], 30 + 28),
        ([replica(50), replica(150, 155)], 65),
        ([replica(50), replica(170)], 60),
    ],
    ids=["one", "two", "two after a redeploy", "one died and another came", "one failed to start", "one came too late"],
)
def test_engine_seconds_are_what_each_replica_lasted_while_the_job_scored(
    engines: list[dict[str, float | None]], seconds: float
) -> None:
    assert held_s(engines, 100, 160) == pytest.approx(seconds)
