"""`rerank-eval compare`: finished runs beside each other, printed and kept. All of it is in `command`."""
