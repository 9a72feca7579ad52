"""The reranker as a Ray Serve application: an `engine`, the `replica` around it, and `http` in front of both."""
