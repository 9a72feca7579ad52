"""Every English text names only what there is: files, settings, commands, options. Nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer
from pydantic import BaseModel

from pipelines.base.config import RunConfig, ServeConfig, load
from pipelines.cli.app import app
from stages.core.metrics import HostedPart, ModelPart
from tests.shown_texts import DOCS, ROOT, ShownText

TEXTS = ["README.md", "CONTRIBUTING.md", "HANDBOOK.md", *DOCS]
SECTIONS = "|".join(RunConfig.model_fields)
OWN_FILE = re.compile(r"(?<![\w/])((?:configs|stages|serve_app|pipelines|tests|docs|\.ci)/[\w./-]+\w)")


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest) -> ShownText:
    return ShownText(request.param)


def all_texts() -> list[ShownText]:
    return [ShownText(name) for name in TEXTS]


def commands(text: ShownText) -> list[str]:
    """Whatever is typed, in a block or between backticks."""
    typed = [
        line.removeprefix("$ ") for kind in ("console", "") for one in text.blocks(kind) for line in one.split("\n")
    ]
    spans = (" ".join(span.split()) for span in re.findall(r"`(rerank-eval\s[^`]+)`", text.prose))
    return [line for line in [*typed, *spans] if line.startswith("rerank-eval ")]


def settings_named(text: ShownText) -> list[str]:
    return re.findall(rf"`((?:{SECTIONS})\.[a-z_.]+)(?:: [^`]+)?`", text.prose)


def is_setting(key: str) -> bool:
    """Whether `key`, as `serve.http.port`, is a key or a section of the run config."""
    model: type[BaseModel] | None = RunConfig
    for name in key.split("."):
        if model is None or name not in model.model_fields:
            return False
        kind = model.model_fields[name].annotation
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return True


def unknown_words(command: str) -> Iterator[str]:
    """The command itself, or those of its options, that the command line does not know."""
    found = typer.main.get_command(app)
    words = command.split("#", maxsplit=1)[0].split()[1:]
    while words and hasattr(found, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in found.commands:
            yield f"{command}: no command {name}"
            return
        found = found.commands[name]
    known = {"--help"} | {
        option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    yield from (f"{command}: no option {word}" for word in words if word.startswith("--") and word not in known)


def test_every_file_that_is_linked_exists_and_has_the_part_that_is_meant(text: ShownText) -> None:
    links = text.links()
    assert links
    for link in links:
        assert link.target.exists(), link
        assert not link.anchor or link.anchor in ShownText(str(link.target.relative_to(ROOT))).anchors(), link


def test_every_file_of_the_projects_own_that_is_named_exists(text: ShownText) -> None:
    assert [name for name in OWN_FILE.findall(text.text) if not (ROOT / name).exists()] == []


def test_every_setting_named_exists(text: ShownText) -> None:
    named = set(settings_named(text)) - {"gate.json"}  # a file of a run folder
    if text.path.name in ("results.md", "models.md"):  # metrics.json has a part of the same name
        named -= {f"model.{key}" for key in ModelPart.__annotations__}
        named -= {f"hosted.{key}" for key in HostedPart.__annotations__}
    assert [key for key in named if not is_setting(key)] == []


def test_every_command_and_option_exists(text: ShownText) -> None:
    assert [wrong for command in commands(text) for wrong in unknown_words(command)] == []


def test_every_override_of_a_command_is_a_setting(text: ShownText) -> None:
    for command in commands(text):
        for override in re.findall(r"--set '?([\w.]+=[^' ]+)", command):
            load(ServeConfig, ROOT / "configs" / "demo.yaml", [override])
            assert is_setting(override.partition("=")[0]), command
        for key in re.findall(r"--grid '([\w.]+)=", command):
            assert is_setting(key), command


def test_the_checks_above_see_something() -> None:
    texts = all_texts()
    assert len({key for text in texts for key in settings_named(text)}) > 40
    assert len({command for text in texts for command in commands(text)}) > 50
    assert len([name for text in texts for name in OWN_FILE.findall(text.text)]) > 50
    assert list(unknown_words("rerank-eval rn --config x")) == ["rerank-eval rn --config x: no command rn"]
    assert list(unknown_words("rerank-eval run --confg x")) == ["rerank-eval run --confg x: no option --confg"]
    assert not is_setting("serve.http.prt")
