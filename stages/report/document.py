"""What a report says, apart from how it is shown: a document of sections of blocks.

The same document becomes a page (html), Markdown, LaTeX, or lines on the terminal. Texts are plain: whoever renders
them escapes what its form needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.core.words import Tone, signed, tone_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. `tone` tells at a glance what it means for the reader."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of short sentences."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Column:
    """`numeric` columns stand right, in figures of equal width."""

    heading: str
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Each row has a cell, or a plain text, for each column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """`name` is its file's, unique in the document; `draw` makes it when it is needed; `alt` says what it shows."""

    name: str
    alt: str
    draw: Callable[[], Drawing]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Text in the form it was written in, such as a config."""

    text: str


@dataclass(frozen=True, slots=True)
class Details:
    """What only some readers want: folded where the form can fold."""

    title: str
    blocks: Sequence[Block]


Block = Text | Items | Table | Figure | Code | Details


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """`lead` is read first, and by many alone."""

    title: str
    lead: Sequence[Text]
    sections: Sequence[Section]


def cell(value: Cell | str) -> Cell:
    """A table's cell, however it was given."""
    return value if isinstance(value, Cell) else Cell(value)


def change(told: Mapping[str, Any]) -> Cell:
    """A difference in the tone of what it means: only what is told apart from chance is good or bad."""
    return Cell(signed(told["difference"]), tone_of(told))


def figures(document: Document) -> list[Figure]:
    """All figures, in the order in which they are read."""
    found: list[Figure] = []

    def look(blocks: Sequence[Block]) -> None:
        for block in blocks:
            if isinstance(block, Figure):
                found.append(block)
            elif isinstance(block, Details):
                look(block.blocks)

    for section in document.sections:
        look(section.blocks)
    return found
