"""What is scored to check a service: pairs of a config's data, or built in; in any case one document too long to read.

Built in are eight queries in seven languages, each with its own passages and some of the others', short and long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

from pipelines.direct.prompts import Pair
from stages.core.errors import ConfigError, DataError
from stages.core.records import Candidates

if TYPE_CHECKING:
    from stages.sources import DataSettings

DOCUMENTS_PER_QUERY = 10
OTHERS_PER_QUERY = 5
# A longer text is left out: to be scored directly it is tokenized whole, which takes 250 MiB for each MB of it.
LONGEST_CHARS = 200_000
# A document longer than the limit by this: what is lost of it then matters.
TOO_LONG = 1.3
LONG_QUERY = "long"

BUILT_IN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "how does prefix caching speed up reranking?",
        (
            "Prefix caching keeps the blocks of a prompt's beginning, so the query is read once for all documents.",
            "A cache that is full drops what was used least recently.",
            "The mitochondrion is the powerhouse of the cell.",
        ),
    ),
    (
        "为什么要对检索结果重新排序？",
        (
            "重排序模型会把查询和每个文档放在一起阅读，因此比只比较向量的检索更准确。",
            "向量检索先把文档压缩成一个向量，速度快，但会丢失细节。",
            "这家餐馆的面条很好吃。",
        ),
    ),
    (
        "富士山の高さは何メートルですか",
        ("富士山の標高は3776メートルで、日本で最も高い山です。", "琵琶湖は日本で最も大きい湖です。", "42"),
    ),
    (
        "Wie lange muss ein Ei kochen?",
        (
            "Ein weiches Ei kocht vier bis fünf Minuten, ein hartes etwa zehn.",
            "Eier aus Freilandhaltung erkennt man an der Ziffer 1 auf der Schale.",
            "Der Zug nach München fährt um 7.42 Uhr ab.",
        ),
    ),
    (
        "ما هي عاصمة المغرب؟",
        ("الرباط هي عاصمة المغرب.", "الدار البيضاء أكبر مدن المغرب من حيث عدد السكان.", "يقع نهر النيل في أفريقيا."),
    ),
    (
        "भारत का राष्ट्रीय पक्षी कौन सा है?",
        ("मोर भारत का राष्ट्रीय पक्षी है।", "बाघ भारत का राष्ट्रीय पशु है।", "आज मौसम साफ रहेगा।"),
    ),
    (
        "Почему небо голубое?",
        (
            "Молекулы воздуха рассеивают короткие волны света сильнее длинных, поэтому небо выглядит голубым.",
            "На закате свет проходит через более толстый слой воздуха, и небо краснеет.",
            "Билеты в театр продаются в кассе.",
        ),
    ),
    (
        "sort a list of dictionaries by a key in Python",
        (
            "rows.sort(key=lambda row: row['price'])\n# or, as a new list:\nsorted(rows, key=itemgetter('price'))",
            "A dictionary keeps its items in the order in which they were inserted.",
            "SELECT * FROM items ORDER BY price;",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class SampledQuery:
    """One request to the service. `instruction` is the query's own, as the data gives it."""

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    texts: tuple[str, ...]
    instruction: str | None = None

    @property
    def pairs(self) -> list[Pair]:
        return [Pair(self.query, text, self.instruction) for text in self.texts]


@dataclass(frozen=True, slots=True)
class Sample:
    """`origin` says in words where the pairs are from."""

    origin: str
    queries: tuple[SampledQuery, ...]

    @property
    def size(self) -> int:
        return sum(len(query.texts) for query in self.queries)


def make_sample(data: DataSettings | None, pairs: int, max_length: int, count_tokens: Callable[[str], int]) -> Sample:
    """At most `pairs` pairs, at least 4; `data` is a config's section, None where it has none.

    Raises ConfigError for fewer pairs, DataError for data that cannot be read or holds no candidates.
    """
    if pairs < 4:
        raise ConfigError(f"--pairs {pairs}: at least 4 are needed, three of them to see what is cut")
    long = _long_query(max_length, count_tokens)
    room = pairs - len(long.texts)
    own = _first(_from_data(data) if data is not None else _built_in(), room)
    if data is not None and not own:
        raise DataError(
            "data: no query has candidates, so there is nothing to score. Leave data out for built-in pairs"
        )
    origin = "the config's data" if data is not None else "built in, seven languages"
    return Sample(f"{origin}; and a document too long for the model", (*own, long))


def _first(queries: Iterator[SampledQuery], pairs: int) -> list[SampledQuery]:
    """The first queries that have room, the last with fewer documents."""
    taken: list[SampledQuery] = []
    for query in queries:
        if pairs < 1:
            break
        taken.append(
            SampledQuery(query.query_id, query.query, query.doc_ids[:pairs], query.texts[:pairs], query.instruction)
        )
        pairs -= len(taken[-1].texts)
    return taken


def _from_data(settings: DataSettings) -> Iterator[SampledQuery]:
    from pipelines.job.prepare import askable_candidates
    from stages.sources import open_source

    for candidates in askable_candidates(open_source(settings), settings.depth):
        spread = _spread(candidates)
        if spread.texts:
            yield spread


def _spread(candidates: Candidates) -> SampledQuery:
    """Documents from the first to the last of the list, evenly: near ones and far ones. None is over LONGEST_CHARS."""
    usable = [place for place, text in enumerate(candidates.texts) if len(text) <= LONGEST_CHARS]
    wanted = min(len(usable), DOCUMENTS_PER_QUERY)
    places = [usable[round(place * (len(usable) - 1) / max(1, wanted - 1))] for place in range(wanted)]
    return SampledQuery(
        candidates.query_id,
        candidates.query,
        tuple(candidates.doc_ids[place] for place in places),
        tuple(candidates.texts[place] for place in places),
        candidates.instruction,
    )


def _built_in() -> Iterator[SampledQuery]:
    """Each query with its own passages and some of the others', so that every list is in several languages."""
    every = [text for _, texts in BUILT_IN for text in texts]
    for number, (query, own) in enumerate(BUILT_IN):
        others = [text for text in every if text not in own]
        texts = (*own, *islice(cycle(others), number * 2, number * 2 + OTHERS_PER_QUERY), " ".join(others[number:][:9]))
        yield _query(f"built-in-{number + 1}", query, texts)


def _long_query(max_length: int, count_tokens: Callable[[str], int]) -> SampledQuery:
    """A document that the model cannot read whole, one of half its limit, and a short one."""
    query, own = BUILT_IN[0]
    filler = [text for _, texts in BUILT_IN[1:] for text in texts]
    return _query(
        LONG_QUERY,
        query,
        (
            _of_length([own[0], *filler], int(TOO_LONG * max_length), count_tokens),
            _of_length([own[1], *filler], max_length // 2, count_tokens),
            own[2],
        ),
    )


def _of_length(texts: Sequence[str], tokens: int, count_tokens: Callable[[str], int]) -> str:
    """The texts one after the other, again and again, until they are so many tokens or a few more."""
    once = " ".join(texts)
    rounds, left = divmod(tokens, max(1, count_tokens(once)))
    parts = [once] * rounds
    rest = islice(cycle(texts), len(texts))
    while left > 0 and (text := next(rest, None)) is not None:
        parts.append(text)
        left -= count_tokens(text)
    return " ".join(parts)


def _query(name: str, query: str, texts: Sequence[str]) -> SampledQuery:
    return SampledQuery(name, query, tuple(f"{name}-{place}" for place in range(1, len(texts) + 1)), tuple(texts))
