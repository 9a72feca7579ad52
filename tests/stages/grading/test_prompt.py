"""A prompt's file that would not ask what was meant is refused, in one line that says where."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from stages.core.errors import ConfigError
from stages.core.grades import Message
from stages.core.judge_prompt import Field
from stages.grading.prompt import prompt_of

CONTENT: dict[str, Any] = {
    "fields": {"query": ["<q>", "</q>"], "document": ["<text>", "</text>"]},
    "messages": [
        {"role": "system", "content": 'Answer like {"grade": 2}.'},
        {"role": "user", "content": "<q>{query}</q>\n<text>\n{document}\n</text>"},
    ],
    "ending": "Grade: {grade}",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    content = deepcopy(CONTENT)
    *above, last = path.split(".")
    place: Any = content
    for key in above:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return content


def test_a_prompt_is_read_with_its_defaults() -> None:
    prompt = prompt_of(CONTENT, "mine", "mine.yaml")
    assert (prompt.name, prompt.reasoning, prompt.answer_prefix, prompt.highest) == ("mine", 0, "", 3)
    assert prompt.query == Field("<q>", "</q>") and prompt.ending == "Grade: {grade}" and prompt.prefills
    assert prompt.messages[0] == Message("system", 'Answer like {"grade": 2}.')
    assert prompt_of(changed("answer_prefix", "Grade:"), "mine", "mine.yaml").answer_prefix == "Grade:"
    assert not prompt_of(changed("reasoning", 200), "mine", "mine.yaml").prefills


USER = "messages.1.content"
WRONG = [
    ("mesages", [], "unknown key mesages; did you mean messages?"),
    ("messages.0.rôle", "user", "messages.0: unknown key rôle; did you mean role?"),
    ("messages.0.role", "sytem", "messages.0.role: 'sytem' is none; did you mean system?"),
    ("messages.0.content", 3, "messages.0.content is a text, not 3"),
    ("messages.1.role", "assistant", "the last message is the user's"),
    ("messages", "text", "needs a list of messages"),
    ("fields", ["<q>"], "fields: needs a mapping with query, document"),
    ("fields.query", "<q>", 'fields.query: needs what stands before and behind the text, as ["<query>", "</query>"]'),
    ("fields.query", ["<q>", "<q>"], "two delimiters are the same"),
    ("fields.query", ["<q>", "<Q >"], "two delimiters are the same"),
    ("fields.query", ["Query:", "End"], "'Query:' is no delimiter"),
    ("fields.query", ["<<q>>", "</q>"], "'<<q>>' is no delimiter"),
    ("fields.query", ["[q]", "[/q]"], "'<text>' is no delimiter"),
    ("fields.query", ["<·q>", "</q>"], "is no delimiter"),
    ("fields.page", ["<p>", "</p>"], "fields: unknown key page"),
    (USER, "<q>{query}</q> {document}", "{document} does not stand between <text> and </text>"),
    (USER, "<q>{query}</q> <text>Text: {document}</text>", "{document} does not stand between"),
    (USER, "<text>{document}</text> <q>{query}</q>", "{document} stands before {query}"),
    (USER, "<q>{query}</q>", "{document} stands 0 times"),
    (USER, "<q>{query}</q> <q>{query}</q> <text>{document}</text>", "{query} stands 2 times"),
    (USER, "<q>{query}</q> <text>{passage}</text>", "{passage} is no place"),
    ("reasoning", -1, "reasoning is a number of letters"),
    ("reasoning", True, "reasoning is a number of letters"),
    ("reasoning", "200", "reasoning is a number of letters"),
    ("ending", "Grade:", "needs {grade} once"),
    ("ending", "Grade:\n{grade}", "needs {grade} once"),
    ("ending", "{grade}/3", "has a digit beside"),
    ("ending", "{grade}/３", "has a digit beside"),
    ("answer_prefix", None, "answer_prefix is a text"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda one: str(one)[:40])
def test_what_is_wrong_is_said_in_one_line_with_its_place(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        prompt_of(changed(path, value), "mine", "judge.prompt mine.yaml")
    assert message in str(error.value) and str(error.value).startswith("judge.prompt mine.yaml: ")
    assert "\n" not in str(error.value)


def test_reasons_need_an_ending_that_can_be_told_from_them() -> None:
    with pytest.raises(ConfigError, match="needs a word before"):
        prompt_of(changed("ending", "{grade}") | {"reasoning": 200}, "mine", "p")
    with pytest.raises(ConfigError, match="answer_prefix is for a prompt without reasoning"):
        prompt_of(changed("reasoning", 200) | {"answer_prefix": "Grade:"}, "mine", "p")


@pytest.mark.parametrize("content", [None, [], "text", {}, {"fields": CONTENT["fields"]}])
def test_what_is_no_prompt_at_all_is_refused(content: Any) -> None:
    with pytest.raises(ConfigError, match=r"needs a mapping|is missing"):
        prompt_of(content, "mine", "p")
