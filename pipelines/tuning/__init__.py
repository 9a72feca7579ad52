"""What `rerank-eval tune` measures with: the user's own pairs, and bare engines."""
