"""What a light install lacks: the packages that come with an extra of rerank-eval, and the command that installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec

from stages.core.errors import NotInstalledError

JOB = "pip install 'rerank-eval[cpu]'  (or [gpu])"
PAGE = "pip install 'rerank-eval[ui]'"
# The module that is missing -> its name for people, and what brings it.
BROUGHT = {
    "ray": ("Ray", JOB),
    "vllm": ("vLLM", JOB),
    "torch": ("torch", JOB),
    "transformers": ("transformers", JOB),
    "safetensors": ("safetensors", JOB),
    "tokenizers": ("tokenizers", JOB),
    "tiktoken": ("tiktoken", JOB),
    "sentence_transformers": ("sentence-transformers", JOB),
    "fastapi": ("FastAPI", JOB),
    "httpx": ("httpx", JOB),
    "prometheus_client": ("prometheus-client", JOB),
    "psutil": ("psutil", JOB),
    "apscheduler": ("APScheduler", JOB),
    "tzlocal": ("tzlocal", JOB),
    "aiohttp": ("aiohttp", JOB),
    "hdrh": ("hdrhistogram", JOB),
    "bm25s": ("bm25s", JOB),
    "Stemmer": ("PyStemmer", JOB),
    "gradio": ("Gradio", PAGE),
}


@contextlib.contextmanager
def needed_by(name: str) -> Iterator[None]:
    """What runs within is `name`'s: a command, a function or the page.

    Raises NotInstalledError where it lacks a package that an extra brings. Any other missing module is a bug, and stays
    a ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in BROUGHT:
            raise
        package, command = BROUGHT[error.name]
        raise NotInstalledError(f"{name} needs {package}, which this install lacks: {command}") from error


def require_package(module: str) -> None:
    """Raises ModuleNotFoundError as importing the module would, without importing it: for what is needed only later,
    when something would be left behind.
    """
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
