"""Commands: each wires stages and serve_app into one job."""
