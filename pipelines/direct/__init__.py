"""Pairs scored with Transformers alone, as each family's publisher says."""
