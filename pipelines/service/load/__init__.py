"""`rerank-eval loadtest`: load on a service. `command` is the way in, `run` drives the steps, `client` sends."""
