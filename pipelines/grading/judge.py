"""What grades: a language model here, or one behind an API. Both are asked for pairs with a store in front of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipelines.base.interruption import Interruption
from pipelines.base.judge_config import JudgeConfig
from pipelines.base.judge_prompts import judge_prompt
from pipelines.base.judge_sections import Answer
from pipelines.grading.pool import Pair
from pipelines.hosted.chat import chat_endpoint
from stages.core.errors import ConfigError, RerankEvalError
from stages.core.judge_prompt import JudgePrompt
from stages.store.grader import Told

DAY_S = 24 * 60 * 60
# Of this room's own part in a reply over an API: what is sent, and what is made of the answer.
CHAT_VERSION = 1


@dataclass(slots=True)
class Progress:
    """How far asking is; `waits` says what is waited for, where that is known."""

    pairs: int = 0
    stored: int = 0
    failed: int = 0
    waits: str = ""


Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Asked:
    """What came back of each pair; `stopped` is why not all were asked for: a budget, an outage, Ctrl-C (None)."""

    told: dict[Pair, Told] = field(default_factory=dict)
    seconds: float = 0.0
    whole: bool = True
    stopped: RerankEvalError | None = None


class Judge(Protocol):
    """`identity` is all that decides a reply beside both texts. Raises ConfigError or EngineError where it is made."""

    name: str
    identity: Mapping[str, Any]

    def ask(self, pairs: Path, salt: str, tell: Tell, stops: Interruption) -> Asked:
        """A reply to each pair in the folder, found in the store and kept there under `asking_of` the identity and the
        salt. `tell` is called now and then. While pairs are asked for, not while an engine starts, a first signal lets
        calls at work end: once `stops` is requested no further query is begun.
        """
        ...

    def phase(self) -> str:
        """What is waited for, in a few words."""
        ...

    def cost(self) -> Mapping[str, Any]:
        """What asking took: `requests`, `money` and more, of a hosted one; None where it has none."""
        ...

    def close(self) -> list[str]:
        """Take down what was started; gives what the user should know."""
        ...


def asking_of(identity: Mapping[str, Any], salt: str = "") -> str:
    """What a store keeps replies under. With a `salt` those of another asking of the same pairs."""
    content = dict(identity) | ({"asked again": salt} if salt else {})
    return json.dumps(content, sort_keys=True, ensure_ascii=True)


def digest_of(identity: Mapping[str, Any]) -> str:
    """12 hex digits."""
    return hashlib.sha256(asking_of(identity).encode()).hexdigest()[:12]


def prompt_and_answer(config: JudgeConfig) -> tuple[JudgePrompt, Answer]:
    """What the judge is shown, and how it answers. Raises ConfigError where the two do not fit."""
    judge = config.judge
    prompt = judge_prompt(judge.prompt)
    if judge.answer is not None:
        answer: Answer = judge.answer
    else:
        answer = "text" if judge.url is not None or not prompt.prefills else "prefill"
    if answer == "prefill" and not prompt.prefills:
        raise ConfigError(
            f"judge.answer prefill: the prompt {prompt.name} asks for reasons, which a prefill has no room for. Set "
            "judge.answer to text, or judge.prompt to graded"
        )
    return prompt, answer


def hosted_identity(config: JudgeConfig, prompt: JudgePrompt, answer: Answer) -> dict[str, Any]:
    """All that decides a reply, as far as anybody tells: nobody says when such a judge changes."""
    judge = config.judge
    assert judge.url is not None
    endpoint = chat_endpoint(judge.url, judge.served_as, judge.key_env, keyless=True)
    return {
        "url": endpoint.url,
        "served_as": endpoint.served_as,
        "prompt": prompt.digest,
        "answer": answer,
        "max_chars": judge.max_chars,
        "max_generated_tokens": judge.max_generated_tokens if answer == "text" else 1,
        "seed": judge.seed,
        "version": CHAT_VERSION,
    }


def oldest_used_s(config: JudgeConfig) -> float:
    """When (Unix s) a reply must have been stored to be used: those of a hosted judge age."""
    return float(int(time.time() - config.judge.store_days * DAY_S)) if config.judge.url is not None else 0.0
