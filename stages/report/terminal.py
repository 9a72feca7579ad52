"""Document -> lines on the terminal: texts and tables; figures are left out, folded parts told by their titles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text as RichText

from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell

# A text from the data must not move the cursor or rename the window.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COLOURS = {"plain": "", "good": "green", "bad": "red", "unsure": "yellow"}
# A column of texts may be squeezed to this, and what stands in a column of numbers but is longer is a text.
NARROW = 22


def print_document(document: Document, console: Console | None = None) -> None:
    """To stdout, or to `console`."""
    console = console or Console(highlight=False)
    console.print(_text(document.title, style="bold"))
    console.print(*_blocks(document.lead, console.width), sep="\n")
    for section in document.sections:
        console.print()
        console.print(_text(section.title, style="bold underline"))
        for shown in _blocks(section.blocks, console.width):
            console.print(shown)


def _blocks(blocks: Sequence[Block], width: int) -> Iterator[RenderableType]:
    for block in blocks:
        match block:
            case Text():
                yield _text(block.text, style=COLOURS[block.tone])
            case Items():
                yield from (Padding(_text(f"- {item}"), (0, 0, 0, 2)) for item in block.items)
            case Table():
                yield from (_table(block, places) for places in _parts(block, width))
            case Figure():
                continue  # it is in the page
            case Details():
                yield _folded(block.title)
            case Code():
                yield _text(block.text)


def _parts(table: Table, width: int) -> list[list[int]]:
    """The columns that stand beside each other, the first one in every part: rich would cut numbers to make room."""
    least = [_least(table, place) for place in range(len(table.columns))]
    parts = [[0]]
    for place in range(1, len(least)):
        beside = [*parts[-1], place]
        # Each column has a blank at both sides and a line; one more line ends the row.
        if len(parts[-1]) > 1 and sum(least[one] + 3 for one in beside) + 1 > width:
            beside = [0, place]
            parts.append(beside)
        parts[-1] = beside
    return parts


def _least(table: Table, place: int) -> int:
    """How narrow a column may be: the words of its heading, and its numbers, stay in one piece."""
    words = table.columns[place].heading.split()
    return min(NARROW, max(map(cell_len, [*words, *_texts(table, place), "-"])))


def _texts(table: Table, place: int) -> list[str]:
    return [cell(row[place]).text for row in table.rows]


def _table(table: Table, places: Sequence[int]) -> RichTable:
    title = _text(table.caption) if table.caption and places[1:2] in ([], [1]) else None
    shown = RichTable(title=title, title_justify="left", header_style="bold", title_style="italic")
    shown.show_header = any(column.heading for column in table.columns)
    for place in places:
        column = table.columns[place]
        whole = column.numeric and max(map(cell_len, _texts(table, place)), default=0) <= NARROW
        # What is not wrapped has a heading that is not, either.
        lines = wrap(column.heading, _least(table, place)) if whole else [column.heading]
        shown.add_column(
            _text("\n".join(lines)), justify="right" if column.numeric else "left", overflow="fold", no_wrap=whole
        )
    for row in table.rows:
        several = (cell(row[place]) for place in places)
        shown.add_row(*(_text(one.text, style=COLOURS[one.tone]) for one in several))
    return shown


def _folded(title: str) -> RichText:
    told = _text(f"  {title}")
    told.overflow, told.no_wrap = "ellipsis", True
    return told


def _text(text: str, style: str = "") -> RichText:
    """Never markup: a bracket in a text is a bracket."""
    return RichText(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text), style=style)
