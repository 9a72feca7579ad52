"""What happens to a query and its candidates: pure Python, without Ray, vLLM, MLflow or HTTP."""
