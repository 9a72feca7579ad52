"""What rerank-eval benchmark is made of: models, pairs, contenders, and how they are timed."""
