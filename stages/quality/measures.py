"""The names of metrics: what can be measured, how it is written, and what exactly each name means.

A name is a measure, for most with a cutoff (`ndcg@10`), a relevance level (`map-l2`), or both (`ndcg@10-l2`). With `@k`
only the first k documents of a ranking count; without it all do. A document is relevant when its grade is the level or
more, which is 1 where none is named; an unjudged document is not, nor one with grade 0 or below. In trec_eval's names,
the level being its `-l`:

    ndcg@k, ndcg            ndcg_cut_k, ndcg: grade / log2(rank + 1), over that of all judged documents, best first
    ndcg_burges@k           not in trec_eval: the same with the gain 2^grade - 1 (Burges et al., ICML 2005)
    dcg@k, dcg_burges@k     not in trec_eval: the same sums, undivided; may exceed 1
    mrr@k, mrr              recip_rank: 1 / rank of the first relevant document, 0 where that rank is over k
    map@k, map              map_cut_k, map: divided by all relevant documents, not by at most k
    recall@k, recall        recall_k, set_recall
    precision@k, precision  P_k, set_P: a ranking shorter than k is divided by k all the same
    f1@k, f1                harmonic mean of precision and recall, as set_F
    hit_rate@k, hit_rate    success_k
    hits@k, hits            num_rel_ret: a count, which may exceed 1
    r-precision             Rprec: precision at the number of relevant documents
    bpref                   bpref: how seldom a document judged not relevant stands above a relevant one. Documents
                            that are not judged, or with a grade below 0, are passed over; 1 for each relevant one where
                            nothing is judged not relevant
    rbp.95                  not in trec_eval: rank-biased precision, (1 - p) * sum of p^(rank - 1) over the relevant
                            documents (Moffat and Zobel, TOIS 2008), here with persistence p = 0.95
    judged@k, judged        not in trec_eval: the share of the top k that has a judgement, of whatever grade; of a
                            shorter ranking the share of all of it, of none 0 (Judged@k of ir_measures). It measures the
                            data, not quality: where it is low, the other metrics tell little
    answer_recall@k         not in trec_eval: whether one of the first k documents has an answer, which is hit_rate@k of
                            judgements from answers, and DPR's top-k accuracy; of several answers any one counts
    answer_recall@tokens=n  whether one of the documents has an answer that, best first, have no more than n tokens
                            together. Documents stay whole: the first that does not fit ends the list, whatever is
                            behind it

The answer_recall family is of judgements from answers alone (`data.columns.answers`): qrels have hit_rate@k.

Two values differ from what a tool of the same name says. With a level, the dcg family counts documents below it as 0
and gives the others their whole grade; trec_eval's ndcg ignores `-l`. And ranx multiplies rbp by the grade, which takes
it over 1; here a document is relevant or not, as in its paper.

ranx's interpolated_precision_at_recall is left out: it gives eleven values for each query, and `ranx.evaluate` has no
name for it either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stages.core.errors import ConfigError
from stages.core.words import key_name, nearest

EXAMPLES = "ndcg@10, map-l2, ndcg@10-l2, rbp.95, answer_recall@tokens=2000"


@dataclass(frozen=True, slots=True)
class Measure:
    """What may follow a measure's name. `function` is its name in `ranx.metrics`, None for what is computed here. With
    `tokens` a cutoff may count these instead of documents, and is computed here.
    """

    function: str | None
    cutoff: bool = True
    level: bool = True
    persistence: bool = False
    tokens: bool = False


SUPPORTED: Mapping[str, Measure] = {
    "ndcg": Measure("ndcg"),
    "mrr": Measure("reciprocal_rank"),
    "map": Measure("average_precision"),
    "recall": Measure("recall"),
    "precision": Measure("precision"),
    "f1": Measure("f1"),
    "hit_rate": Measure("hit_rate"),
    "hits": Measure("hits"),
    "r-precision": Measure("r_precision", cutoff=False),
    "ndcg_burges": Measure("ndcg_burges"),
    "dcg": Measure("dcg"),
    "dcg_burges": Measure("dcg_burges"),
    "bpref": Measure("bpref", cutoff=False),
    "rbp": Measure("rank_biased_precision", cutoff=False, persistence=True),
    "judged": Measure(None, level=False),
    "answer_recall": Measure("hit_rate", level=False, tokens=True),
}
"""Every measure by its name alone. Only `rbp` is no metric without its persistence."""

OF_ALL_RELEVANT = frozenset({"ndcg", "ndcg_burges", "map", "recall", "f1", "r-precision", "bpref"})
"""Those that look at all relevant documents, and not at the list alone."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, read. `cutoff` 0: the whole ranking; `persistence` is rbp's, between 0 and 1, and 0 for all others.
    `tokens` is the budget of a cutoff that counts these, and 0 for all others.
    """

    measure: str
    cutoff: int = 0
    level: int = 1
    persistence: float = 0.0
    tokens: int = 0

    @property
    def of_answers(self) -> bool:
        """Whether it is of judgements from answers alone."""
        return SUPPORTED[self.measure].tokens


_WHOLE = r"[1-9][0-9]{0,8}"
_NAME = re.compile(
    rf"(?P<measure>[a-z0-9_-]+?)(\.(?P<persistence>[0-9]{{1,9}}))?"
    rf"(@(tokens=(?P<tokens>{_WHOLE})|(?P<cutoff>{_WHOLE})))?"
    rf"(-l(?P<level>{_WHOLE}))?"
)
_OTHER_NAMES = {
    "recip_rank": "mrr",
    "rr": "mrr",
    "ap": "map",
    "p": "precision",
    "rprec": "r-precision",
    "success": "hit_rate",
    "num_rel_ret": "hits",
    "set_f": "f1",
}


def parse_metric(name: str) -> Metric:
    """Read a metric's name. Cutoffs and levels are whole numbers from 1 to 999999999, persistence up to 9 decimals.

    Raises ConfigError, which lists the choices and names the nearest one.
    """
    parts = _NAME.fullmatch(name)
    if parts is None or not _fits(**parts.groupdict()):
        without_cutoff = ", ".join(measure for measure, takes in SUPPORTED.items() if not takes.cutoff)
        raise ConfigError(
            f"Unknown metric {name!r}; the nearest one is {nearest_metric(name)!r}. "
            f"Choose from: {', '.join(SUPPORTED)}; all but {without_cutoff} also with a cutoff, all but judged and "
            f"answer_recall with a relevance level, answer_recall with a budget of tokens: {EXAMPLES}."
        )
    return Metric(
        parts["measure"],
        int(parts["cutoff"] or 0),
        int(parts["level"] or 1),
        float(f"0.{parts['persistence'] or 0}"),
        int(parts["tokens"] or 0),
    )


def _fits(measure: str, persistence: str | None, tokens: str | None, cutoff: str | None, level: str | None) -> bool:
    takes = SUPPORTED.get(measure)
    if takes is None or takes.persistence != (persistence is not None):
        return False
    if persistence is not None and not persistence.strip("0"):
        return False
    if tokens is not None and not takes.tokens:
        return False
    return (cutoff is None or takes.cutoff) and (level is None or takes.level)


def check_metric(name: str) -> str:
    """Return `name` if it can be measured. Raises ConfigError as `parse_metric` does."""
    parse_metric(name)
    return name


def metric_key(name: str) -> str:
    """The metric's key in metrics.json and MLflow, which forbids `@` and `=`: `ndcg@10-l2` -> `ndcg_at_10-l2`,
    `answer_recall@tokens=2000` -> `answer_recall_at_tokens_2000`.

    No two names share a key, and `stages.core.words.written_name` gives the name again.
    """
    return key_name(check_metric(name))


def nearest_metric(name: str) -> str:
    """The metric that `name`, perhaps in another tool's spelling (P_5, ndcg_cut_10, AP(rel=2)), most likely means."""
    text, level = _part(r"(-l|\(rel=)0*(?P<digits>[0-9]+)\)?", name.strip().lower())
    without_cutoff, cutoff = _part(r"(@|_at_|_cut_|[._])0*(?P<digits>[0-9]+)$", text)
    _, tokens = _part(r"(@|_at_)tokens[=_]0*(?P<digits>[0-9]+)$", text)
    if tokens and re.fullmatch(_WHOLE, tokens):
        return f"answer_recall@tokens={tokens}"
    base = re.split(r"[@.(]", without_cutoff)[0]
    measure = _OTHER_NAMES.get(base) or nearest(base, SUPPORTED)
    takes = SUPPORTED[measure]
    if takes.persistence:
        _, decimals = _part(r"[@._](?P<digits>[0-9]{1,9})", text)
        found = f"{measure}.{decimals if decimals.strip('0') else '95'}"
    else:
        found = f"{measure}@{cutoff}" if takes.cutoff and re.fullmatch(_WHOLE, cutoff) else measure
    return f"{found}-l{level}" if takes.level and re.fullmatch(_WHOLE, level) else found


def _part(pattern: str, text: str) -> tuple[str, str]:
    """`text` without what matches `pattern`, and the digits that matched; none where there are none."""
    found = re.search(pattern, text, re.ASCII)
    return (text[: found.start()] + text[found.end() :], found["digits"]) if found else (text, "")
