"""Document -> one self-contained page: no network, no script; for phone and desk, light and dark, and paper."""

from __future__ import annotations

import os
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.words import slug
from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell
from stages.report.drawing import save_png, to_svg

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "page.html.j2"


def write_html(document: Document, page: Path, figures: Path | None = None) -> None:
    """Write the page in one step, and with `figures` each figure as NAME.png into that folder. Raises OSError."""
    text = to_html(document, figures)
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, page)


def to_html(document: Document, figures: Path | None = None) -> str:
    """The page; with `figures` each figure is also drawn as NAME.png there. Every text is escaped."""
    environment = _environment()
    environment.globals["drawn"] = _Drawings(figures)
    page: str = environment.get_template(TEMPLATE).render(document=document, anchors=_anchors(document))
    return page


class _Drawings:
    """Draws each figure once: as the SVG that stands in the page, and as a PNG beside it."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, figure: Figure) -> str:
        from markupsafe import Markup

        svg = to_svg(figure.draw(), figure.name)
        if self._folder is not None:
            save_png(figure.draw(), self._folder / f"{figure.name}.png")
        # Our own drawing: matplotlib escapes the labels in it.
        return Markup(svg)  # noqa: S704


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"cell": cell, "kind": _kind}
    return environment


def _kind(block: Block) -> str:
    kinds = {Text: "text", Items: "items", Table: "table", Figure: "figure", Code: "code", Details: "details"}
    return kinds[type(block)]


def _anchors(document: Document) -> list[str]:
    """An id for each section, from its title."""
    seen: list[str] = []
    for section in document.sections:
        name = slug(section.title) or "section"
        numbered = (f"{name}-{number}" for number in count(2))
        seen.append(next(one for one in chain([name], numbered) if one not in seen))
    return seen
