"""A text's script is that of most of its letters."""

from __future__ import annotations

import pytest

from stages.analysis.outcome import NO_SCRIPT, script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("how do I freeze layers in PyTorch?", "Latin"),
        ("Wie friere ich Schichten ein? – Übung", "Latin"),
        ("如何在 PyTorch 中冻结层？", "Han"),
        ("PyTorchで層を凍結する方法", "Japanese"),
        ("كيف أجمد الطبقات", "Arabic"),
        ("как заморозить слои", "Cyrillic"),
        ("어떻게 하나요", "Hangul"),
        ("ＰｙＴｏｒｃｈ", "Latin"),
        ("1 + 1 = ?", NO_SCRIPT),
        ("", NO_SCRIPT),
    ],
)
def test_the_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script
