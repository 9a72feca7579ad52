"""The one style of all figures, and how a figure becomes an SVG in a page or a PNG beside it.

Text, axes and grid are drawn in INK, which the page replaces by the reader's own text colour.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Told = ParamSpec("_Told")

# On a phone of 360 px the figure is 328 px wide, and its text of 10 pt about 10 px high.
WIDTH_IN, DOTS_PER_INCH = 4.6, 200
# A figure is a few hundred pixels wide: more steps than this only make the page heavy.
MOST_STEPS = 600
INK = "#123456"  # no data colour: it stands for the text colour of whoever looks
PAPER_INK = "#1f2328"  # what it is in a PNG, on white
# Of Okabe and Ito's palette for the colour-blind (Color Universal Design, 2008), those with contrast on both grounds.
BEFORE, AFTER, GOOD, BAD = "#8a8f98", "#0f7fc4", "#009e73", "#d55e00"
# Fonts for scripts that matplotlib's own has no letters of; a page has its reader's fonts, a PNG what is installed.
MORE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Devanagari")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    # A label is the user's text: `$` in it is a dollar, no formula.
    "text.parse_math": False,
    "axes.unicode_minus": False,  # as in the tables beside it
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rerank-eval",
}


@contextmanager
def _style() -> Iterator[None]:
    """What matplotlib reads from its settings, it reads at every step of drawing."""
    from matplotlib import rc_context

    with rc_context(STYLE | {"font.family": _fonts()}), warnings.catch_warnings():
        # A letter without a font is a box in the PNG; the page shows it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


@cache
def _fonts() -> list[str]:
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *sorted(set(MORE_FONTS) & set(get_font_names()), key=MORE_FONTS.index), "sans-serif"]


def in_style(draw: Callable[_Told, Figure]) -> Callable[_Told, Figure]:
    """A function that draws, drawing in STYLE."""

    @wraps(draw)
    def drawn(*told: _Told.args, **named: _Told.kwargs) -> Figure:
        with _style():
            return draw(*told, **named)

    return drawn


def panels(number: int, height_in: float) -> tuple[Figure, list[Axes]]:
    """Axes one above the other, over the same x. Never pyplot: it keeps every figure in memory."""
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(WIDTH_IN, height_in), layout="constrained")
    every = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
    for axes in every:
        axes.grid(visible=True)
        axes.set_axisbelow(True)
    return figure, list(every)


def panel(height_in: float) -> tuple[Figure, Axes]:
    figure, (axes,) = panels(1, height_in)
    return figure, axes


def to_svg(figure: Figure, name: str) -> str:
    """An <svg> element to stand in a page: scalable, in the page's text colour, its ids prefixed with `name`."""
    with _style():
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub("<[^>]+>", lambda tag: _for_page(tag[0], name), svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return re.sub(r'(<svg[^>]*?) width="([\d.]+)pt"', r'\1 class="figure"', svg, count=1)


def _for_page(tag: str, name: str) -> str:
    """Ids and colours are in tags alone: between them stands the user's text, which stays as it is."""
    tag = re.sub(r'\bid="', f'id="{name}-', tag.replace(INK, "currentColor"))
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", tag)


def save_png(figure: Figure, path: Path) -> None:
    """On white, in twice the resolution of a screen, in one step. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    with _style():
        for part in figure.findobj(lambda one: hasattr(one, "get_color") or hasattr(one, "get_edgecolor")):
            _on_paper(part)
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    os.replace(partial, path)


def _on_paper(part: Any) -> None:
    from matplotlib.colors import to_hex

    for kind in ("color", "edgecolor", "markeredgecolor"):
        get, put = getattr(part, f"get_{kind}", None), getattr(part, f"set_{kind}", None)
        if get is None or put is None:
            continue
        value = get()
        try:
            if isinstance(value, str | tuple) and to_hex(value) == INK:
                put(PAPER_INK)
        except (ValueError, TypeError):
            continue
