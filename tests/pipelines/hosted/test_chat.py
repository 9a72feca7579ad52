"""What an answer of chat completions is read as, and what it is billed: whatever a server sends."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.chat import (
    ChatMeter,
    ChatRequest,
    NoProbabilitiesError,
    Tokens,
    billed_tokens,
    chat_body,
    chat_endpoint,
    reply_in,
)
from pipelines.hosted.shapes import AnswerError
from stages.core.errors import ConfigError
from stages.core.grades import Message, Reply

GRADES = 4


def answer(**choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": "2"}, "finish_reason": "stop"} | choice]}


def probabilities(*tops: tuple[Any, Any]) -> dict[str, Any]:
    top = [{"token": token, "logprob": logprob} for token, logprob in tops]
    return answer(logprobs={"content": [{"token": "x", "logprob": -1.0, "top_logprobs": top}]})


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (answer(), Reply("2")),
        (answer(finish_reason=None), Reply("2")),
        (answer(finish_reason="length"), Reply("2", finished=False)),
        (answer(message={"content": None}, finish_reason="length"), Reply("", finished=False)),
        (answer(message={"content": ""}), Reply("")),
        (answer(message={"content": [{"type": "text", "text": "1"}, {"type": "text", "text": "\n"}]}), Reply("1\n")),
        (answer(message={"content": "\ud800"}), Reply("?")),
        (answer(finish_reason="content_filter"), Reply(error="withheld by a content filter", withheld=True)),
        (answer(message={"content": "", "refusal": "I"}), Reply(error="refused by the model", withheld=True)),
    ],
)
def test_an_answer_is_read_as_what_the_judge_said(said: Any, reply: Reply) -> None:
    assert reply_in(said, None) == reply


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"choices": None},
        {"choices": [None]},
        answer(message=None),
        answer(message={"content": None}),
        answer(message={"content": 2}),
        answer(finish_reason="tool_calls"),
        answer(message={"content": "2", "tool_calls": [{}]}),
    ],
)
def test_what_is_no_answer_is_no_reply(said: Any) -> None:
    with pytest.raises(AnswerError):
        reply_in(said, None)


def test_probabilities_are_those_of_the_grades_their_spellings_summed() -> None:
    tops = (("2", math.log(0.5)), (" 2", math.log(0.1)), ("0", math.log(0.2)), ("22", math.log(0.05)), ("A", -9.0))
    found = reply_in(probabilities(*tops), GRADES)
    assert found.probabilities == pytest.approx((0.2, 0.0, 0.6, 0.0)) and found.text == ""


@pytest.mark.parametrize("grades", [None, GRADES])
def test_what_was_withheld_is_no_fault_of_the_server_in_either_way_of_asking(grades: int | None) -> None:
    filtered = answer(finish_reason="content_filter", message={"content": None}, logprobs=None)
    assert reply_in(filtered, grades) == Reply(error="withheld by a content filter", withheld=True)
    refused = answer(message={"content": None, "refusal": "no"}, logprobs=None)
    assert reply_in(refused, grades) == Reply(error="refused by the model", withheld=True)


def test_numbers_that_no_computer_holds_are_a_probability_of_0_and_no_bill() -> None:
    told = probabilities(("2", -0.1), ("1", -(10**400)), ("0", -math.inf))
    usage = {"prompt_tokens": 10**400, "completion_tokens": 1}
    found = reply_in(told | {"usage": usage}, GRADES)
    assert found.probabilities == pytest.approx((0, 0, math.exp(-0.1), 0)) and found.prompt_tokens == 0
    assert billed_tokens({"usage": {"prompt_tokens": 1, "completion_tokens": 2**63}}) is None


@pytest.mark.parametrize("told", [None, {}, {"content": None}, {"content": []}, {"content": [{"top_logprobs": []}]}])
def test_without_probabilities_it_is_told_apart_from_any_other_fault(told: Any) -> None:
    with pytest.raises(NoProbabilitiesError):
        reply_in(answer(logprobs=told), GRADES)


@pytest.mark.parametrize(
    "tops",
    [(("2", 0.5),), (("2", math.nan),), (("2", None),), ((2, -1.0),), (("2", -0.1), (" 2", -0.1))],
    ids=["over 1", "no number", "none", "no token", "more than all"],
)
def test_a_probability_that_is_none_is_no_reply(tops: Any) -> None:
    with pytest.raises(AnswerError):
        reply_in(probabilities(*tops), GRADES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "logprobs",
                    "top_logprobs",
                    "token",
                    "logprob",
                    "finish_reason",
                    "usage",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, GRADES]))
def test_whatever_comes_is_a_reply_or_no_answer(content: Any, grades: int | None) -> None:
    try:
        found = reply_in({"choices": [content]}, grades)
    except AnswerError:
        return
    assert all(0 <= one <= 1 for one in found.probabilities) and sum(found.probabilities) <= 1 + 1e-9
    found.text.encode()
    billed_tokens(content)


def test_prompt_and_generated_tokens_have_their_own_prices_and_a_budget_counts_both() -> None:
    settings = HostedSettings(price_per_million_tokens=1.0, price_per_million_generated_tokens=8.0, max_cost=1e-3)
    meter = ChatMeter(settings)
    meter.begin(Tokens(100, 50))
    meter.end(Tokens(100, 50))
    meter.answer(0.1, Tokens(90, 10), Tokens(100, 50))
    assert meter.cost == pytest.approx((90 + 8 * 10) / 1e6) and meter.units == 100
    assert (meter.told()["generated_tokens"], meter.told()["guessed_bills"]) == (10, 0)
    assert ChatMeter(HostedSettings(price_per_million_tokens=2.0)).price(Tokens(1, 1)) == pytest.approx(4e-6)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [({"prompt_tokens": 3, "completion_tokens": 2}, 5), ({"prompt_tokens": 3}, None), ({"prompt_tokens": True}, None)],
)
def test_what_is_billed_is_what_the_answer_says(usage: Any, tokens: int | None) -> None:
    assert billed_tokens({"usage": usage}) == tokens


def test_the_address_is_the_base_url_or_the_whole_path_and_holds_no_secret() -> None:
    for url in ("https://h/v1", "https://h/v1/", "https://h/v1/chat/completions"):
        assert chat_endpoint(url, "m", None).url == "https://h/v1/chat/completions"
    with pytest.raises(ConfigError, match=r"judge\.url https://\*\*\*@h/v1: holds a secret"):
        chat_endpoint("https://u:password@h/v1", "m", None)
    with pytest.raises(ConfigError, match=r"judge\.url ftp://h: give an OpenAI-compatible address"):
        chat_endpoint("ftp://h", "m", None)


def test_a_body_asks_for_one_token_where_probabilities_are_wanted() -> None:
    messages = [Message("user", "q")]
    told = chat_body(ChatRequest(512, 7), "m", messages)
    shared = {"messages": [{"role": "user", "content": "q"}], "temperature": 0, "seed": 7, "model": "m"}
    assert told == shared | {"max_tokens": 512}
    told = chat_body(ChatRequest(512, 7, GRADES), "m", messages)
    assert told == shared | {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
