"""A judge's prompts: the model's chat template around one query and each of its documents, as token ids.

All pairs of a query begin with the same tokens where the prompt has the query before the document, as the cache needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.frame_encoder import FrameEncoder
from serve_app.engine.grade_tokens import answer_place
from serve_app.engine.judge_chat import chat_text
from serve_app.engine.judge_model import JudgeModel, of_judge
from serve_app.engine.prompts import Prompt
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.judge_settings import Answer
from serve_app.recipes.decoder import PLACE, DecoderRecipe, Tokens
from stages.core.errors import ConfigError
from stages.core.judge_prompt import JudgePrompt

INSTRUCTION = "instruction"


class JudgeEncoder:
    """A PromptEncoder. No text closes the field of the prompt that it stands in, and a special token that one spells
    out is plain text; only the document is cut.

    `grade_tokens` are those that each grade may be in the place of the answer, by which a `prefill` is read; none where
    the answer is text. Raises ConfigError where the prompt cannot be made for this model.
    """

    def __init__(self, model: JudgeModel, prompt: JudgePrompt, answer: Answer, tokenizer: Any) -> None:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        backend, name = tokenizer.backend_tokenizer, model.info.name
        text = chat_text(tokenizer, prompt, name)
        self.grade_tokens: tuple[tuple[int, ...], ...] = ()
        if answer == "prefill":
            if not prompt.prefills:
                raise ConfigError(
                    f"judge.prompt {prompt.name}: it asks for reasons before the grade, so that no grade follows the "
                    "prompt at once. Set judge.answer text, or choose another prompt"
                )
            place = answer_place(backend, text, prompt.answer_prefix, prompt.highest, name)
            text, self.grade_tokens = text + place.prefix, place.tokens
        if INSTRUCTION in PLACE.findall(text):
            raise ConfigError(
                f"judge.prompt {prompt.name}: {{{INSTRUCTION}}} is no place. There are {{query}}, {{document}}"
            )
        self.text, self._prompt = text, prompt
        self._frame = _frame(backend, model, text)
        self.plain = self._frame.plain

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        """Raises QueryTooLongError where the query leaves no room for a document."""
        texts = [self._prompt.plain(document) for document in documents]
        with of_judge():
            return self._frame.encode(self._prompt.plain(query), instruction, texts, max_document_tokens)


def load_judge_encoder(model: JudgeModel, prompt: JudgePrompt, answer: Answer) -> JudgeEncoder:
    """With the tokenizer of the model's files. Raises ConfigError as the encoder does: here in seconds, where an engine
    would in a minute.
    """
    with of_judge():
        tokenizer = load_tokenizer(model.info)
    return JudgeEncoder(model, prompt, answer, tokenizer)


def _frame(backend: Any, model: JudgeModel, text: str) -> FrameEncoder:
    """The machinery of rerankers that are language models; which tokens count is no concern of its."""
    recipe = DecoderRecipe(name="judge", prompt=(text,), tokens=Tokens(positive="0"))
    try:
        return FrameEncoder(backend, model.info.max_length, recipe, None)
    except ConfigError as error:
        raise ConfigError(
            f"judge.model {model.info.name}: its tokenizer reads the judge's prompt otherwise as a whole than in the "
            "parts between special tokens, so that no document could be cut exactly. Choose another model"
        ) from error
