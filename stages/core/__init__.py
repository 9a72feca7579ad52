"""The field's nouns (`records`), the errors, and what happens to one query: `prepare`, `rerank`. Open `records`
first.
"""
