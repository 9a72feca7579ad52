"""`rerank-eval sweep`: every point of a grid over settings as a run of its own. Open `sweep` first."""
