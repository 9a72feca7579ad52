"""Chat templates that rerankers are published with, or that are like them."""

from __future__ import annotations

# As zerank-2 has it since it is a CrossEncoder of sentence-transformers.
ZERANK = r"""{%- set query = messages | selectattr('role', 'eq', 'query') | map(attribute='content') | list -%}
{%- set document = messages | selectattr('role', 'eq', 'document') | map(attribute='content') | list -%}
{{- '<|im_start|>system\n' + (query | first) + '<|im_end|>\n' -}}
{{- '<|im_start|>user\n' + (document | first) + '<|im_end|>\n' -}}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""
# Of Qwen3-Reranker's prompt. A template loses its last line break: there are three behind the thought.
QWEN3_RERANKER = """<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer \
can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("Given a web \
search query, retrieve relevant passages that answer the query") }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>
<|im_start|>assistant
<think>

</think>


"""
# Nobody's: with an instruction that stands elsewhere where there is one, and something behind the document.
OWN = """{{ bos_token }}Task: {{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first \
| default("none") }}. Passage: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}
Question: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
Relevant:"""
