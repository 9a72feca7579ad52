"""The page for people: a query and passages in, their ranking out. It calls the HTTP service as any client would.

Up to `build_page` all is plain Python and HTML. Gradio is imported when a page is built, and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import httpx

from serve_app.api_models import ErrorResponse, RerankResponse
from stages.errors import ConfigError, ScoringError

if TYPE_CHECKING:
    import gradio as gr

Separator = Literal["line", "block"]

TIMEOUT = httpx.Timeout(120, connect=5)  # longer than the service's own deadline, which explains itself better
FOLDED_CHARS = 320
TITLES = {
    401: "The service asks for an API key",
    404: "The service does not know this",
    413: "Too much for one request",
    429: "The service is busy",
    503: "No engine is ready",
    504: "The service took too long",
}
EMPTY = '<p class="hint">The ranking appears here. Ctrl or no Ctrl, Enter in the query starts it too.</p>'
FACTS = ("family", "dtype", "max_model_len", "replicas", "template", "instruction")


class Example(NamedTuple):
    """One row of the page's examples, in the order of its fields."""

    query: str
    passages: str
    separator: Separator
    instruction: str


EXAMPLES = {
    "Freezing layers in PyTorch": Example(
        "How do I freeze layers in PyTorch?",
        "In TensorFlow, tf.stop_gradient keeps gradients from flowing back through a tensor.\n"
        "Inside torch.no_grad() nothing is recorded for the backward pass, which saves memory at inference.\n"
        "Water freezes at 0 °C, and layers of ice build up from the surface down.\n"
        "To freeze layers in PyTorch, set requires_grad = False on their parameters: the optimizer leaves them alone.\n"
        "In Keras, set layer.trainable = False and compile the model again.",
        "line",
        "",
    ),
    "中文：胃不舒服能喝咖啡吗": Example(
        "胃不舒服的时候可以喝咖啡吗？",
        "咖啡树原产于非洲，今天在七十多个国家种植。\n"
        "咖啡因会刺激胃酸分泌，胃痛或胃炎发作时最好不要喝咖啡。\n"
        "这家咖啡馆每天早上八点开门，周末十点开门。\n"
        "胃不舒服时宜吃清淡、易消化的食物，例如白粥和面条。",
        "line",
        "",
    ),
    "Longer passages": Example(
        "Why does a nightly job score the same pairs again?",
        "The nightly report\n\nlists every query whose ranking moved by more than three places.",
        "block",
        "Given a question about operations, retrieve passages that name the cause",
    ),
}
