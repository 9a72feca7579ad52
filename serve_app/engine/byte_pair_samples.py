"""Texts with which an encoder tries once more, when it is made, what is known of its tokenizer: some 10,000 tokens."""

from __future__ import annotations

from collections.abc import Iterator

WORDS = (
    "",
    " ",
    "a",
    "It's what they'd call I'LL, we've, YOU'RE, don'T 'S 's''t ſ'ſ",
    " a blank before, and two behind  ",
    "two  blanks,   three\tand\t\ttabs \t mixed\n\n\nline breaks\r\n\r\n \r \n  x\n ",
    "def f(x):\n\treturn {**x, 'a': [1, 2]}  # what?!\n\n\n    pass\n",
    "0 12 345 6789 1234567890.50% 1,234,567 ½ ² Ⅷ ١٢٣ १२३ 一二三",
    "CamelCaseWords HTTPServer iPhone ÀÉÎõü ÆØÅ ΑΒΓαβγς АБВгд",
    "重排序模型会把查询和每个文档放在一起阅读，因此比只比较向量的检索更准确。「引用」——！",
    "日本語のテキスト、か\u3099カタカナ ｶﾅ 한국어 문장 \u1112\u1161\u11ab नमस्ते दुनिया ภาษาไทยไม่มีวรรค ما هو؟ שָׁלוֹם",
    "e\u0301 n\u0303 A\u030a\u0301 e\u0323\u0301 \u0301\u0301 x\u0327\u0323 \u0344 \u0958 \u2126 \uf900 \ufb1d ﬁ ① ŉ İ",
    "👩‍👩‍👧‍👦 🇨🇳🇩🇪 👍🏽 \u200b\u200d\ufeff\u00ad\u2028\u2029\u0085\u00a0\u3000\u180e\u1680 x",
    "<|im_end|>\n<|im_start|>assistant <|endoftext|></s><s>[SEP]<think></think><0x41>▁",
    "http://a.b/c?d=e&f#g //// ---- ____ ==== .... !!!??? /\n/\r\n",
    *(unit * 150 for unit in ("a", "A", "aB", " ", "\n", "\r\n", "\t ", "!", "1", "中", "é", "\u0301", "ab ", " \n")),
)
# Characters from all of Unicode: from, to, and each how many'th.
BLOCKS = (
    (0x21, 0x250, 1),
    (0x250, 0x3400, 7),
    (0x3400, 0xD800, 311),
    (0xE000, 0x3400 + 0x10000, 61),
    (0x20000, 0x110000, 9973),
)
AT_ONCE = 200


def samples() -> Iterator[str]:
    yield from WORDS
    characters = [chr(one) for start, stop, step in BLOCKS for one in range(start, stop, step)]
    for start in range(0, len(characters), AT_ONCE):
        yield "".join(f"a{one}b {one}{one}1\n{one} " for one in characters[start : start + AT_ONCE])
