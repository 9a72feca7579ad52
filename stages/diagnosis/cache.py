"""What the KV cache and its prefixes say: whether it is full, and whether what prompts share is found in it."""

from __future__ import annotations

from stages.core.words import number, share
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.telemetry.health import Zones, prefixes_shared, template_alone
from stages.telemetry.traffic import Traffic


def kv_findings(traffic: Traffic, zones: Zones) -> list[Finding]:
    """At most one. Preemptions alone tell it too: a look may miss the moment at which the cache is full."""
    used, preempted = traffic.kv_usage, traffic.preemptions
    if used is None:
        return []
    evidence = {"kv_usage_share": used, "preemptions": preempted}
    if used <= zones.kv_thrashing and not preempted:
        words = f"The KV cache has room: {share(used)} in use, no prompt lost its place."
        return [Finding("metrics", "kv_thrashing", Weight.FINE, words, evidence)]
    told = f"{share(used)} in use" + (f", {preempted:,.0f} prompts thrown out" if preempted else "")
    words = f"The KV cache is too small for the prompts at work ({told}): they wait for its blocks, or are begun anew."
    return [Finding("metrics", "kv_thrashing", Weight.LIMIT, words, evidence, _fewer_prompts(traffic))]


def _fewer_prompts(traffic: Traffic) -> Advice:
    action = "let fewer prompts run at once, or give the cache more memory with engine.kv_cache_gib"
    effect = "no prompt is computed twice"
    if not (traffic.running and traffic.replicas):
        return Advice(action, effect)
    # Three quarters: the next step down that leaves room for prompts longer than those at work now.
    fewer = max(1, round(0.75 * traffic.running / traffic.replicas))
    return Advice(action, effect, setting="engine.max_num_seqs", value=fewer)


def prefix_findings(traffic: Traffic, zones: Zones) -> list[Finding]:
    """At most one: queries are not found because they are not shared (`prefix_unused`), or though (`prefix_missed`).

    Nothing where no prompt was looked up: the cache is off then, or the model has none.
    """
    rate = traffic.prefix_hit_rate
    if rate is None:
        return []
    evidence = {
        "prefix_hit_rate": rate,
        "repeated_query_share": traffic.repeat_share,
        "documents_per_request": traffic.documents_per_request,
        "shareable_share": traffic.shareable,
    }
    found = rate >= zones.prefix_hit_rate
    if found and not template_alone(traffic, zones):
        words = f"The prefix cache works: {share(rate)} of prompt tokens were not computed again."
        return [Finding("metrics", "prefix_unused", Weight.FINE, words, evidence)]
    if traffic.repeat_share is None or traffic.documents_per_request is None:
        words = f"Of prompt tokens only {share(rate)} come from the prefix cache; how much is shared is not told."
        return [Finding("metrics", "prefix_unused", Weight.NOTE, words, evidence)]
    told = (
        f"{share(traffic.repeat_share, 0)} of queries repeat, {number(traffic.documents_per_request)} documents a "
        f"request, {share(rate)} of prompt tokens from the cache"
    )
    if prefixes_shared(traffic, zones):
        words = f"Prompts share their query, yet the prefix cache does not find it ({told})."
        return [Finding("metrics", "prefix_missed", Weight.COST, words, evidence, _missed(traffic, zones))]
    never = "seldom" if traffic.repeat_share else "never"
    words = f"The prefix cache has no query to share: they {never} repeat and have few documents ({told})."
    return [Finding("metrics", "prefix_unused", Weight.COST, words, evidence, _unused(found))]


def _unused(found: bool) -> Advice:
    if found:  # the template, which all prompts share, pays for the cache
        return Advice("send all documents of a query in one request", "the query is computed once for all of them")
    return Advice(
        "send all documents of a query in one request; where that cannot be, switch the cache off",
        "with them in one request the query is computed once; switched off, no time goes into looking prompts up",
        setting="engine.prefix_caching",
        now=True,
        value=False,
    )


def _missed(traffic: Traffic, zones: Zones) -> Advice:
    """The cause by what else is seen: a full cache, repeats that meet another replica, else too large blocks."""
    if traffic.preemptions or (traffic.kv_usage or 0) > zones.kv_nearly_full:
        return Advice("give the cache more memory", "a query is still there when it comes again", "engine.kv_cache_gib")
    few = (traffic.documents_per_request or 0) <= zones.few_documents
    if few and (traffic.ready_replicas or traffic.replicas) > 1:
        return Advice(
            "send all documents of a query in one request: repeats go to whichever replica is free",
            "a query is computed once for all its documents",
        )
    return Advice(
        "make the cache's blocks smaller than instruction and query together (at least 32 tokens on a CPU, 16 on a "
        "GPU): only full blocks are shared",
        "all but a query's first document find it computed",
        "engine.block_size",
    )
