"""How fast an engine is, and could be: `arithmetic` has its limit, `benchmark` and `tuning` judge what was measured."""
