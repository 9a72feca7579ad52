"""What may be wrong with a service's scores, each as a thing that can be tried: what to compute, and how to mend it.

Each family has its own. None is guessed: `faults` looks at the sample once more under each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.direct.prompts import WEB_SEARCH, Recipe
from serve_app.settings import Template
from stages.core.scoring import sigmoid
from stages.quality.agreement import logit

FaultKind = Literal["template", "override", "dtype", "truncation", "instruction", "activation", "pooling", "tokens"]
Undo = Callable[[float], float | None]

OVERRIDES = (
    'hf_overrides {"architectures": ["Qwen3ForSequenceClassification"], "classifier_from_token": ["no", "yes"], '
    '"is_original_qwen3_reranker": true}'
)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """`says` is a sentence about the service, `mend` what to do; `setting` the config's key that it is about, if any.

    Either `recipe` makes other direct scores, or `undo` turns a served score back into what it was made from (None for
    a number that cannot have been made so).
    """

    name: str
    kind: FaultKind
    says: str
    mend: str
    setting: str | None = None
    recipe: Recipe | None = None
    undo: Undo | None = None


def hypotheses(family: str, published: Recipe, lengths: tuple[int, ...], own_instructions: bool) -> list[Hypothesis]:
    """All that are worth trying. `lengths` are limits, in tokens, that the service may have; `own_instructions` whether
    queries of the sample have instructions of their own.
    """
    made = [*_cuts(published, lengths)]
    if family == "qwen3-reranker":
        made += [
            *_templates(published),
            *_overrides(published),
            *_instructions(published, own_instructions),
            *_activations(),
        ]
    elif family == "cross-encoder":
        made += [*_cross_encoder(published), *_activations()]
    else:
        made += [*_poolings(published), *_instructions(published, own_instructions), _halved()]
    made.append(
        Hypothesis(
            "special_tokens",
            "tokens",
            "Special tokens that stand in a text are read as such: a document can close the prompt and vote for itself",
            "send token ids of the texts as plain text, as rerank-eval serve does, or clean the texts",
            recipe=replace(published, parse_special=True),
        )
    )
    return made


def _templates(published: Recipe) -> Iterator[Hypothesis]:
    others: dict[Template, Template] = {"single_newline": "blank_line", "blank_line": "single_newline"}
    other = others[published.template]
    yield Hypothesis(
        "other_template",
        "template",
        f"The service writes the {other} prompt, the config says {published.template}",
        f"set model.template to the one that is meant, {other} in this config or {published.template} in the service's",
        "model.template",
        replace(published, template=other),
    )
    yield Hypothesis(
        "no_template",
        "template",
        "The service joins query and document with nothing between: no template at all, as vLLM's own server does "
        "without --chat-template",
        "serve it with rerank-eval serve, or send the prompt's token ids",
        recipe=replace(published, layout="raw"),
    )
    yield Hypothesis(
        "vllm_template",
        "template",
        "The prompt lacks its last line break: vLLM's own Jinja template loses it when it is rendered, and the last "
        "token is the one that is read",
        "serve it with rerank-eval serve, or end the template with one line break more",
        recipe=replace(published, layout="vllm_template", template="single_newline"),
    )


def _overrides(published: Recipe) -> Iterator[Hypothesis]:
    """Without overrides vLLM 0.32 takes an original Qwen3-Reranker, a Qwen3ForCausalLM, for an embedding model of the
    last token in its pooling runner, whose /v1/rerank gives cosines of query and document, each read alone.
    """
    yield Hypothesis(
        "missing_override",
        "override",
        "The scores are cosines of the last tokens of query and document, each read alone: the original checkpoint is "
        "served as an embedding model, without its overrides",
        f"start vLLM with {OVERRIDES}; rerank-eval serve does so where model.family is qwen3-reranker",
        "model.family",
        replace(published, layout="apart"),
    )
    yield Hypothesis(
        "swapped_tokens",
        "override",
        "Each score is 1 minus the right one: the override names yes and no in the wrong order",
        'set classifier_from_token to ["no", "yes"]',
        undo=lambda score: 1 - score if 0 <= score <= 1 else None,
    )


def _cuts(published: Recipe, lengths: tuple[int, ...]) -> Iterator[Hypothesis]:
    mend = "cut the document before the prompt is made, as rerank-eval serve does: never truncate_prompt_tokens"
    for length in lengths:
        # Before the cuts, which come to the same where nothing is as long.
        if length != published.max_length:
            yield Hypothesis(
                f"other_length_{length}",
                "truncation",
                f"The service cuts documents so that {length:,} tokens remain, not {published.max_length:,} as here",
                "set model.max_length to the same number in both",
                "model.max_length",
                replace(published, max_length=length),
            )
        yield Hypothesis(
            f"cut_end_{length}",
            "truncation",
            f"Prompts are cut at their end, to {length:,} tokens: what stands behind the document is lost, and the "
            "score is read at a token of the document",
            mend,
            "model.max_length",
            replace(published, cut="end", max_length=length),
        )
        yield Hypothesis(
            f"cut_start_{length}",
            "truncation",
            f"Prompts are cut at their beginning, to {length:,} tokens: the instruction and perhaps the query are lost",
            mend,
            "model.max_length",
            replace(published, cut="start", max_length=length),
        )


def _instructions(published: Recipe, own: bool) -> Iterator[Hypothesis]:
    if published.instruction not in (None, WEB_SEARCH):
        yield Hypothesis(
            "default_instruction",
            "instruction",
            "The service uses the model's default instruction, not the config's",
            "set model.instruction in the service's config, and start it again",
            "model.instruction",
            replace(published, instruction=None),
        )
    if own:
        yield Hypothesis(
            "own_instructions_ignored",
            "instruction",
            "The service ignores the instructions that come with the queries",
            "use a server that takes `instruction` in the request, as rerank-eval serve does",
            recipe=replace(published, own_instructions=False),
        )


def _activations() -> Iterator[Hypothesis]:
    yield Hypothesis(
        "logits",
        "activation",
        "The service returns logits, not probabilities: the order is right, thresholds are not",
        "switch the activation on in the server (use_activation), or apply a sigmoid to what it returns",
        undo=sigmoid,
    )
    yield Hypothesis(
        "activated_twice",
        "activation",
        "A sigmoid is applied to what is a probability already: all scores lie between 0.5 and 0.73",
        "switch one of the two activations off",
        undo=lambda score: logit(score) if 0.5 <= score <= sigmoid(1.0) else None,
    )


def _cross_encoder(published: Recipe) -> Iterator[Hypothesis]:
    yield Hypothesis(
        "no_separator",
        "template",
        "Query and document are joined with no separator between them",
        "give the server the two texts as a pair (use_sep_token), not joined",
        recipe=replace(published, layout="raw"),
    )
    yield Hypothesis(
        "no_token_types",
        "tokens",
        "The model is not told where the document starts: token types are missing",
        "let the server pass token_type_ids on",
        recipe=replace(published, token_types=False),
    )


def _poolings(published: Recipe) -> Iterator[Hypothesis]:
    names = {"cls": "the first token", "last": "the last token", "mean": "the mean of all tokens"}
    for pooling, words in names.items():
        if pooling == published.pooling:
            continue
        yield Hypothesis(
            f"pooling_{pooling}",
            "pooling",
            f"A text's vector is taken from {words}, which is not what the model's files say",
            "let the server read 1_Pooling/config.json, or name the pooling in its arguments (engine.extra)",
            "engine.extra",
            replace(published, pooling=pooling),
        )


def _halved() -> Hypothesis:
    return Hypothesis(
        "halved_cosine",
        "activation",
        "The service returns (1 + cosine) / 2: the order is right, thresholds are not",
        "undo it: 2 * score - 1",
        undo=lambda score: 2 * score - 1 if 0 <= score <= 1 else None,
    )
