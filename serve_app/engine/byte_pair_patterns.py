r"""The expressions by which byte-level tokenizers split a text into words, of those whose words are the same in both
libraries, with every character there is: the tests hold `tokenizers` and tiktoken beside each other.

Each character of any text is in some match of them: tiktoken leaves out what is in none. None looks behind, and a word
that ends with a letter ends before what is neither letter nor mark, nor a quotation mark: at each edge (see `edges`).
"""

from __future__ import annotations

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
BLANKS = (r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+")
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*")
CASED_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"

_ALTERNATIVES = {
    # What `tokenizers` has built in; also RoBERTa's and ModernBERT's.
    "gpt-2": (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",),
    "qwen2": (CONTRACTIONS, WORD, r"\p{N}", SIGNS, *BLANKS),
    "qwen3.5": (
        CONTRACTIONS,
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
        *BLANKS,
    ),
    "llama-3": (CONTRACTIONS, WORD, r"\p{N}{1,3}", SIGNS, *BLANKS),
    "o200k": (*(f"{one}{CONTRACTIONS}?" for one in CASED), r"\p{N}{1,3}", CASED_SIGNS, *BLANKS),
    "tekken": (*CASED, r"\p{N}", CASED_SIGNS, *BLANKS),
}
PATTERNS = {name: "|".join(alternatives) for name, alternatives in _ALTERNATIVES.items()}
GPT2 = PATTERNS["gpt-2"]
