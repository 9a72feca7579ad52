"""(query, document) pairs -> token ids, as each family's publisher makes them with its own tokenizer.

Written apart from serve_app.engine.prompts on purpose: what is compared with it must not share its mistakes. A
`Recipe` also describes the prompts that badly set up servers send, so that a wrong score can be traced to one of them.

The text of a special token is plain text here too. A tokenizer looks for such tokens before it splits a text, so only
a text that holds one takes another way: through the tokenizer's normalizer, pre-tokenizer and model, one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from serve_app.settings import Template

# Qwen3-Reranker's model card, "Transformers Usage"; the form with blank lines is its vLLM example and evaluation code.
SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
WEB_SEARCH = "Given a web search query, retrieve relevant passages that answer the query"
BODY: dict[Template, str] = {
    "single_newline": "<Instruct>: {0}\n<Query>: {1}\n<Document>: {2}",
    "blank_line": "<Instruct>: {0}\n\n<Query>: {1}\n\n<Document>: {2}",
}

# published: the publisher's form; raw: query and document joined with nothing; vllm_template: vLLM's own Jinja file,
# whose last line break is lost when it is rendered; apart: query and document each on its own.
PromptLayout = Literal["published", "raw", "vllm_template", "apart"]
Cut = Literal["document", "end", "start"]


class Pair(NamedTuple):
    """What is scored. `instruction` is the query's own, None where it has none."""

    query: str
    document: str
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How prompts are made and read; all defaults are the published way.

    `cut`: what is lost where a prompt is longer than `max_length` tokens. `pooling` is cls, mean or last, None but for
    embedding models; `own_instructions=False` ignores those of the queries, and `parse_special` finds special tokens in
    texts.
    """

    max_length: int
    template: Template = "single_newline"
    instruction: str | None = None
    layout: PromptLayout = "published"
    cut: Cut = "document"
    token_types: bool = True
    own_instructions: bool = True
    parse_special: bool = False
    pooling: str | None = None

    def instruction_of(self, pair: Pair) -> str | None:
        return (pair.instruction if self.own_instructions else None) or self.instruction


class DirectPrompt(NamedTuple):
    """`type_ids` where the model takes them; `whole` is how many tokens it had before it was cut, and `room` how many
    the document may take: below 1 the query alone is too long.
    """

    ids: list[int]
    type_ids: list[int] | None = None
    whole: int = 0
    room: int = 1


class Prompts:
    """One prompt for each pair; for embedding models, and the layout `apart`, the query's and the document's."""

    def __init__(self, tokenizer: Any, family: str) -> None:
        self.tokenizer, self.family = tokenizer, family
        self.plain = PlainText(tokenizer)

    def make(self, pairs: Sequence[Pair], recipe: Recipe) -> list[list[DirectPrompt]]:
        if self.family == "embedding" or recipe.layout == "apart":
            return self._apart(pairs, recipe)
        make = self._qwen3 if self.family == "qwen3-reranker" else self._joined
        return [[prompt] for prompt in make(pairs, recipe)]

    def _qwen3(self, pairs: Sequence[Pair], recipe: Recipe) -> list[DirectPrompt]:
        """Prefix, body and suffix tokenized apart; the body is cut, never the suffix."""
        if recipe.layout == "raw":
            texts = [pair.query + pair.document for pair in pairs]
            return [self._cut([], ids, [], recipe) for ids in self._ids(recipe, texts)]
        prefix, suffix = (self.tokenizer.encode(text, add_special_tokens=False) for text in (SYSTEM, ANSWER))
        if recipe.layout == "vllm_template":
            suffix = self.tokenizer.encode(ANSWER.removesuffix("\n"), add_special_tokens=False)
        form = BODY[recipe.template]
        asked = [(recipe.instruction_of(pair) or WEB_SEARCH, pair.query) for pair in pairs]
        bodies = self._ids(
            recipe, [form.format(*first, pair.document) for first, pair in zip(asked, pairs, strict=True)]
        )
        made = [self._cut(prefix, body, suffix, recipe) for body in bodies]
        long = [place for place, prompt in enumerate(made) if prompt.whole > recipe.max_length]
        heads = self._ids(recipe, [form.format(*asked[place], "").rstrip() for place in long])
        fixed = recipe.max_length - len(prefix) - len(suffix)
        for place, head in zip(long, heads, strict=True):
            made[place] = made[place]._replace(room=fixed - len(head))
        return made

    @staticmethod
    def _cut(prefix: list[int], body: list[int], suffix: list[int], recipe: Recipe) -> DirectPrompt:
        whole, limit = [*prefix, *body, *suffix], recipe.max_length
        if recipe.cut == "document":
            return DirectPrompt(
                [*prefix, *body[: max(0, limit - len(prefix) - len(suffix))], *suffix], whole=len(whole)
            )
        return DirectPrompt(whole[_left(recipe)], whole=len(whole))

    def _joined(self, pairs: Sequence[Pair], recipe: Recipe) -> list[DirectPrompt]:
        """As the tokenizer joins a pair, `truncation="only_second"`; its special tokens are read off an empty pair."""
        frame, types = self._frame(["x"], ["x"])
        queries, documents = (self._ids(recipe, [getattr(pair, part) for pair in pairs]) for part in Pair._fields[:2])
        read_types = recipe.token_types and "token_type_ids" in self.tokenizer.model_input_names
        if recipe.layout == "raw":
            frame, types = self._frame(["x"])
            queries, documents = self._ids(recipe, [pair.query + pair.document for pair in pairs]), [[] for _ in pairs]
        made = []
        for query, document in zip(queries, documents, strict=True):
            room = recipe.max_length - len(query) - sum(isinstance(part, int) for part in frame)
            kept = document[: max(0, room)] if recipe.cut == "document" else document
            ids, type_ids = _filled(frame, types, query, kept)
            left = _left(recipe)
            whole = len(ids) + len(document) - len(kept)
            made.append(DirectPrompt(ids[left], type_ids[left] if read_types else None, whole, room))
        return made

    def _apart(self, pairs: Sequence[Pair], recipe: Recipe) -> list[list[DirectPrompt]]:
        """Each text with the tokenizer's own special tokens; the query after its instruction, where there is one, as
        Qwen3-Embedding and E5-instruct publish it.
        """
        tasks = [recipe.instruction_of(pair) if self.family == "embedding" else None for pair in pairs]
        queries = [
            f"Instruct: {task}\nQuery: {pair.query}" if task else pair.query
            for task, pair in zip(tasks, pairs, strict=True)
        ]
        texts = [*queries, *(pair.document for pair in pairs)]
        frame, types = self._frame(["x"])
        made = []
        for ids in self._ids(recipe, texts):
            room = recipe.max_length - sum(isinstance(part, int) for part in frame)
            filled, _ = _filled(frame, types, ids[:room] if recipe.cut == "document" else ids, [])
            made.append(DirectPrompt(filled[_left(recipe)], whole=len(ids) + len(frame) - 1))
        return [[query, document] for query, document in zip(made[: len(pairs)], made[len(pairs) :], strict=True)]

    def _ids(self, recipe: Recipe, texts: Sequence[str]) -> list[list[int]]:
        return self.plain.ids(texts, parse_special=recipe.parse_special)

    def _frame(self, *texts: list[str]) -> tuple[list[int | None], list[int]]:
        """The special tokens around the texts, None in place of each text; and the token types of all places."""
        one = self.tokenizer(*texts, return_token_type_ids=True)
        owners, ids, types = one.sequence_ids(0), one["input_ids"][0], one["token_type_ids"][0]
        places = [place for place, owner in enumerate(owners) if owner is None or owner != _before(owners, place)]
        return [ids[place] if owners[place] is None else None for place in places], [types[place] for place in places]


class PlainText:
    """Texts -> token ids, no special tokens added and none found."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special = [token.content for token in tokenizer.added_tokens_decoder.values()]
        self._model: Any = None

    def ids(self, texts: Sequence[str], *, parse_special: bool = False) -> list[list[int]]:
        """`parse_special`: as the tokenizer itself does it."""
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        if parse_special:
            return found
        return [
            self._spelled(text) if self._holds_special(text) else ids for text, ids in zip(texts, found, strict=True)
        ]

    def _holds_special(self, text: str) -> bool:
        normal = self._normal(text)
        return any(special in text or special in normal for special in self.special)

    def _normal(self, text: str) -> str:
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _spelled(self, text: str) -> list[int]:
        splitter = self.tokenizer.backend_tokenizer.pre_tokenizer
        normal = self._normal(text)
        pieces = [piece for piece, _ in splitter.pre_tokenize_str(normal)] if splitter else [normal]
        if self._model is None:
            self._model = self._without_special()
        return [token.id for piece in pieces for token in self._model.tokenize(piece)]

    def _without_special(self) -> Any:
        """A Unigram vocabulary holds the special tokens as pieces: there they get a name that no text has."""
        backend = self.tokenizer.backend_tokenizer
        described = json.loads(backend.to_str())["model"]
        if described["type"] != "Unigram":
            return backend.model
        from tokenizers.models import Unigram

        pieces = [("" if piece in self.special else piece, score) for piece, score in described["vocab"]]
        return Unigram(pieces, unk_id=described["unk_id"], byte_fallback=described.get("byte_fallback", False))


def _left(recipe: Recipe) -> slice:
    """What is left of a joined prompt."""
    return slice(-recipe.max_length, None) if recipe.cut == "start" else slice(recipe.max_length)


def _before(owners: Sequence[int | None], place: int) -> int | None:
    return owners[place - 1] if place else None


def _filled(
    frame: Sequence[int | None], types: Sequence[int], first: list[int], second: list[int]
) -> tuple[list[int], list[int]]:
    """A frame with the texts in its gaps, and the token type of each place."""
    texts = iter((first, second))
    parts = [next(texts) if part is None else [part] for part in frame]
    ids = [token for part in parts for token in part]
    return ids, [kind for part, kind in zip(parts, types, strict=True) for _ in part]
