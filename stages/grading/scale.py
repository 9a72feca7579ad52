"""People's grades and a judge's, held beside each other: people may have graded on a shorter scale than 0 to 3."""

from __future__ import annotations

from dataclasses import dataclass

from stages.core.grades import HIGHEST
from stages.core.words import counted

RELEVANT = 2
"""The judge's least grade that counts as relevant, as UMBRELA's evaluation binarises."""

# People's highest grade -> what of their scale each of the judge's grades 0 to 3 is, and from which grade on a document
# is relevant to them. The judge's 1, related without an answer, is nobody's idea of relevant.
_SHORTER = {1: ((0, 0, 1, 1), 1), 2: ((0, 0, 1, 2), 1), 3: ((0, 1, 2, 3), 2)}


@dataclass(frozen=True, slots=True)
class Scale:
    """People's: 0 to `highest`, relevant from `relevant` on. `of_judge[g]` is what the judge's g is on it. Both are
    None where that is not known: of a scale of more than four grades.
    """

    highest: int
    relevant: int | None
    of_judge: tuple[int, ...] | None
    words: str


def scale_of(highest: int, relevant: int | None = None) -> Scale:
    """`highest` is the largest grade that people could give, `relevant` overrides from which on they mean relevant."""
    highest = max(highest, 1)
    of_judge, usual = _SHORTER.get(highest, (None, None))
    cut = relevant or usual
    told = f"People's grades go from 0 to {highest}"
    if cut is None:
        return Scale(highest, None, None, f"{told}: what the judge's 0 to {HIGHEST} are on that scale is not known")
    told += f", and {_from(cut, highest)} relevant; of the judge's, {RELEVANT} and {HIGHEST} do"
    if of_judge and of_judge != tuple(range(HIGHEST + 1)):
        told += f". Held beside people's, the judge's {_mapped(of_judge)}"
    if of_judge is None:
        told += f". What the judge's grades are on {counted(highest + 1, 'grade')} is not known"
    return Scale(highest, cut, of_judge, told)


def _from(cut: int, highest: int) -> str:
    return f"{cut} counts as" if cut == highest else f"{cut} and above count as"


def _mapped(of_judge: tuple[int, ...]) -> str:
    return ", ".join(f"{grade} is {one}" for grade, one in enumerate(of_judge))
