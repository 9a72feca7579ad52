"""Document -> LaTeX to be read into a paper: sections, booktabs tables, figures as the PNGs beside the page.

Needs the packages booktabs, graphicx and longtable, and for texts in many scripts XeLaTeX or LuaLaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell

# A column with a longer text than this breaks its lines; LaTeX's own columns would run over the margin.
LONG = 40
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
    # Not \textquotedbl, which the default encoding of pdfLaTeX lacks.
    '"': r"\symbol{34}",
    # What our own texts use and pdfLaTeX's default fonts lack.
    "→": r"\ensuremath{\rightarrow}",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "–": "--",
    "…": r"\ldots{}",
}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def to_latex(document: Document) -> str:
    """A fragment without preamble. Every text is escaped."""
    parts = [f"\\section{{{escaped(document.title)}}}", *_blocks(document.lead)]
    for section in document.sections:
        parts += [f"\\subsection{{{escaped(section.title)}}}", *_blocks(section.blocks)]
    return HEAD + "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """On one line: an empty one would end a paragraph within a cell. Control characters, which stop TeX, go."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], " ".join(_CONTROL.sub(" ", text).split()))


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text():
                yield escaped(block.text)
            case Items():
                items = "\n".join(f"\\item {_started(item)}" for item in block.items)
                yield f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
            case Table():
                yield _table(block)
            case Figure():
                yield _figure(block)
            case Code():
                yield _code(block.text)
            case Details():
                yield f"\\paragraph{{{escaped(block.title)}}}"
                yield from _blocks(block.blocks)


def _code(text: str) -> str:
    """Line by line, with its indentation: `~` is a space that TeX keeps."""
    lines = [line for line in text.splitlines() if line.strip()]
    told = [f"\\texttt{{{'~' * (len(line) - len(line.lstrip()))}{escaped(line)}}}" for line in lines]
    return "\\begin{flushleft}\n" + "\\\\\n".join(told) + "\n\\end{flushleft}"


def _table(table: Table) -> str:
    """A longtable: it may go over a page, and floats nowhere."""
    texts = [[cell(one).text for one in row] for row in table.rows]
    form = "".join(_column(place, texts, numeric=column.numeric) for place, column in enumerate(table.columns))
    headings = [column.heading for column in table.columns]
    head = f"{_row(headings)}\n\\midrule\n" if any(headings) else ""
    caption = f"\\caption{{{escaped(table.caption)}}}\\\\\n" if table.caption else ""
    rows = "\n".join(map(_row, texts))
    return (
        f"\\begin{{longtable}}{{{form}}}\n{caption}\\toprule\n{head}\\endhead\n{rows}\n\\bottomrule\n\\end{{longtable}}"
    )


def _column(place: int, rows: Sequence[Sequence[str]], *, numeric: bool) -> str:
    if not numeric and any(len(row[place]) > LONG for row in rows):
        return r"p{0.5\linewidth}"
    return "r" if numeric else "l"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_started, cells)) + r" \\"


def _started(text: str) -> str:
    """What begins with `[` or `*` would be read as an option of the command before, even of the line before."""
    return f"{{}}{escaped(text)}" if text.lstrip().startswith(("[", "*")) else escaped(text)


def _figure(figure: Figure) -> str:
    caption = escaped(figure.caption or figure.alt)
    return (
        f"\\begin{{figure}}[htbp]\n\\centering\n\\includegraphics[width=\\linewidth]{{figures/{figure.name}.png}}\n"
        f"\\caption{{{caption}}}\n\\end{{figure}}"
    )
