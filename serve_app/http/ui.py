"""The page for people: a query and passages in, their ranking out. It calls the HTTP service as any client would.

What the page shows is made by plain functions; Gradio is imported when a page is built, and nowhere else.
"""

from __future__ import annotations

import os
import re
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import httpx

from serve_app.http.api_models import ErrorResponse, RerankResponse
from serve_app.http.ui_html import STYLE, notice_html, ranking_html
from stages.core.errors import ConfigError, ScoringError, first_line

if TYPE_CHECKING:
    import gradio as gr

Separator = Literal["line", "block"]

# Longer than the service's own deadline: the service says better than a client why it gave up.
TIMEOUT = httpx.Timeout(120, connect=5)
TITLES = {
    401: "The service asks for an API key",
    413: "This is too much for one request",
    429: "The service is busy",
    503: "No engine is ready",
    504: "The service took too long",
}
FACTS = {
    "family": "{}",
    "max_model_len": "up to {} tokens",
    "dtype": "{}",
    "replicas": "replicas: {}",
    "template": "template {}",
    "instruction": "instruction: {}",
}
FREEZING = """\
In TensorFlow, tf.stop_gradient keeps gradients from flowing back through a tensor.
Inside torch.no_grad() nothing is recorded for the backward pass, which saves memory at inference.
Water freezes at 0 °C, and layers of ice build up from the surface down.
To freeze layers in PyTorch, set requires_grad = False on their parameters: no optimizer step changes them.
In Keras, set layer.trainable = False and compile the model again."""
COFFEE = """\
咖啡树原产于非洲，今天在七十多个国家种植。
这家咖啡馆每天早上八点开门，周末十点开门。
胃不舒服时宜吃清淡、易消化的食物，例如白粥和面条。
咖啡因会刺激胃酸分泌，胃痛或胃炎发作时最好不要喝咖啡。"""
NIGHTLY = """\
Release notes, spring. The report lists the queries whose ranking moved most, with links to both runs. The depth \
curve has a legend, and its colours can be told apart in print. Nothing changes for existing configs.

Incident review. The nightly evaluation was slow because its score store lay on a full network volume: every write \
failed, nothing was remembered, and each of the 300 queries was scored again from scratch. The queue grew until two \
in the morning. Moving the store to a local disk brought the run from four hours to six minutes.

How to read the report. Queue time is what a request waits before an engine takes it. A long queue with an idle \
engine points at the callers; a long queue with a busy engine asks for another replica."""
EXAMPLES: list[tuple[str, str, Separator, str]] = [
    ("How do I freeze layers in PyTorch?", FREEZING, "line", ""),
    ("胃不舒服的时候可以喝咖啡吗？", COFFEE, "line", ""),
    ("What made the nightly evaluation slow?", NIGHTLY, "block", "Retrieve passages that name the cause"),
]


class ServiceError(ScoringError):
    """The service refused, or does not answer: `title` in a few words, the message in the service's own."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title


def split_passages(text: str, separator: Separator) -> list[str]:
    """One passage per line, or per block between blank lines; empty ones are dropped."""
    parts = text.splitlines() if separator == "line" else re.split(r"\n\s*\n", text)
    return [part.strip() for part in parts if part.strip()]


def ask(url: str, key: str | None, body: dict[str, Any] | None = None) -> httpx.Response:
    """GET `url`, or POST `body` to it. Raises ServiceError with what the service says."""
    headers = {b"Authorization": f"Bearer {key}".encode()} if key else {}
    try:
        response = httpx.request("POST" if body else "GET", url, json=body, headers=headers, timeout=TIMEOUT)
    except httpx.ReadTimeout as error:
        raise ServiceError("The service took too long", f"{url} did not answer in {TIMEOUT.read:g} s.") from error
    except httpx.HTTPError as error:
        raise ServiceError(
            "The service does not answer",
            f"{url}: {first_line(error)}. Is it running? rerank-eval serve starts it.",
        ) from error
    if response.is_success:
        return response
    title = TITLES.get(response.status_code, "The service refused the request")
    retry_after = response.headers.get("Retry-After")
    hint = f" Try again in {retry_after} s." if retry_after else ""
    raise ServiceError(title, f"{_said(response)} (HTTP {response.status_code}).{hint}")


def _said(response: httpx.Response) -> str:
    """The error's message; or the body's first words, where a proxy answered instead of the service."""
    try:
        return ErrorResponse.model_validate_json(response.content).error.message
    except ValueError:
        return response.text.strip()[:200] or response.reason_phrase


def rerank_html(
    api_url: str, key: str | None, query: str, text: str, separator: Separator, instruction: str, top_n: int
) -> str:
    """What the page shows for one request: the ranking, or why there is none."""
    passages = split_passages(text, separator)
    if not query.strip() or not passages:
        return notice_html("Nothing to rank yet", "Type a query and at least one passage.")
    body = {
        "query": query.strip(),
        "documents": passages,
        "top_n": top_n or None,
        "return_documents": False,
        "instruction": instruction.strip() or None,
    }
    try:
        answer = RerankResponse.model_validate_json(ask(f"{api_url}/v1/rerank", key, body).content)
    except ServiceError as error:
        return notice_html(error.title, str(error))
    except ValueError:
        return notice_html("This is no answer of a rerank-eval service", f"Check the address: {api_url}")
    return ranking_html(answer, passages)


def model_html(api_url: str, key: str | None) -> str:
    """The model's name and settings; or, where the service does not say, that they are unknown."""
    try:
        model: dict[str, Any] = ask(f"{api_url}/v1/models", key).json()["data"][0]
    except (ServiceError, ValueError, LookupError, TypeError) as error:
        title = error.title if isinstance(error, ServiceError) else "no answer of a rerank-eval service"
        return _model_html("Model unknown", [f"{title}: {api_url}"])
    facts = [shown.format(model[name]) for name, shown in FACTS.items() if model.get(name) is not None]
    return _model_html(str(model["id"]), facts)


def _model_html(name: str, facts: list[str]) -> str:
    spans = " ".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return f'<div class="model"><h1>rerank-eval</h1><span><b>{escape(name)}</b></span> {spans}</div>'


def build_page(api_url: str, api_key: str | None = None) -> gr.Blocks:
    """The page for the service at `api_url`, to be launched.

    With `api_key` the page uses that key for every visitor, and shows it to none; without one, visitors give their own.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    url = api_url.rstrip("/")

    def show_model(own_key: str | None) -> str:
        return model_html(url, api_key or own_key)

    def show_ranking(own_key: str | None, *fields: Any) -> str:
        return rerank_html(url, api_key or own_key, *fields)

    page = gr.Blocks(title="rerank-eval")
    with page:
        model = gr.HTML(apply_default_css=False)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                fields, query = _request_fields()
                key = gr.State(None) if api_key else _key_field()
                button = gr.Button("Rank", variant="primary")
            with gr.Column(scale=3, min_width=300):
                result = gr.HTML('<p class="hint">The ranking appears here.</p>', apply_default_css=False)
        # Without Gradio's queue, which answers one visitor at a time.
        call: dict[str, Any] = {"queue": False, "api_visibility": "private"}
        page.load(show_model, key, model, **call)
        ranked = gr.on([button.click, query.submit], show_ranking, [key, *fields], result, **call)
        ranked.then(show_model, key, model, **call)
    return page


def _request_fields() -> tuple[list[gr.Component], gr.Textbox]:
    """The inputs in the order of `rerank_html`, below the examples that fill them; and the one that Enter submits."""
    import gradio as gr

    examples = gr.Column()
    query = gr.Textbox(label="Query", max_lines=4)
    text = gr.Textbox(label="Passages", lines=8, max_lines=16)
    choices = [("One per line", "line"), ("Blocks between blank lines", "block")]
    separator = gr.Radio(choices, value="line", label="Passages are", container=False)
    with gr.Row():
        instruction = gr.Textbox(label="Instruction", placeholder="the service's own", scale=3, min_width=160)
        top_n = gr.Number(0, label="Top n (0: all)", minimum=0, precision=0, min_width=120)
    fields = [query, text, separator, instruction]
    with examples:
        gr.Examples([list(one) for one in EXAMPLES], fields, example_labels=[one[0] for one in EXAMPLES])
    return [*fields, top_n], query


def _key_field() -> gr.Textbox:
    import gradio as gr

    with gr.Accordion("API key", open=False):
        return gr.Textbox(show_label=False, label="API key", type="password", placeholder="if the service asks for one")


def launch_page(api_url: str, host: str = "127.0.0.1", port: int = 7860, api_key: str | None = None) -> gr.Blocks:
    """Start the page and return it at once: `local_url` is its address, `close()` stops it. Port 0: one from 7860 on.

    Raises ConfigError where the address cannot be listened on.
    """
    page = build_page(api_url, api_key)
    import gradio as gr

    fonts = ["system-ui", "sans-serif"]  # the browser's own: nothing is fetched
    theme = gr.themes.Default(primary_hue="indigo", neutral_hue="slate", font=fonts, font_mono=["monospace"])
    try:
        page.launch(
            server_name=host,
            server_port=port or None,
            theme=theme,
            css=STYLE,
            footer_links=[],
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            run_history=False,
            enable_monitoring=False,
        )
    except OSError as error:
        raise ConfigError(f"the page cannot listen on {host}:{port}: choose another port ({error})") from error
    return page
