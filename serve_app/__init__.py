"""The reranker as a Ray Serve application: settings, prompts, engine, replica, client."""
