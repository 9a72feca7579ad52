"""What came back of a judge -> a grade, or the reason why there is none: never a wrong grade, and never 0 for none.

A reply in text counts in the form alone that the prompt asks for: nothing but the ending, or reasons and the ending on
the last line. A digit anywhere else is no grade: not in "there is no 3 here", not in a year, not in "3/3". Where
another line looks like a final grade and does not say the same, there is none. Probabilities count where grades have at
least LEAST_SHARE of what the judge would have said.
"""

from __future__ import annotations

import math
import re
import unicodedata

from stages.core.grades import Graded, Reply
from stages.core.judge_prompt import GRADE, JudgePrompt

FAILED = "the judge gave no reply"
WITHHELD = "the judge, or a filter before it, withheld the reply"
CUT = "the reply was cut at the limit of tokens"
EMPTY = "the reply is empty"
NO_GRADE = "the reply has no grade in the form that was asked for"
OUT_OF_RANGE = "the grade is out of range"
SEVERAL = "the reply has several final grades"
UNLIKELY = "the judge would have said something else than a grade"
UNDECIDED = "several grades are as likely as each other"
NO_NUMBERS = "the probabilities are no probabilities"
REASONS = (FAILED, WITHHELD, CUT, EMPTY, NO_GRADE, OUT_OF_RANGE, SEVERAL, UNLIKELY, UNDECIDED, NO_NUMBERS)
"""All that `reason_of` can say."""

LEAST_SHARE = 0.5
"""Of all that the judge would say next, in the place of the answer, grades have to make up this share: below it the
likeliest thing that it says may be no grade at all."""

_ROUNDING = 1e-3  # by which a sum of probabilities in single precision may be beyond 1
_BLANKS = " \t\r\n"


def grade_of(reply: Reply, prompt: JudgePrompt) -> Graded:
    """The grade of one pair. Probabilities, where there are any, and not the text beside them, decide."""
    if reply.error is not None:
        what = WITHHELD if reply.withheld else FAILED
        return _graded(reply, missing=f"{what}: {' '.join(reply.error.split())}")
    if reply.probabilities:
        return _likeliest(reply, prompt.highest)
    found = _written(reply, prompt)
    return _graded(reply, missing=found) if isinstance(found, str) else _graded(reply, found)


def reason_of(missing: str) -> str:
    """One of REASONS: what is missing, without what is of this pair alone."""
    return missing.partition(":")[0]


def expected(graded: Graded) -> float | None:
    """The mean of the grade over its probabilities; of a reply in text the grade itself."""
    if graded.probabilities:
        return math.fsum(grade * one for grade, one in enumerate(graded.probabilities))
    return None if graded.grade is None else float(graded.grade)


def _graded(
    reply: Reply, grade: int | None = None, missing: str | None = None, shares: tuple[float, ...] = ()
) -> Graded:
    return Graded(grade, missing, shares, reply.prompt_tokens, reply.generated_tokens, reply.truncated)


def _likeliest(reply: Reply, highest: int) -> Graded:
    """Of two neighbouring grades that are exactly as likely, the lower, as 16-bit logits often tie; of others none."""
    given = reply.probabilities
    total = math.fsum(given) if all(math.isfinite(one) and one >= 0 for one in given) else math.nan
    if len(given) != highest + 1 or not total <= 1 + _ROUNDING:
        return _graded(reply, missing=NO_NUMBERS)
    if total < LEAST_SHARE:
        return _graded(reply, missing=UNLIKELY)
    best = [grade for grade, one in enumerate(given) if one == max(given)]
    shares = tuple(one / total for one in given)
    if best[-1] - best[0] > 1:
        return _graded(reply, missing=UNDECIDED, shares=shares)
    return _graded(reply, best[0], shares=shares)


def _written(reply: Reply, prompt: JudgePrompt) -> int | str:
    """The grade of a reply in text, or what is wrong with it."""
    if not reply.finished:
        return CUT
    lines = reply.text.strip(_BLANKS).replace("\r\n", "\n").split("\n")
    if lines == [""]:
        return EMPTY
    before, after = map(re.escape, prompt.ending.split(GRADE))
    last = re.fullmatch(f"{before}([0-9]+){after}", lines[-1].rstrip(_BLANKS), re.ASCII)
    if last is None or (len(lines) > 1 and not prompt.reasoning):
        return NO_GRADE
    if len(last[1]) > 1 or int(last[1]) > prompt.highest:
        return OUT_OF_RANGE
    earlier = "\n".join(lines[:-1])
    return SEVERAL if any(_contradicts(one, last[1], prompt) for one in _lines(earlier)) else int(last[1])


def _lines(text: str) -> list[str]:
    """Without case, width and emphasis, as `__GRADE: 2__`."""
    return unicodedata.normalize("NFKC", text).casefold().replace("_", " ").splitlines()


def _contradicts(line: str, grade: str, prompt: JudgePrompt) -> bool:
    """Whether a line that looks like an ending says something else: "**My final grade: 2**", "Grade is 2"."""
    word = re.escape(" ".join(re.findall(r"\w+", prompt.ending.split(GRADE)[0].casefold())))
    found = re.match(rf"\W*(?:\w+\W+){{0,2}}?{word}\b\W*?(?:([:=])|is\b)(.*)", line)
    if not found or not word:
        return False
    said, digits = "".join(filter(str.isalnum, found[2])), re.findall(r"\d+", found[2])
    return said != grade if found[1] else bool(digits) and set(digits) != {grade}
