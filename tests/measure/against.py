"""This checkout against an earlier commit: whole jobs, services and single queries of both, in turn, on the same data.

`python -m tests.measure.against COMMIT [--what nano,tiny,demo,stored,one_query,million,service,equal] [--rounds 3]`
makes a work tree of COMMIT (0.1.0 is 3c6921c) and runs both in this environment, whose packages must suit both. Of
every figure it prints the medians of both, of the bare engine (vLLM's own LLM class or server, our settings) where
there is one, and the ratios of each round: median, least and most. `equal` compares scores pair by pair, in float32,
over 5,000 pairs of each family. Figures count on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pipelines.base.environment import describe_hardware
from stages.core.errors import RerankEvalError, first_line
from stages.core.words import number
from tests.measure.checkout import ROOT, Figures, Side, checked_out
from tests.measure.equal import FAMILIES, compare_family
from tests.measure.parts import BARE, PARTS, Lab

NEW = Side("new", ROOT)
# Of a part, by side: the figures of each round.
Rounds = dict[str, list[Figures]]


def measure(lab: Lab, old: Side, what: str, rounds: int) -> Rounds:
    """Each side once a round, the other way round in every second one. A side that fails is left out of that round."""
    part, found = PARTS[what], defaultdict[str, list[Figures]](list)
    sides = [old, NEW, *([BARE] if part.bare else [])]
    for turn in range(1, rounds + 1):
        for side in sides if turn % 2 else sides[::-1]:
            try:
                figures = part.measure(lab, side, f"{what}-{side.name}-{turn}")
            except (RerankEvalError, OSError) as error:
                print(f"  round {turn}, {side.name}: failed: {first_line(error)}", flush=True)
                figures = {}
            else:
                told = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
                print(f"  round {turn}, {side.name}: {told}; load {os.getloadavg()[0]:.1f}", flush=True)
            found[side.name].append(figures)
    return dict(found)


def compare_families(lab: Lab, old: Side) -> None:
    """A family that fails is told, and the next one compared."""
    for family in FAMILIES:
        try:
            compare_family(lab, old, NEW, family)
        except (RerankEvalError, OSError) as error:
            print(f"  {family}: failed: {first_line(error)}", flush=True)


def tell(what: str, found: Rounds) -> None:
    """The part's table."""
    names = dict.fromkeys(name for some in found.values() for figures in some for name in figures)
    print(f"\n{what:<24}{'old':>22}{'new':>22}{'new / old':>24}{'bare':>22}{'new / bare':>24}")
    for name in names:
        old, new, bare = (figures_of(found.get(side, []), name) for side in ("old", "new", "bare"))
        cells = [spread(old), spread(new), spread(ratios(new, old)), spread(bare), spread(ratios(new, bare))]
        widths = (22, 22, 24, 22, 24)
        print(f"{name:<24}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    print(flush=True)


def figures_of(some: Sequence[Figures], name: str) -> list[float | None]:
    """One figure, round by round; None where a round has none."""
    return [figures.get(name) for figures in some]


def ratios(some: Sequence[float | None], others: Sequence[float | None]) -> list[float | None]:
    """Round by round, where both have a figure: what else the machine did then slows both."""
    return [mine / theirs for mine, theirs in zip(some, others, strict=False) if mine is not None and theirs]


def spread(values: Sequence[float | None]) -> str:
    """The median, and from the least to the most."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{number(median(known))} ({number(min(known))}-{number(max(known))})"


def machine() -> str:
    hardware = describe_hardware()
    return (
        f"{hardware['processor']}, {hardware['cores']} cores ({hardware['instructions']}), {hardware['memory_gib']} GiB"
    )


def wanted(text: str) -> list[str]:
    """`service` stands for all of them. Raises ValueError for what there is not."""
    found = []
    for name in text.split(","):
        some = [one for one in (*PARTS, "equal") if one == name or one.startswith(f"{name}-")]
        if not some:
            raise ValueError(f"{name}: choose from {', '.join((*PARTS, 'equal'))}")
        found += some
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the commit to compare this checkout with")
    parser.add_argument("--what", type=wanted, default="nano,tiny,demo,stored,one_query,million,service,equal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, help="of 50 documents each; default: enough for ten seconds")
    parser.add_argument("--pairs", type=int, default=1_000_000, help="of `million`")
    parser.add_argument("--out", type=Path, help="a new folder for logs and figures.json; default: a temporary one")
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="rerank-eval-against-"))
    folder.mkdir(parents=True, exist_ok=True)
    lab, found = Lab(folder.resolve(), given.queries, given.pairs), dict[str, Rounds]()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}\n{folder}", flush=True)
    with checked_out(given.commit) as old:
        for what in given.what:
            print(what, flush=True)
            if what == "equal":
                compare_families(lab, old)
                continue
            found[what] = measure(lab, old, what, given.rounds)
            tell(what, found[what])
            (folder / "figures.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    for what, difference in lab.largest_difference.items():
        print(f"largest difference of two scores of a pair, {what}: {difference:.2g}")


if __name__ == "__main__":
    main()
