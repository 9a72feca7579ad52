"""MLflow, and nothing else: `client` is the one place that imports it, `content` and `values` make what it is to
hold.
"""
