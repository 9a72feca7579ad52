"""How many tokens each candidate's text has, where a metric asks what fits a budget of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from pipelines.base.config import RunConfig
from pipelines.runs.token_count import Count, counting, tokenizer_of
from serve_app.engine.models import ModelInfo
from serve_app.settings import HOSTED, OVERLAP
from stages.core.errors import ConfigError
from stages.core.records import Judgements
from stages.files.tables import read_candidates
from stages.quality.measures import parse_metric


def token_counter(config: RunConfig, model: ModelInfo) -> Count | None:
    """By `answers.tokenizer`, or the model's own; None where no metric counts tokens. Raises ConfigError where there is
    neither, or it cannot be loaded.
    """
    wanted = next((name for name in config.evaluate.metrics if parse_metric(name).tokens), None)
    if wanted is None:
        return None
    if (named := config.answers.tokenizer) is not None:
        try:
            return tokenizer_of(named)
        except ConfigError as error:
            raise ConfigError(f"answers.tokenizer: {error}") from error
    if model.family in (HOSTED, OVERLAP):
        whose = "a hosted model" if model.family == HOSTED else OVERLAP
        raise ConfigError(
            f"{wanted} counts tokens, and {whose} has no tokenizer here: name one under answers.tokenizer, a folder or "
            "a Hugging Face id"
        )
    try:
        return counting(model)
    except ConfigError as error:
        raise ConfigError(f"{wanted} counts tokens: {error}") from error


def check_tokenizer(config: RunConfig, models: Sequence[ModelInfo]) -> None:
    """Raises ConfigError as `token_counter`, and where a cascade has several models and none is named."""
    wanted = next((name for name in config.evaluate.metrics if parse_metric(name).tokens), None)
    if wanted is not None and len(models) > 1 and config.answers.tokenizer is None:
        raise ConfigError(
            f"{wanted} counts tokens, and these are several models: name the tokenizer that counts under "
            "answers.tokenizer, a folder or a Hugging Face id"
        )
    token_counter(config, models[0])


def with_tokens(judgements: Judgements, candidates: Path, count: Count) -> Judgements:
    """The judgements with the tokens of the judged queries' candidates, 0 of those without a text. A text that several
    queries retrieve is counted once; the texts of one query are in memory at a time.
    """
    tokens: dict[str, dict[str, int]] = {}
    known: dict[bytes, int] = {}
    for one in read_candidates(candidates):
        if one.query_id in judgements.grades:
            without_text = dict.fromkeys(one.listed, 0)
            lengths = _counted(one.texts, known, count)
            tokens[one.query_id] = without_text | dict(zip(one.doc_ids, lengths, strict=True))
    return replace(judgements, tokens=tokens)


def _counted(texts: Sequence[str], known: dict[bytes, int], count: Count) -> list[int]:
    keys = [blake2b(text.encode(), digest_size=16).digest() for text in texts]
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if new:
        known.update(zip(new, count(list(new.values())), strict=True))
    return [known[key] for key in keys]
