"""Are a service's scores those of its model? What rerank-eval verify is made of."""
