"""What the gain cost: pairs, tokens, engine seconds, money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunWork:
    """What a run did, as its telemetry counts it.

    `pairs` are all that were asked for; the engine scored `scored_pairs` of them, reading `prompt_tokens`, and the
    store knew the others. `engine_s` is the time for which engines were held meanwhile, of all replicas added up; None
    where a hosted model scored, and `billed` is what that cost, None where no price is known; `billed_besides` of it
    was for pairs whose scores were known.
    """

    queries: int
    pairs: int
    scored_pairs: int
    prompt_tokens: int
    engine_s: float | None
    billed: float | None = None
    billed_besides: float = 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Per query, as if the engine had scored every pair; None where it scored none, so that nothing was measured.

    `gain_per_engine_s[metric]` is the mean gain of a query over the engine seconds of a query. Money is in the currency
    of the price; None where there is no price.
    """

    pairs_per_query: float | None
    tokens_per_query: float | None
    engine_s_per_query: float | None
    gain_per_engine_s: Mapping[str, float | None]
    money: float | None
    money_per_1000_queries: float | None


def cost(work: RunWork, gains: Mapping[str, float], per_hour: float | None = None) -> Cost:
    """`gains` are the mean differences to the first stage; `per_hour` is the price of one engine for an hour.

    A pair that came from the score store counts as much as one that was scored: the gain comes from all pairs, and a
    run that found half of them known was not twice as good. `money` alone is what this run cost itself.
    """
    scored = work.scored_pairs > 0 and work.queries > 0
    share = work.pairs / work.scored_pairs / work.queries if scored else None
    engine_s = None if share is None or work.engine_s is None else work.engine_s * share
    money = work.billed if per_hour is None or work.engine_s is None else work.engine_s * per_hour / 3600
    return Cost(
        pairs_per_query=work.pairs / work.queries if work.queries else None,
        tokens_per_query=None if share is None or work.engine_s is None else work.prompt_tokens * share,
        engine_s_per_query=engine_s,
        gain_per_engine_s={metric: gain / engine_s if engine_s else None for metric, gain in gains.items()},
        money=money,
        money_per_1000_queries=None if money is None or share is None else 1000 * (money - work.billed_besides) * share,
    )
