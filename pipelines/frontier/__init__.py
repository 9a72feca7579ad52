"""`rerank-eval frontier`: what cascades, depths and cuts of finished runs would give and cost. Open `command` first."""
