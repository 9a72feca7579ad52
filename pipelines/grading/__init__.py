"""Relevance graded by a language model: `command` goes from finished runs to grades, agreement and verdicts."""
