"""vLLM, and all that is imported beside it: `models` describes a model, `engine` hosts it, `prompts` and
`outputs` translate.
"""
