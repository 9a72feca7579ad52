"""`rerank-eval benchmark`: models, pairs, contenders, and how they are timed. Open `command` first."""
