"""Document -> Markdown (GitHub's), with the figures as the PNGs beside the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell

MARKS = {"plain": "", "good": "**+** ", "bad": "**−** ", "unsure": "**?** "}
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&$])")
# A list, or a rule, at the start of a line.
_START = re.compile(r"^(\d{0,9})([-+.)](?= |$)|[-=](?=[-=]*$))")


def to_markdown(document: Document) -> str:
    """Every text is escaped: what looks like Markdown in it stays as it was written."""
    parts = [f"# {escaped(document.title)}", *_blocks(document.lead)]
    for section in document.sections:
        parts += [f"## {escaped(section.title)}", *_blocks(section.blocks)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """On one line: a line break ends a cell, and may begin a list."""
    return _START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _blocks(blocks: Sequence[Block], level: int = 3) -> Iterator[str]:
    """`level` is that of a folded block's heading, one more for each fold within a fold."""
    for block in blocks:
        match block:
            case Text():
                yield MARKS[block.tone] + escaped(block.text)
            case Items():
                yield "\n".join(f"- {escaped(item)}" for item in block.items)
            case Table():
                yield _table(block)
            case Figure():
                yield f"![{escaped(block.alt)}](figures/{block.name}.png)"
                if block.caption:
                    yield escaped(block.caption)
            case Code():
                yield _fenced(block.text)
            case Details():
                yield f"{'#' * min(level, 6)} {escaped(block.title)}"
                yield from _blocks(block.blocks, level + 1)


def _table(table: Table) -> str:
    lines = [
        _row([column.heading for column in table.columns]),
        "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|",
        *(_row([cell(one).text for one in row]) for row in table.rows),
    ]
    caption = f"{escaped(table.caption)}\n\n" if table.caption else ""
    return caption + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escaped(one) for one in cells) + " |"


def _fenced(text: str) -> str:
    """In a fence longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"
