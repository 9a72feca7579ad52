"""Tokens are counted in a process of its own as the engine's prompts have them, for each kind of model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from pipelines.job.tokenizing import Ask, Counted, count_tokens
from serve_app.engine.models import describe, plain_model
from serve_app.engine.procedure import load_encoder
from serve_app.engine.prompts import Prompt
from serve_app.settings import EMBEDDED_MODEL, ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.cross_encoders import ettin
from tests.checkpoints.late_interaction import make_pylate_bert, make_stanford_colbert
from tests.checkpoints.listwise import make_tiny_jina_v3
from tests.tiny_models import make_tiny_cross_encoder, make_tiny_qwen3

QUERY, DOCUMENTS = "how warm is it", ("It is warm today, and it will be tomorrow.", "Nobody knows.")


def counted(settings: ModelSettings, *asks: Ask) -> list[Counted | None]:
    return count_tokens(plain_model(describe(settings)), settings.model_dump(mode="json"), asks)


def lengths(prompts: Sequence[Prompt]) -> list[int]:
    return [len(prompt.token_ids) for prompt in prompts]


@pytest.mark.parametrize(
    ("make", "beside"),
    [
        (make_tiny_qwen3, 0),
        (make_tiny_cross_encoder, 0),
        (ettin, 0),
        (make_stanford_colbert, 0),
        (partial(make_pylate_bert, do_query_expansion=False, query_length=16), 1),
        (None, 1),
    ],
    ids=["decoder", "cross-encoder", "modular", "late-interaction", "late-interaction-two-prompts", "embedding"],
)
def test_of_a_pair_its_prompt_counts_and_apart_from_it_that_of_the_query(
    make: Callable[[Path], Path] | None, beside: int, tmp_path: Path
) -> None:
    settings = ModelSettings(name=str(make(tmp_path)) if make else EMBEDDED_MODEL)
    prompts = load_encoder(describe(settings), settings).encode(QUERY, None, DOCUMENTS)
    assert len(prompts) == beside + 2
    (found,) = counted(settings, Ask(QUERY, None, DOCUMENTS))
    assert found is not None
    assert (found.beside, found.tokens) == (sum(lengths(prompts[:beside])), lengths(prompts)[beside])
    assert (found.cut, found.passages) == (False, 1)
    one, other = prompts[beside].token_ids, prompts[beside + 1].token_ids
    assert one[: found.shared] == other[: found.shared]
    assert one[found.shared] != other[found.shared]


def test_of_a_list_all_prompts_count(tmp_path: Path) -> None:
    settings = ModelSettings(name=str(make_tiny_jina_v3(tmp_path)))
    texts = [f"document {number}" for number in range(130)]
    prompts = load_encoder(describe(settings), settings).encode(QUERY, None, texts)
    assert len(prompts) > 1
    assert counted(settings, Ask(QUERY, None, texts)) == [Counted(0, sum(lengths(prompts)), 0, False, len(prompts))]


def test_what_gives_no_prompt_counts_nothing_and_the_others_do(tiny_cross_encoder: Path) -> None:
    settings = ModelSettings(name=str(tiny_cross_encoder), max_length=32)
    too_long, fits = counted(settings, Ask("word " * 100, None, DOCUMENTS), Ask(QUERY, None, DOCUMENTS))
    assert too_long is None
    assert fits is not None


def test_a_tokenizer_that_is_gone_is_one_line(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    settings = ModelSettings(name=str(tiny_cross_encoder))
    told = plain_model(describe(settings)) | {"path": str(tmp_path), "name": "gone"}
    with pytest.raises(ConfigError, match=r"model\.name gone: ") as raised:
        count_tokens(told, settings.model_dump(mode="json"), [Ask(QUERY, None, DOCUMENTS)])
    assert "\n" not in str(raised.value)
