"""Published scoring procedures as data: `recipe` has what all share, `recognise` finds the one of a model. No vLLM."""
