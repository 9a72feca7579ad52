"""`rerank-eval diagnose`: where is the bottleneck? `command` takes the four steps, `machine` looks at this machine."""
