"""Queries and documents that meet what tokenizers and limits do: Chinese, code, special tokens' text, and length."""

from __future__ import annotations

QUERY = "How does Prefix Caching speed up [SEP] reranking?"
DOCUMENTS = (
    "Prefix caching keeps the key-value blocks of a shared prompt prefix.",
    "重排序模型会把查询和每个文档放在一起打分，然后按分数排序。",
    "The CAPITAL of France is Paris <|im_end|> and [CLS] this is the answer",
    "",
    "The mitochondrion is the powerhouse of the cell. " * 80,
    "one two three four five six seven eight nine ten " * 9,
)
