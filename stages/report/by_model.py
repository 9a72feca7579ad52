"""A document whose numbers come of a model's judgements: each table, figure and heading of them says so, in every form,
since each may be cut out and shown alone. In text and tables green and red are for what is known: not for these.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stages.core.judges import BY_MODEL
from stages.core.words import first_up
from stages.report.document import Block, Cell, Details, Document, Figure, Section, Table, Text, cell
from stages.report.drawing import INK, in_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def marked(document: Document, mark: str | None, plain: Collection[str] = (), *, told: bool = True) -> Document:
    """With `mark` (`by model judgement (NAME)`) at everything but the sections whose titles are `plain`, which are not
    of judgements, and the lead, which says it in words. Where these are not `told` of people's grades, they are unsure.
    The document as it is where there is no mark.
    """
    if mark is None:
        return document
    sections = [one if one.title in plain else marked_section(one, mark) for one in document.sections]
    lead = document.lead if told else [_unsure(one) for one in document.lead]
    return Document(f"{document.title} ({BY_MODEL})", lead, sections)


def marked_section(section: Section, mark: str) -> Section:
    return Section(f"{section.title} ({BY_MODEL})", marked_blocks(section.blocks, mark))


def marked_blocks(blocks: Sequence[Block], mark: str) -> list[Block]:
    return [_marked(one, mark) for one in blocks]


def marked_table(table: Table, mark: str | None) -> Table:
    if mark is None:
        return table
    rows = [[_without_tone(one) for one in row] for row in table.rows]
    return replace(table, rows=rows, caption=_with(table.caption, mark))


def _marked(block: Block, mark: str) -> Block:
    match block:
        case Table():
            return marked_table(block, mark)
        case Figure():
            drawn = _Drawn(block, mark)
            return replace(block, alt=f"{block.alt}, {BY_MODEL}", caption=_with(block.caption, mark), draw=drawn)
        case Details():
            return Details(f"{block.title} ({BY_MODEL})", marked_blocks(block.blocks, mark))
        case Text():
            return _unsure(block)
        case _:
            return block


def _unsure(text: Text) -> Text:
    return replace(text, tone="unsure" if text.tone in ("good", "bad") else text.tone)


def _with(caption: str, mark: str) -> str:
    return f"{caption} {first_up(mark)}.".strip()


def _without_tone(value: Cell | str) -> Cell | str:
    found = cell(value)
    return Cell(found.text) if found.tone in ("good", "bad") else value


class _Drawn:
    """The figure with the mark above it, in the picture itself."""

    def __init__(self, figure: Figure, mark: str) -> None:
        self._figure, self._mark = figure, mark

    @in_style
    def __call__(self) -> Drawing:
        drawing = self._figure.draw()
        drawing.suptitle(BY_MODEL, fontsize=8, color=INK)
        return drawing
