"""Document -> LaTeX to be read into a paper: sections, booktabs tables, figures as the PNGs beside the page.

Needs the packages booktabs, graphicx and longtable, and for texts in many scripts XeLaTeX or LuaLaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell

HEAD = "% Needs \\usepackage{booktabs,graphicx,longtable}\n"
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")


def to_latex(document: Document) -> str:
    """A fragment without preamble. Every text is escaped."""
    parts = [f"\\section{{{escaped(document.title)}}}", *_blocks(document.lead)]
    for section in document.sections:
        parts += [f"\\subsection{{{escaped(section.title)}}}", *_blocks(section.blocks)]
    return HEAD + "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """On one line: an empty one would end a paragraph within a cell."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], " ".join(text.split()))


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text():
                yield escaped(block.text)
            case Items():
                items = "\n".join(f"\\item {_after_a_command(item)}" for item in block.items)
                yield f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
            case Table():
                yield _table(block)
            case Figure():
                yield _figure(block)
            case Code():
                lines = "\\\\\n".join(_code_line(line) for line in block.text.splitlines() if line.strip())
                yield f"\\begin{{flushleft}}\n{lines}\n\\end{{flushleft}}"
            case Details():
                yield f"\\paragraph{{{escaped(block.title)}}}"
                yield from _blocks(block.blocks)


def _table(table: Table) -> str:
    """A longtable: it may go over a page, and floats nowhere."""
    form = "".join("r" if column.numeric else "l" for column in table.columns)
    rows = [_row([cell(one).text for one in row]) for row in table.rows]
    caption = f"\\caption{{{escaped(table.caption)}}}\\\\\n" if table.caption else ""
    head = _row([column.heading for column in table.columns])
    return (
        f"\\begin{{longtable}}{{{form}}}\n{caption}\\toprule\n{head}\n\\midrule\n\\endhead\n"
        + "\n".join(rows)
        + "\n\\bottomrule\n\\end{longtable}"
    )


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_after_a_command, cells)) + r" \\"


def _after_a_command(text: str) -> str:
    """What begins with `[` or `*` would be read as an option of `\\item`, or of the row's end before it."""
    told = escaped(text)
    return f"{{}}{told}" if told.startswith(("[", "*")) else told


def _code_line(line: str) -> str:
    """With its indentation, which says in a config what belongs to what."""
    indented = "\\ " * (len(line) - len(line.lstrip()))
    return f"\\texttt{{{indented}{escaped(line)}}}"


def _figure(figure: Figure) -> str:
    caption = escaped(figure.caption or figure.alt)
    return (
        f"\\begin{{figure}}[htbp]\n\\centering\n\\includegraphics[width=\\linewidth]{{figures/{figure.name}.png}}\n"
        f"\\caption{{{caption}}}\n\\end{{figure}}"
    )
