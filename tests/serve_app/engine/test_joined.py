"""What is put around texts is, once seen, what the tokenizer's own post-processor puts there."""

from __future__ import annotations

from itertools import product

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing

from serve_app.engine.joined import Joined
from serve_app.engine.prompts import plain_text_tokenizer
from stages.core.errors import ConfigError
from tests.tokenizer_kinds import KINDS

TEXTS = ("", "one word", "重排序, and more than that.", "a")
TWICE = TemplateProcessing(
    single="[CLS] $A [SEP]:1", pair="[CLS]:1 [SEP] $A:1 [SEP] [SEP] $B", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
)


def words(post_processor: object) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "a": 3}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    if post_processor is not None:
        tokenizer.post_processor = post_processor  # type: ignore[assignment]
    return tokenizer


MADE = {
    "none": None,
    "bert": BertProcessing(("[SEP]", 1), ("[CLS]", 0)),
    "roberta": RobertaProcessing(("[SEP]", 1), ("[CLS]", 0)),
    "bytes": ByteLevel(trim_offsets=True),
    "other types": TWICE,
    "both": Sequence([ByteLevel(trim_offsets=True), TWICE]),
}


@pytest.mark.parametrize("name", [*KINDS, *MADE])
def test_texts_and_pairs_have_the_tokens_and_types_that_the_tokenizer_gives(name: str) -> None:
    tokenizer = words(MADE[name]) if name in MADE else KINDS[name]()
    plain = plain_text_tokenizer(tokenizer)
    one, two = (Joined(tokenizer, plain, parts) for parts in (1, 2))
    encoded = [plain.encode(text, add_special_tokens=False) for text in TEXTS]
    for first, second in product(encoded, encoded):
        alone, pair = tokenizer.post_process(first), tokenizer.post_process(first, second)
        assert (one.ids(first.ids), one.type_ids(first.ids)) == (alone.ids, alone.type_ids)
        assert (two.ids(first.ids, second.ids), two.type_ids(first.ids, second.ids)) == (pair.ids, pair.type_ids)
    assert one.tokens == tokenizer.num_special_tokens_to_add(is_pair=False)
    assert two.tokens == tokenizer.num_special_tokens_to_add(is_pair=True)


@pytest.mark.parametrize("pair", ["$A $B $A", "$B [SEP] $A"])
def test_a_template_that_has_not_each_text_once_and_in_order_is_refused(pair: str) -> None:
    special = [("[CLS]", 0), ("[SEP]", 1)]
    tokenizer = words(TemplateProcessing(single="$A", pair=pair, special_tokens=special))
    with pytest.raises(ConfigError, match="depends on that text"):
        Joined(tokenizer, plain_text_tokenizer(tokenizer), 2)
