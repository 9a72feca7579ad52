"""The content of a prompt's file -> JudgePrompt: what is not known, or would not be shown as meant, is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stages.core.errors import ConfigError
from stages.core.grades import Message
from stages.core.judge_prompt import BREAK, DOCUMENT, GRADE, QUERY, Field, JudgePrompt, folded
from stages.core.words import did_you_mean

KEYS = ("fields", "messages", "ending", "answer_prefix", "reasoning")
FIELDS, MESSAGE = ("query", "document"), ("role", "content")
ROLES = ("system", "user", "assistant")
LONGEST_REASONING = 4000
# What looks like a place. {"grade": 2} in a message is a text.
_PLACE = re.compile(r"\{ ?[A-Za-z_]+ ?\}")


def prompt_of(content: Any, name: str, place: str) -> JudgePrompt:
    """`content` is what YAML gives; `place` begins every message. Raises ConfigError."""
    _mapping(content, KEYS, place, ("fields", "messages"))
    query, document = _fields(content["fields"], f"{place}: fields")
    messages = _messages(content["messages"], f"{place}: messages")
    _require_places(messages, {QUERY: query, DOCUMENT: document}, place)
    reasoning = content.get("reasoning", 0)
    if type(reasoning) is not int or not 0 <= reasoning <= LONGEST_REASONING:
        raise ConfigError(
            f"{place}: reasoning is a number of letters from 0 to {LONGEST_REASONING}, not {reasoning!r:.40}"
        )
    prefix = _text(content.get("answer_prefix", ""), f"{place}: answer_prefix")
    ending = _ending(_text(content.get("ending", GRADE), f"{place}: ending"), reasoning, prefix, place)
    return JudgePrompt(name, messages, query, document, ending, prefix, reasoning)


def _mapping(content: Any, keys: Sequence[str], place: str, needed: Sequence[str]) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{place}: needs a mapping with {', '.join(keys)}, not {content!r:.40}")
    for key in content:
        if key not in keys:
            raise ConfigError(f"{place}: unknown key {key}{did_you_mean(str(key), keys)}")
    for key in needed:
        if key not in content:
            raise ConfigError(f"{place}: {key} is missing")


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{place} is a text, not {value!r:.40}: put it in quotes")
    return value


def _fields(content: Any, place: str) -> list[Field]:
    """Delimiters of both fields: they begin with one sign, so that none is a part of another or of itself."""
    _mapping(content, FIELDS, place, FIELDS)
    found = []
    for name in FIELDS:
        pair = content[name]
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise ConfigError(
                f'{place}.{name}: needs what stands before and behind the text, as ["<{name}>", "</{name}>"]'
            )
        found.append(Field(*pair))
    several = [folded(one) for field in found for one in field]
    sign = several[0][:1]
    for written, one in zip((one for field in found for one in field), several, strict=True):
        if len(one) < 3 or one[0] != sign or one.count(sign) > 1 or sign.isalnum() or BREAK in one:
            raise ConfigError(
                f"{place}: {written!r:.40} is no delimiter. All four begin with one sign that is no letter or digit, "
                "stands nowhere else in them, and has two letters or more behind it, as <query> and </query>"
            )
    if len(set(several)) < 4:
        raise ConfigError(
            f"{place}: two delimiters are the same. Needed: four, as <query>, </query>, <document>, </document>"
        )
    return found


def _messages(content: Any, place: str) -> tuple[Message, ...]:
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{place}: needs a list of messages, each with role and content")
    found = []
    for number, one in enumerate(content):
        here = f"{place}.{number}"
        _mapping(one, MESSAGE, here, MESSAGE)
        if one["role"] not in ROLES:
            raise ConfigError(f"{here}.role: {one['role']!r:.40} is none{did_you_mean(str(one['role']), ROLES)}")
        found.append(Message(one["role"], _text(one["content"], f"{here}.content")))
    if found[-1].role != "user":
        raise ConfigError(f"{place}: the last message is the user's, as the judge answers it, not {found[-1].role}'s")
    return tuple(found)


def _require_places(messages: Sequence[Message], fields: Mapping[str, Field], place: str) -> None:
    """Raises ConfigError unless each text has one place, in its field, the query's first."""
    whole = "\n".join(one.content for one in messages)
    for found in _PLACE.findall(whole):
        if found not in fields:
            raise ConfigError(f"{place}: {found} is no place{did_you_mean(found, list(fields))}")
    for name, field in fields.items():
        if (number := whole.count(name)) != 1:
            raise ConfigError(f"{place}: {name} stands {number} times in the messages. Needed: once")
        if not re.search(rf"{re.escape(field.open)}\s*{re.escape(name)}\s*{re.escape(field.close)}", whole):
            raise ConfigError(
                f"{place}: {name} does not stand between {field.open} and {field.close}. "
                "Write them right before and behind it, with blanks or line breaks alone between"
            )
    if whole.index(QUERY) > whole.index(DOCUMENT):
        raise ConfigError(
            f"{place}: {DOCUMENT} stands before {QUERY}. Put the query first: what its documents have in common is "
            "then computed once"
        )


def _ending(ending: str, reasoning: int, prefix: str, place: str) -> str:
    """Raises ConfigError for one that could not be told from other words."""
    if ending.count(GRADE) != 1 or "\n" in ending or ending.strip() != ending:
        raise ConfigError(f'{place}: ending {ending!r:.60} needs {GRADE} once, on one line, as "Grade: {GRADE}"')
    before, after = ending.split(GRADE)
    if any(one.isnumeric() for one in before + after):
        raise ConfigError(f"{place}: ending {ending!r:.60} has a digit beside {GRADE}: it would be taken for one")
    if reasoning and sum(one.isalpha() for one in before) < 3:
        raise ConfigError(
            f'{place}: ending {ending!r:.60} needs a word before {GRADE} where there is reasoning, as "Grade: {GRADE}"'
        )
    if reasoning and prefix:
        raise ConfigError(f"{place}: answer_prefix is for a prompt without reasoning: leave out one of the two")
    return ending
