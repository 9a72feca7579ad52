"""An OpenAI-compatible API as a judge is asked over it: where, in which form, and what an answer says.

Source: OpenAI's public API reference of chat completions, and the source of vLLM's server.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlunsplit

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.address import Named, address_of
from pipelines.hosted.endpoint import Endpoint, key_of, refuse_key_in
from pipelines.hosted.meter import CHARS_PER_TOKEN, Meter
from pipelines.hosted.shapes import AnswerError, Shape
from stages.core.grades import Message, Reply

CHAT = Shape("/chat/completions", unit="tokens")
JUDGE = Named("judge.url", "judge.served_as", "judge.key_env", "give an OpenAI-compatible address, as https://HOST/v1")
# How many of the likeliest tokens are asked for: the most that OpenAI gives.
TOP_LOGPROBS = 20
# The most characters of a reply that are kept.
LONGEST_REPLY = 100_000
# No request takes more tokens: what says so says nothing.
MOST_TOKENS = 10**9
# Below it a probability is 0 to a computer.
LEAST_LOGPROB = -1000.0
# Probabilities that servers round may sum to a little more than 1.
ROUNDING = 1e-2


class NoProbabilitiesError(AnswerError):
    """The server gives no probabilities, though they were asked for."""


@dataclass(frozen=True, slots=True)
class ChatEndpoint(Endpoint):
    """Where chat completions are asked for."""

    @property
    def shape(self) -> Shape:
        return CHAT


def chat_endpoint(
    url: str,
    served_as: str | None,
    key_env: str | None,
    environment: Mapping[str, str] = os.environ,
    *,
    keyless: bool = False,
) -> ChatEndpoint:
    """`url` is what OpenAI's clients call the base URL; the whole path may be given too. Raises ConfigError where it
    cannot be asked.
    """
    parts = address_of(url, JUDGE)
    key = None if keyless else key_of(key_env, environment, JUDGE)
    refuse_key_in(key, url, served_as, key_env, JUDGE)
    path = parts.path.rstrip("/")
    path = path if path.endswith(CHAT.path) else path + CHAT.path
    whole = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return ChatEndpoint("chat completions", whole, served_as, key, named=JUDGE)


class Tokens(float):
    """All tokens of a request, of which so many were `generated`: their price may be another."""

    generated: float

    def __new__(cls, prompt: float, generated: float) -> Tokens:
        made = super().__new__(cls, prompt + generated)
        made.generated = generated
        return made


class ChatMeter(Meter):
    """A Meter whose units are Tokens."""

    def __init__(self, settings: HostedSettings) -> None:
        super().__init__(CHAT, settings)
        self.generated = 0.0

    def price(self, units: float, requests: int = 1) -> float:
        settings, generated = self.settings, units.generated if isinstance(units, Tokens) else 0.0
        each = settings.price_per_million_tokens or 0.0
        own = settings.price_per_million_generated_tokens
        tokens = (units - generated) * each + generated * (each if own is None else own)
        return requests * (settings.price_per_1000_requests or 0.0) / 1000 + tokens / 1_000_000

    def answer(self, seconds: float, units: float | None, foreseen: float) -> None:
        super().answer(seconds, units, foreseen)
        billed = foreseen if units is None else units
        self.generated += billed.generated if isinstance(billed, Tokens) else 0.0

    def told(self) -> dict[str, Any]:
        return super().told() | {"generated_tokens": self.generated if self.answered else None}


class ChatRequest(NamedTuple):
    """How each pair is asked for. `grades`: how many grades there are, where the probabilities of these are wanted
    instead of a text.
    """

    max_tokens: int
    seed: int
    grades: int | None = None


def chat_body(request: ChatRequest, model: str | None, messages: Sequence[Message]) -> dict[str, Any]:
    """What is sent."""
    body: dict[str, Any] = {
        "messages": [one._asdict() for one in messages],
        "temperature": 0,
        "max_tokens": 1 if request.grades else request.max_tokens,
        "seed": request.seed,
    }
    if request.grades:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    if model is not None:
        body["model"] = model
    return body


def foreseen_tokens(request: ChatRequest, messages: Sequence[Message]) -> Tokens:
    """A guess, from characters; of what is generated the most."""
    prompt = math.ceil(sum(len(one.content) for one in messages) / CHARS_PER_TOKEN)
    return Tokens(prompt, 1 if request.grades else request.max_tokens)


def billed_tokens(content: Any) -> Tokens | None:
    """What an answer says it took; None where it does not say."""
    usage = content.get("usage") if isinstance(content, dict) else None
    if not isinstance(usage, dict):
        return None
    prompt, generated = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if (
        type(prompt) is not int
        or type(generated) is not int
        or not 0 <= min(prompt, generated) <= max(prompt, generated) <= MOST_TOKENS
    ):
        return None
    return Tokens(prompt, generated)


def reply_in(content: Any, grades: int | None) -> Reply:
    """What the model said; what a filter or itself withheld is said in `error`.

    Raises AnswerError for what is no answer at all; NoProbabilitiesError where `grades` are wanted and it has none.
    """
    choices = content.get("choices") if isinstance(content, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise AnswerError("its answer has no choices: no chat completions may be at this address")
    tokens = billed_tokens(content) or Tokens(0, 0)
    said = _withheld(choice) or _said(choice) if grades is None else _withheld(choice) or _probabilities(choice, grades)
    return replace(said, prompt_tokens=int(tokens - tokens.generated), generated_tokens=int(tokens.generated))


def _withheld(choice: Mapping[str, Any]) -> Reply | None:
    """Where a filter or the model itself refused to answer."""
    if choice.get("finish_reason") == "content_filter":
        return Reply(error="withheld by a content filter", withheld=True)
    message = choice.get("message")
    if not isinstance(message, dict) or _text(message.get("content")):
        return None
    refusal = message.get("refusal")
    return Reply(error="refused by the model", withheld=True) if isinstance(refusal, str) and refusal else None


def _said(choice: Mapping[str, Any]) -> Reply:
    """The text of a choice. Raises AnswerError where it has none."""
    finish, message = choice.get("finish_reason"), choice.get("message")
    if not isinstance(message, dict):
        raise AnswerError("its answer has no message")
    if finish in ("tool_calls", "function_call") or message.get("tool_calls"):
        raise AnswerError("its answer is a tool call, which was not asked for")
    text = _text(message.get("content"))
    if text is None and finish != "length":
        raise AnswerError("its answer has no content")
    finished = finish != "length" and len(text or "") <= LONGEST_REPLY
    return Reply(text=(text or "")[:LONGEST_REPLY], finished=finished)


def _text(content: Any) -> str | None:
    """Of a message whose content is a text, or a list of parts; what JSON cannot mean is replaced."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str)) if parts else None
    return content.encode("utf-8", "replace").decode("utf-8") if isinstance(content, str) else None


def _probabilities(choice: Mapping[str, Any], grades: int) -> Reply:
    """Of the grades 0, 1, ... as the first token, its spellings summed: a digit may stand after a blank."""
    told = choice.get("logprobs")
    places = told.get("content") if isinstance(told, dict) else None
    first = places[0] if isinstance(places, list) and places else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    if not isinstance(top, list) or not top:
        raise NoProbabilitiesError("its answer has no probabilities (logprobs)")
    found = dict.fromkeys(map(str, range(grades)), 0.0)
    for one in top:
        token, logprob = (one.get("token"), one.get("logprob")) if isinstance(one, dict) else (None, None)
        if not isinstance(token, str) or not isinstance(logprob, int | float) or not logprob <= ROUNDING:
            raise AnswerError("its answer has a probability that is none")
        if (digit := token.strip()) in found:
            found[digit] += math.exp(max(logprob, LEAST_LOGPROB))
    if (total := math.fsum(found.values())) > 1 + ROUNDING:
        raise AnswerError("its answer has probabilities that sum to more than 1")
    return Reply(probabilities=tuple(one / max(total, 1.0) for one in found.values()))
