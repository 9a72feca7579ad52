"""judge.json: what a judge was asked, what it said, how far it agrees with people, and what it cost.

Every part is a frozen dataclass whose fields are JSON's: `told` makes the one of the other. Nothing is NaN or infinite;
what cannot be computed is None, and a `Told` then says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Told:
    """A number with its interval, or the `reason` why it, or its interval alone, is not there."""

    value: float | None
    interval: tuple[float, float] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """The pairs that the judge gave one `grade`: how many, how many of them people gave each of their grades, and how
    large a share people call relevant.
    """

    grade: int
    pairs: int
    people: Sequence[int]
    relevant: Told


@dataclass(frozen=True, slots=True)
class SliceAgreement:
    """Of the queries of one group, named as in `language=zh`."""

    name: str
    queries: int
    pairs: int
    kappa: Told
    kappa_binary: Told
    identical: Told
    difference: Told


@dataclass(frozen=True, slots=True)
class Agreement:
    """A judge beside people, over the pairs that both graded.

    `scale` says how the two scales are held beside each other: `highest` is people's highest grade, `relevant` the
    least grade of theirs that counts as relevant (the judge's is RELEVANT). `kappa` is Cohen's over all grades of the
    people's scale, `kappa_binary` over relevant or not, `kappa_weighted` with quadratic weights. `identical` is the
    share of pairs with the same grade, `difference` the mean of the judge's grade less people's, on people's scale:
    above 0 the judge is lenient. `confirmed`: of the pairs that the judge calls relevant, the share that people do;
    `found`: the other way round. `confusion[j][p]` counts the pairs that the judge gave j and people p, as they are;
    in the last place of a scale longer than it are all above, too.
    `words` are sentences; `badly` is what they say in one.
    """

    pairs: int
    queries: int
    highest: int
    relevant: int | None
    scale: str
    confidence: float
    kappa: Told
    kappa_binary: Told
    kappa_weighted: Told
    identical: Told
    difference: Told
    confirmed: Told
    found: Told
    confusion: Sequence[Sequence[int]]
    by_grade: Sequence[Called]
    by_slice: Sequence[SliceAgreement]
    badly: bool
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Repeatability:
    """A sample of pairs asked twice. `graded` have a grade both times, `lost` one time alone. `moved` is the mean
    absolute difference of the expected grade, or of the grade where there are no probabilities.
    """

    pairs: int
    graded: int
    lost: int
    identical: Told
    kappa: Told
    moved: float | None
    words: str


@dataclass(frozen=True, slots=True)
class PlantedKind:
    """What texts of one kind changed: `raised` of `pairs` got a higher grade than with a neutral text."""

    kind: str
    says: str
    pairs: int
    raised: int
    change: float | None


@dataclass(frozen=True, slots=True)
class PlantedEffect:
    """What instructions planted in documents change, beside a neutral text of like length in the same place.

    Of `pairs` those count that have a grade with both; `lost` have none with the planted text and one with the
    neutral, `unusable` none with the neutral. `change` is the mean change of the grade, `expected_change` of the
    expected grade, None in text mode; `raised` and `lowered` are shares.
    """

    pairs: int
    compared: int
    lost: int
    unusable: int
    confidence: float
    change: Told
    expected_change: Told | None
    raised: Told
    lowered: Told
    kinds: Sequence[PlantedKind]
    words: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What grading took. `asked` are pairs sent to the judge in this run, the repeated and the planted ones among them;
    `requests` and `money` (in `currency`, by the prices set) are of a hosted judge, None else. The `stored` ones are of
    replies that the store knew, whichever run had asked: what a killed or repeated judging had taken before.
    """

    asked: int
    prompt_tokens: int
    generated_tokens: int
    seconds: float
    pairs_per_s: float | None
    requests: int | None = None
    money: float | None = None
    currency: str | None = None
    stored: int = 0
    stored_prompt_tokens: int = 0
    stored_generated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Pairs: in the pool; asked in this run; known from the store; with a grade of the judge's; without one; with one
    of people's; and those whose document was cut to fit.
    """

    pairs: int
    asked: int
    stored: int
    graded: int
    missing: int
    by_people: int
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class Pool:
    """What was graded: the first `depth` of each of `lists`."""

    depth: int
    queries: int
    lists: Sequence[str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A run whose lists were graded; `label` is what it is called here."""

    label: str
    folder: str
    digest: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judged. `mode` is prefill or text; `digest` are 12 digits of `identity`, all that decides a grade."""

    name: str
    digest: str
    mode: str
    prompt: str
    prompt_digest: str
    identity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be concluded of `second` against `first` in one metric; `words` are sentences, the main one first.

    `method` is that of the interval: people, ppi, ppi++, exact, or None where there is none. `tone` is plain, good, bad
    or unsure. `numbers` hold whatever else the verdict was made from.
    """

    first: str
    second: str
    metric: str
    words: Sequence[str]
    tone: str = "unsure"
    method: str | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgeRecord:
    """The content of judge.json. `missing` counts the pairs without a grade by reason (`reply.reason_of`), `grades` the
    judge's by grade; `agreement`, `repeatability` and `planted` are None where nothing was asked for them, and
    `agreement` also where people judged nothing. `notes` are what a reader has to mind.
    """

    runs: Sequence[Judged]
    judge: Judge
    pool: Pool
    counts: Counts
    grades: Sequence[int]
    missing: Mapping[str, int]
    agreement: Agreement | None
    repeatability: Repeatability | None
    planted: PlantedEffect | None
    cost: Cost
    verdicts: Sequence[Verdict] = ()
    notes: Sequence[str] = ()
    schema_version: int = SCHEMA_VERSION


def told(record: JudgeRecord) -> dict[str, Any]:
    """As JSON has it: tuples become lists when it is written, and a report reads either."""
    return asdict(record)
