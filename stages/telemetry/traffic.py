"""What a service did between two looks at its counters: requests by end, times and sizes, tokens, cache, gauges.

Filled by `pipelines/service/scrape.py`, judged by `health` and `stages/diagnosis/`. What a service does not tell is
None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stages.telemetry.histogram import Histogram
from stages.telemetry.telemetry import ratio

# A caller that went away is counted by the service, but is no failure of it.
NO_FAILURE = "client_gone"
# Requests refused for want of room: our reason, and those of vLLM's server.
OVERLOAD = frozenset({"overload", "max_num_queued_reqs", "max_num_queued_tokens"})


@dataclass(frozen=True, slots=True)
class Traffic:
    """`seconds` is the time between the looks, None for all since the start; gauges are as at the second look.

    Where `per_prompt` holds, requests and `request_s` are of single prompts (a pair each): a bare vLLM server knows
    no requests. Times are in seconds; of a query's time, `queue_s`, `tokenize_s` and `engine_s` are the parts.
    `kv_usage` (0 to 1) is the fullest engine's; `running` and `waiting` are prompts of all `replicas` engines seen.
    """

    seconds: float | None
    answered: float = 0.0
    rejected: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, float] = field(default_factory=dict)
    request_s: Histogram | None = None
    queue_s: Histogram | None = None
    tokenize_s: Histogram | None = None
    engine_s: Histogram | None = None
    documents: Histogram | None = None
    prompt_tokens_per_request: Histogram | None = None
    queries: float | None = None
    repeats: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None
    preemptions: float | None = None
    kv_usage: float | None = None
    running: float | None = None
    waiting: float | None = None
    ready_replicas: float | None = None
    replicas: int = 0
    per_prompt: bool = False

    @property
    def failures(self) -> dict[str, float]:
        """Failed requests by reason, those that happened, without callers that went away."""
        return {reason: count for reason, count in self.failed.items() if count and reason != NO_FAILURE}

    @property
    def requests(self) -> float:
        """Requests that ended; those whose caller went away are left out."""
        return self.answered + sum(self.rejected.values()) + sum(self.failures.values())

    @property
    def failed_share(self) -> float | None:
        return ratio(sum(self.failures.values()), self.requests)

    @property
    def rejected_share(self) -> float | None:
        return ratio(sum(self.rejected.values()), self.requests)

    @property
    def overload_share(self) -> float | None:
        """Requests that were refused for want of room, of all."""
        return ratio(sum(count for reason, count in self.rejected.items() if reason in OVERLOAD), self.requests)

    @property
    def requests_per_s(self) -> float | None:
        """Answered ones."""
        return self.per_s(self.answered)

    @property
    def pairs(self) -> float | None:
        """Documents of answered requests."""
        if self.documents is not None:
            return self.documents.sum
        return self.answered if self.per_prompt else None

    @property
    def pairs_per_s(self) -> float | None:
        return self.per_s(self.pairs)

    @property
    def documents_per_request(self) -> float | None:
        return self.documents.mean if self.documents else None

    @property
    def tokens_per_pair(self) -> float | None:
        """Prompt tokens of a pair: template, instruction, query and document."""
        if self.prompt_tokens_per_request is None or not self.pairs:
            return None
        return self.prompt_tokens_per_request.sum / self.pairs

    @property
    def in_flight(self) -> float | None:
        """Requests at work at once, on the average: Little's law, L = rate * time, over the answered ones."""
        return self.per_s(self.request_s.sum) if self.request_s else None

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return self.per_s(self.prompt_tokens)

    @property
    def prefix_hit_rate(self) -> float | None:
        """Prompt tokens that came from the cache, of those looked up there; None where nothing was."""
        if self.prefix_hits is None or self.prefix_queries is None:
            return None
        return ratio(self.prefix_hits, self.prefix_queries)

    @property
    def repeat_share(self) -> float | None:
        """Queries that had been asked shortly before, of all queries."""
        return None if self.repeats is None or self.queries is None else ratio(self.repeats, self.queries)

    @property
    def shareable(self) -> float | None:
        """The share of pairs whose query is already in some prompt before: all but the first of each new query.

        No prefix cache can do better than that, times the part of a prompt that comes before the document.
        """
        if self.repeat_share is None or not self.documents_per_request:
            return None
        return 1 - (1 - self.repeat_share) / max(self.documents_per_request, 1)

    @property
    def stage_shares(self) -> dict[str, float] | None:
        """How a query's time divides into `queue`, `tokenize` and `engine`; None where it is not known."""
        parts = {"queue": self.queue_s, "tokenize": self.tokenize_s, "engine": self.engine_s}
        sums = {name: part.sum for name, part in parts.items() if part is not None}
        total = sum(sums.values())
        return {name: one / total for name, one in sums.items()} if len(sums) == len(parts) and total > 0 else None

    @property
    def idle(self) -> bool:
        """Whether nothing happened: no request ended, and no engine read a token."""
        return not (self.requests or self.failed.get(NO_FAILURE) or self.prompt_tokens)

    def per_s(self, count: float | None) -> float | None:
        """A count of this time as a rate; None where the time is not known."""
        return None if count is None or self.seconds is None else ratio(count, self.seconds)
