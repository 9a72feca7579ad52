"""How good a ranking is, and is a difference real? `evaluate` has the metrics, `significance` and `regression`
the tests.
"""
