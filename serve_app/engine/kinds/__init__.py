"""One module for each kind of recipe: its procedure, and what vLLM has to be told."""
