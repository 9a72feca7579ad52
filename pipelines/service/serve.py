"""`rerank-eval serve`: the reranker as a service, with a page for people."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ray import serve
from rich.markup import escape

from pipelines.base.cluster import connected
from pipelines.base.config import ServeConfig
from pipelines.base.console import Console
from pipelines.base.extras import needed_by
from pipelines.base.interruption import Interruption
from pipelines.base.logs import libraries_log_to
from pipelines.job.identity import foresee, require_as_asked
from pipelines.job.side_by_side import need, room
from serve_app.engine.models import describe
from serve_app.engine.places import moved
from serve_app.engine.procedure import require_procedure
from serve_app.http.api_input import key_digest
from serve_app.http.door import start_serve
from serve_app.http.ingress import Served, build_front, ingress_name
from serve_app.http.keys import api_keys
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings, RunningApp, run_app
from serve_app.replica.facts import notes_of
from serve_app.replica.status import wait_until_up
from stages.core.errors import ConfigError, NotInstalledError

API_START_TIMEOUT_S = 120.0


def run_service(config: ServeConfig, *, open_to_all: bool) -> None:
    """Start the service and keep it up until SIGINT or SIGTERM.

    Raises ConfigError for an address that would be open to others without a key, and for engines that run already and
    score otherwise than the config says; EngineError when no engine starts.
    """
    http = config.serve.http
    keys = _keys(http, open_to_all=open_to_all)
    several = _described_stages(config)
    logs = Path(tempfile.mkdtemp(prefix="rerank-eval-serve-"))
    console = Console()
    if told := moved():
        console.say(f"note        {escape(told)}")
    with (
        libraries_log_to(logs),
        connected(config.serve.ray_address, _most_replicas(config), config.serve.niceness),
        # Ray has put a handler of SIGTERM in place that aborts: what was started would be left on a cluster.
        Interruption(console.say),
    ):
        for one in several:
            for remark in one.settings.model.remarks:
                console.say(f"mind        {escape(remark)}")
        console.say(f"logs        {logs}/job.log")
        _require_room(config, several)
        start_serve(http.host, http.port)
        name = ingress_name(several)
        with contextlib.ExitStack() as started:
            engines = [_started(one, started) for one in several]
            # Before the engines are up: meanwhile every request is told so, with 503.
            run_app(build_front(several, http, [key_digest(key) for key in keys]), name, route="/")
            started.callback(serve.delete, name)
            _wait_until_ready(config, engines, name, console)
            announce(http, bool(keys), console.say)
            _serve_until_told_to_stop(http, console)
            console.say("stopping: calls at work are finished first")


def _stages(config: ServeConfig) -> list[tuple[ServeConfig, int | None]]:
    """The config of each model, and how deep it scores."""
    if config.rerank.stages is None:
        return [(config, None)]
    return [(one, stage.depth) for one, stage in zip(config.stages(), config.rerank.stages, strict=True)]


def _described_stages(config: ServeConfig) -> list[Served]:
    """Raises ConfigError, which names the stage of a cascade by its place in the config."""
    several = []
    for place, (one, depth) in enumerate(_stages(config)):
        try:
            several.append(Served(_described(one), depth))
        except ConfigError as error:
            if config.rerank.stages is None:
                raise
            raise ConfigError(f"rerank.stages.{place}: {error}") from error
    return several


def _described(config: ServeConfig) -> AppSettings:
    model = describe(config.model, config.engine.backend)
    if model.recipe is None:
        raise ConfigError(f"model.name {model.name}: the stand-in has no engine that could be served. Name a model")
    require_procedure(model, config.model)
    return AppSettings(model, config.model, config.engine, config.serve)


def _most_replicas(config: ServeConfig) -> int:
    return sum(one.serve.max_replicas or one.serve.replicas for one in config.stages())


def _require_room(config: ServeConfig, several: Sequence[Served]) -> None:
    """Raises ConfigError where a cascade needs more GPUs than there are: it would wait for them until its time is over.
    A CPU's cores its engines share.
    """
    there = room()
    needs = [need(one, served.settings.model, there.gpus) for one, served in zip(config.stages(), several, strict=True)]
    gpus = sum(one.gpus for one in needs)
    if len(several) > 1 and gpus > there.gpus:
        raise ConfigError(
            f"rerank.stages: a service has the engines of all stages at once, which take {gpus:g} GPUs, and there are "
            f"{there.gpus:g}. Give a stage fewer (serve.gpus_per_replica, engine.gpu_memory_share)"
        )


def _started(one: Served, started: contextlib.ExitStack) -> RunningApp:
    app = RunningApp(one.settings)
    started.callback(app.stop)
    return app


def _wait_until_ready(config: ServeConfig, engines: Sequence[RunningApp], name: str, console: Console) -> None:
    """One after the other, though they start together. Raises EngineError, or ConfigError for one that scores otherwise
    than the config says.
    """
    for one, app in zip(config.stages(), engines, strict=True):
        with console.waiting("engine      starts", app.phase):
            wait_until_up(name, API_START_TIMEOUT_S)
            require_as_asked(foresee(app.settings.model, one), app.wait_until_identified(), one, app.name)
            app.wait_until_ready()
        for note in notes_of(app.replicas()):
            console.say(f"note        {escape(note)}")


def _keys(http: HttpSettings, *, open_to_all: bool) -> list[str]:
    """Raises ConfigError where others could come in without one."""
    keys = api_keys(http)
    if not keys and not open_to_all and not is_loopback(http.host):
        raise ConfigError(
            f"serve.http.host {http.host} lets others in, and no API key is set. Set ${http.api_keys_env}, listen on "
            "127.0.0.1, or say --open-to-all"
        )
    return keys


def announce(http: HttpSettings, needs_key: bool, say: Callable[[str], None]) -> None:
    """Print the addresses and a command that works."""
    url = f"http://{http.host}:{http.port}"
    body = json.dumps(
        {"query": "how to freeze a layer", "documents": ["requires_grad = False", "water freezes at 0 C"]}
    )
    # The variable may hold several; which of a file's keys is the reader's, only the reader knows.
    one = "$RERANK_EVAL_API_KEY" if http.api_keys_file else f"${{{http.api_keys_env}%%,*}}"
    key = f' -H "Authorization: Bearer {one}"' if needs_key else ""
    say(f"service     {url}/v1/rerank   (docs: {url}/docs, metrics: {url}/metrics)")
    say(f"try         curl -s {url}/v1/rerank{key} -H 'Content-Type: application/json' -d '{body}'")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _serve_until_told_to_stop(http: HttpSettings, console: Console) -> None:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with shown_page(http, console.say):
        stop.wait()


@contextlib.contextmanager
def shown_page(http: HttpSettings, say: Callable[[str], None]) -> Iterator[None]:
    """While open, the page is there, if it is wanted; where its library is missing, `say` tells how to have it."""
    if http.page_port is None:
        yield
        return
    from serve_app.http.ui import launch_page

    # The page calls the service from this machine. It gets a key of ours only where nobody else can open it.
    keys = api_keys(http)
    key = keys[0] if keys and is_loopback(http.host) else None
    api_host = http.host if is_loopback(http.host) else "127.0.0.1"
    try:
        with needed_by("the page"):
            page = launch_page(f"http://{api_host}:{http.port}", http.host, http.page_port, key)
    except NotInstalledError as error:
        say(f"page        none: {error}")
        yield
        return
    say(f"page        {page.local_url}")
    yield
    page.close(verbose=False)
