"""Pairs scored with Transformers alone, as each family's publisher says. `scorer` is the way in."""
