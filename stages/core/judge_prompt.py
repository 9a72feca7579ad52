"""What a judge is asked of a pair: the turns of a conversation with places for query and document."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from stages.core.grades import HIGHEST, Message


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """`messages` hold {query} and {document}, each once. `answer_prefix` is what the judge's turn begins with where it
    is read off one token: the next one is the grade, 0 to `highest`. `structured` is what a generated reply is held to:
    a regular expression, or one of several texts; None: to nothing.
    """

    name: str
    messages: tuple[Message, ...]
    answer_prefix: str = ""
    highest: int = HIGHEST
    structured: str | tuple[str, ...] | None = None

    @property
    def digest(self) -> str:
        """16 hex digits of all that decides a grade: everything but the name."""
        told = asdict(self)
        del told["name"]
        return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]

    def filled(self, query: str, document: str) -> list[Message]:
        """The conversation about one pair; what is filled in is looked at no further."""
        texts = {"{query}": query, "{document}": document}
        return [Message(one.role, _filled(one.content, texts)) for one in self.messages]


def _filled(content: str, texts: dict[str, str]) -> str:
    for place, text in texts.items():
        before, found, after = content.partition(place)
        if found:
            rest = {name: one for name, one in texts.items() if name != place}
            return _filled(before, rest) + text + _filled(after, rest)
    return content
