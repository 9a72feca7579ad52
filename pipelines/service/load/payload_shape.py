"""Made-up rerank requests of a shape: `1x100x200` is 1 query, 100 documents, about 200 prompt tokens a pair."""

from __future__ import annotations

import json
import random
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from stages.core.errors import ConfigError

# Common words, one token each for most vocabularies; so many of them that a number is written in few.
WORD_LIST = (
    "about above across after again air almost along always animal answer area around autumn back bank base before "
    "best better big bird black board boat body book both bridge bright build call care carry case cause center chance "
    "change city clear close cloud coast cold color common cost country course cover current dark data day deep design "
    "direct distance door early earth east energy engine even ever evening example eye face fact family farm fast "
    "field figure final fire fish floor food force forest form friend game garden general glass gold good government "
    "grass great green ground group grow half hand hard heart heat heavy help high hill history home horse hour house "
    "human ice idea island job key kind lake land language large late law lead leaf learn letter level life light line"
)
WORDS = WORD_LIST.split()
TOKENS_PER_WORD = 1.3
"""What is assumed of a vocabulary until the service has told."""
POOL_WORDS = 50_000
KEPT_QUERIES = 1000
"""A repeated query is one of the last so many."""
MOST_DOCUMENTS, MOST_TOKENS = 10_000, 100_000


@dataclass(frozen=True, slots=True)
class Payload:
    """One request: its JSON body, how many documents are in it, and whether it names its model by itself."""

    body: bytes
    documents: int
    names_model: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """`documents` of a request, and the prompt tokens of a pair, its query and template among them."""

    documents: int
    tokens: int


def parse_shape(text: str) -> Shape:
    """Raises ConfigError for what is not QUERIESxDOCUMENTSxTOKENS, as 1x100x200."""
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})(?: *tokens)?", text.strip().lower())
    if not found:
        raise ConfigError(f"--shape {text}: write 1xDOCUMENTSxTOKENS, as in 1x100x200")
    queries, documents, tokens = (int(number) for number in found.groups())
    if queries != 1:
        raise ConfigError(
            f"--shape {text}: a request to /v1/rerank has one query. Write 1x{documents}x{tokens}; for more "
            "queries at once start with more clients: --start"
        )
    if not 1 <= documents <= MOST_DOCUMENTS or not 1 <= tokens <= MOST_TOKENS:
        raise ConfigError(f"--shape {text}: from 1x1x1 to 1x{MOST_DOCUMENTS}x{MOST_TOKENS}")
    return Shape(documents, tokens)


class ShapePayloads:
    """Requests of one shape, the same ones for the same seed. No two have the same query, but for the share `repeat`,
    which asks an earlier query about fresh documents.

    Documents are stretches of one long text, so that making them costs the client next to nothing.
    """

    def __init__(self, shape: Shape, repeat: float = 0.0, seed: int = 0) -> None:
        if not 0 <= repeat <= 1:
            raise ConfigError(f"--repeat {repeat:g}: a share, from 0 to 1")
        self._shape, self._repeat = shape, repeat
        self._random = random.Random(seed)
        self._most_words = 2 * shape.tokens  # no tokenizer makes fewer tokens of these words
        pool = self._random.choices(WORDS, k=POOL_WORDS + self._most_words)
        self._text = " ".join(pool)
        self._starts = [0, *accumulate(len(word) + 1 for word in pool)]
        self._queries: deque[str] = deque(maxlen=KEPT_QUERIES)
        self._asked = 0
        self.words_per_document = max(1, round(shape.tokens / TOKENS_PER_WORD))

    @property
    def words(self) -> str:
        shape = self._shape
        documents = f"{shape.documents:,} document{'' if shape.documents == 1 else 's'}"
        told = f"1 query and {documents} a request, about {shape.tokens:,} prompt tokens a pair"
        return told + (f", {self._repeat:.0%} of the queries asked before" if self._repeat else ", no query twice")

    def take(self, model: str | None) -> Payload:
        return self._payload(model, self.words_per_document)

    def probes(self, model: str | None) -> Sequence[Payload]:
        """Two of different lengths: what they cost tells the share of the template apart from that of a word."""
        return [self._payload(model, words) for words in self._probe_words()]

    def calibrate(self, tokens_per_pair: Sequence[float]) -> str | None:
        """Set the documents' length from what the probes cost. Returns a note where that cannot give the shape."""
        if len(tokens_per_pair) < 2:  # it does not count tokens
            return None
        (short, long), (few, many) = self._probe_words(), tokens_per_pair
        per_word = (many - few) / (long - short)
        if per_word <= 0.05:  # both were cut to the same length, or what is counted are not tokens
            return "The service counts about the same tokens for short and long documents: their length is a guess."
        wanted = (self._shape.tokens - many) / per_word + long
        self.words_per_document = min(max(1, round(wanted)), self._most_words)
        if wanted < 1:
            least = many - (long - 1) * per_word
            return f"Query and template alone take about {least:.0f} tokens a pair: no document is short enough."
        return None

    def _probe_words(self) -> tuple[int, int]:
        guess = max(1, round(self._shape.tokens / TOKENS_PER_WORD))
        return max(1, guess // 2), max(2, guess)

    def _payload(self, model: str | None, words: int) -> Payload:
        documents = []
        for _ in range(self._shape.documents):
            first = self._random.randrange(POOL_WORDS)
            documents.append(self._text[self._starts[first] : self._starts[first + words] - 1])
        body = {"query": self._query(), "documents": documents, "return_documents": False}
        body |= {"model": model} if model else {}
        return Payload(json.dumps(body).encode(), self._shape.documents)

    def _query(self) -> str:
        if self._queries and self._random.random() < self._repeat:
            return self._random.choice(self._queries)
        number = self._asked
        written: list[str] = []
        while number or len(written) < 3:  # the number of the query in words: no two are the same
            number, digit = divmod(number, len(WORDS))
            written.append(WORDS[digit])
        self._asked += 1
        query = " ".join([*self._random.choices(WORDS, k=5), *written])
        self._queries.append(query)
        return query
