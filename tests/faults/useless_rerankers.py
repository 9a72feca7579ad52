"""How often is a planted useless reranker named, and a real one of modest quality called useless?

Prints the table of docs/compare.md: `python -m tests.faults.useless_rerankers [COLLECTIONS]`, 200 of each kind unless
told otherwise; takes some minutes on one core. A number is a share in percent of the simulated collections; in brackets
those of which one line says what cannot be told of the order.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.planted_rerankers import PLANTED, Reranker, Shape, found, real

COLLECTIONS = 200
SHAPES = {
    "50 queries": Shape(50),
    "200": Shape(200),
    "200, nothing judged": Shape(200, judged=False),
}
REAL = {
    f"real, concordance {concordance:g}{beside}": real(concordance, topic)
    for concordance in (0.6, 0.7)
    for beside, topic in ((", as the first stage", 0.5), (", by something else", 0.0))
}


def rows(collections: int) -> Iterator[tuple[str, list[str]]]:
    """Reranker, and a cell for each of SHAPES."""
    for title, (name, reranker) in PLANTED.items():
        yield title, [_cell(shape, reranker, name, collections) for shape in SHAPES.values()]
    for title, reranker in REAL.items():
        yield title, [_cell(shape, reranker, None, collections) for shape in SHAPES.values()]


def _cell(shape: Shape, reranker: Reranker, name: str | None, collections: int) -> str:
    """Of a planted one how often it is named right, and wrong where it ever is; of a real one how often it is named."""
    told = [found(shape, reranker, seed) for seed in range(collections)]
    names = Counter(one.name for one in told)
    unsure = sum(one.name is None and one.words is not None for one in told)
    right = names[name] if name else collections - names[None]
    wrong = collections - names[None] - names[name] if name else 0
    beside = f" ({100 * unsure / collections:.3g})" if unsure else ""
    return f"{100 * right / collections:.3g}{beside}" + (f", wrong {100 * wrong / collections:.3g}" if wrong else "")


def main() -> None:
    collections = int(sys.argv[1]) if len(sys.argv) > 1 else COLLECTIONS
    print(f"| reranker | {' | '.join(SHAPES)} |")
    print("|---" * (len(SHAPES) + 1) + "|")
    for title, cells in rows(collections):
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
