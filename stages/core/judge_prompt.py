"""What a judge is asked: messages with places for a query and a document, and the form that its answer has.

A text stands in a *field*, between two delimiters. It cannot close it: wherever a delimiter would appear in a text, in
any case, width or spacing, a sign that no delimiter has is put behind its first letter (`plain`). So the filled
messages hold each delimiter as often as the prompt itself does, whatever the texts are. Control tokens of chat
templates are broken up in the same way, as a server over HTTP may read them in a text; our own engine encodes texts
apart, where no text is a token.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from stages.core.grades import HIGHEST, Message

QUERY, DOCUMENT, GRADE = "{query}", "{document}", "{grade}"
BREAK = "·"
"""What is put into a delimiter that stands in a text."""

FORM = 1
"""Part of every digest: raised with whatever changes what a judge reads of the same prompt and texts."""

UNSEEN = ("Cc", "Cf", "Mn")
"""Categories of letters that are not seen: control, format, and marks on another letter."""

# Of Llama, Qwen, Mistral, Gemma, DeepSeek, Phi and those made from them. A server may know others.
_CONTROL = re.compile(
    r"<(?=[|｜]|/?s>|<SYS>>|</SYS>>|/?think>|(?:start|end)_of_turn>|(?:bos|eos|pad|unk)>)"
    r"|\[(?=/?INST\]|/?SYSTEM_PROMPT\]|/?AVAILABLE_TOOLS\]|/?TOOL_(?:CALLS|RESULTS)\])",
    re.IGNORECASE,
)
_IN_REGEX = re.compile(r"([\\.^$*+?{}\[\]|()])")


class Field(NamedTuple):
    """The delimiters that stand before and behind a text."""

    open: str
    close: str


QUERY_FIELD, DOCUMENT_FIELD = Field("<query>", "</query>"), Field("<document>", "</document>")


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """`messages` hold {query} and, behind it, {document}, each once and between the delimiters of its field.

    A reply in text ends with the line `ending`, in which {grade} is a digit; before it stand lines of reasons, of some
    `reasoning` letters at most where the engine can hold the judge to it, or, where that is 0, nothing. In the place of
    the answer, behind `answer_prefix`, which is what the judge's turn begins with, the next token is the grade: only a
    prompt without reasoning is answered in this way (`prefills`).
    """

    name: str
    messages: tuple[Message, ...]
    query: Field = QUERY_FIELD
    document: Field = DOCUMENT_FIELD
    ending: str = GRADE
    answer_prefix: str = ""
    reasoning: int = 0
    highest: int = HIGHEST

    @property
    def prefills(self) -> bool:
        return not self.reasoning

    @property
    def structured(self) -> str:
        """A regular expression of the whole reply, in what Python, xgrammar and outlines read alike."""
        before, after = (_IN_REGEX.sub(r"\\\1", part) for part in self.ending.split(GRADE))
        ending = f"{before}[0-{self.highest}]{after}"
        return rf"[^\n]{{1,{self.reasoning}}}\n{ending}" if self.reasoning else ending

    @property
    def digest(self) -> str:
        """64 hex digits (SHA-256) over all that decides what a judge reads and how its reply is read; not the name."""
        content = [FORM, self.messages, self.query, self.document, self.ending, self.answer_prefix, self.reasoning]
        return sha256(json.dumps([*content, self.highest], ensure_ascii=True).encode()).hexdigest()

    @property
    def delimiters(self) -> tuple[str, ...]:
        return (*self.query, *self.document)

    def plain(self, text: str) -> str:
        """The text as it stands in its field: it holds no delimiter and no control token that is known here."""
        return _CONTROL.sub(lambda sign: sign[0] + BREAK, _broken(text, self.delimiters))

    def filled(self, query: str, document: str) -> list[Message]:
        """The messages with both texts in their fields."""
        texts = {QUERY: self.plain(query), DOCUMENT: self.plain(document)}
        return [
            Message(one.role, "".join(texts.get(part, part) for part in parts(one.content))) for one in self.messages
        ]


def parts(content: str) -> list[str]:
    """What a message is made of, in order: {query}, {document} and the texts around them."""
    return re.split(f"({re.escape(QUERY)}|{re.escape(DOCUMENT)})", content)


def _broken(text: str, delimiters: tuple[str, ...]) -> str:
    """All of them begin with the same sign, which none has twice: so no two of them overlap in a text."""
    sign = folded(delimiters[0])[0]
    if sign not in unicodedata.normalize("NFKD", text):
        return text
    letters = [_folded(one) for one in text]
    places = [place for place, one in enumerate(letters) for _ in one]
    line, wanted = "".join(letters), tuple(map(folded, delimiters))
    cuts = {
        places[found.start()] for found in re.finditer(re.escape(sign), line) if line.startswith(wanted, found.start())
    }
    return "".join(one + BREAK if place in cuts else one for place, one in enumerate(text))


def folded(text: str) -> str:
    """As it looks: without case and width; nothing of blanks, marks and what is not seen at all."""
    return "".join(map(_folded, text))


@lru_cache(maxsize=4096)
def _folded(letter: str) -> str:
    """Of a text's letters most come again: a document in HTML would take a judge's time otherwise."""
    plain = unicodedata.normalize("NFKD", letter).casefold()
    return "".join(one for one in plain if not one.isspace() and unicodedata.category(one) not in UNSEEN)
