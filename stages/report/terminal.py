"""Document -> lines on the terminal: texts and tables; figures are named, folded parts left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text as RichText

from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell

COLOURS = {"plain": "", "good": "green", "bad": "red", "unsure": "yellow"}


def print_document(document: Document, console: Console | None = None) -> None:
    """To stdout, or to `console`."""
    console = console or Console(highlight=False)
    console.print(RichText(document.title, style="bold"))
    console.print(*_blocks(document.lead), sep="\n")
    for section in document.sections:
        console.print()
        console.print(RichText(section.title, style="bold underline"))
        for shown in _blocks(section.blocks):
            console.print(shown)


def _blocks(blocks: Sequence[Block]) -> Iterator[RenderableType]:
    for block in blocks:
        match block:
            case Text():
                yield RichText(block.text, style=COLOURS[block.tone])
            case Items():
                yield from (Padding(RichText(f"- {item}"), (0, 0, 0, 2)) for item in block.items)
            case Table():
                yield _table(block)
            case Figure():
                continue  # it is in the page
            case Details():
                yield RichText(f"  {block.title}", overflow="ellipsis", no_wrap=True)
            case Code():
                yield RichText(block.text)


def _table(table: Table) -> RichTable:
    shown = RichTable(title=table.caption or None, title_justify="left", header_style="bold", title_style="italic")
    for column in table.columns:
        shown.add_column(RichText(column.heading), justify="right" if column.numeric else "left")
    for row in table.rows:
        shown.add_row(*(RichText(one.text, style=COLOURS[one.tone]) for one in map(cell, row)))
    return shown
