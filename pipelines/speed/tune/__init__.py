"""`rerank-eval tune`: the fastest engine settings for the user's own pairs, with bare engines. Open `command` first."""
