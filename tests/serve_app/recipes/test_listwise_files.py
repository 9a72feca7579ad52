"""jina-reranker-v3 is told by its architecture, and refused where vLLM's own constants are not its own."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.recipes.bundled import bundled_recipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.listwise import EMBED_TOKEN, PROJECTED, RERANK_TOKEN


def jina_v3(folder: Path, projected: int = PROJECTED, embed: int = EMBED_TOKEN[1]) -> Path:
    """A folder of that layout: weights that are a header alone, a tokenizer of its added tokens."""
    described = {"architectures": ["JinaForRanking"], "model_type": "qwen3", "max_position_embeddings": 131_072}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    added = [{"content": EMBED_TOKEN[0], "id": embed}, {"content": RERANK_TOKEN[0], "id": RERANK_TOKEN[1]}]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}), encoding="utf-8")
    tensor = {"dtype": "BF16", "shape": [projected, 512], "data_offsets": [0, 0]}
    header = json.dumps({"projector.2.weight": tensor}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


def described(folder: Path, **settings: Any) -> Any:
    return describe(ModelSettings(name=str(folder), **settings))


def test_it_is_scored_by_the_published_recipe_and_reads_as_much_as_its_publisher_does(tmp_path: Path) -> None:
    found = described(jina_v3(tmp_path))
    assert found.recipe == bundled_recipe("jina-reranker-v3")
    assert (found.family, found.max_length) == ("listwise", 131_072)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"projected": 256}, "in model.safetensors the width of projector.2.weight is 256, and the engine reads 512"),
        ({"embed": 151_669}, "in tokenizer.json the number of <|embed_token|> is 151669, and the engine reads 151670"),
    ],
)
def test_what_the_engine_would_read_wrong_is_refused(tmp_path: Path, changed: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=r"^model\.name ") as caught:
        described(jina_v3(tmp_path, **changed))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_limit_that_leaves_no_room_for_a_document_beside_the_query_is_refused(tmp_path: Path) -> None:
    jina_v3(tmp_path)
    assert described(tmp_path, max_length=3_072).max_length == 3_072
    with pytest.raises(ConfigError, match=r"^model\.max_length 3071: .* 3072"):
        described(tmp_path, max_length=3_071)
