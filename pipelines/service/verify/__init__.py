"""`rerank-eval verify`: are a service's scores those of its model? Open `command` first; `faults` names what is
wrong.
"""
