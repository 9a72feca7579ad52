"""A reranker of somebody else's, asked over HTTP: its API's form, its limits and its bill. No engine, no Ray."""
