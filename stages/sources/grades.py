"""A judgement as it stands in a file -> a grade."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real

from stages.core.errors import DataError
from stages.core.records import Location

LARGEST_GRADE = 2**31 - 1


def parse_grade(value: object, where: Location) -> int | None:
    """A judgement as an integer (`1.0` is 1), None where it is no number. Raises DataError for a fraction."""
    if not isinstance(value, str | int | float | Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number) or abs(number) > LARGEST_GRADE:
        return None
    if not number.is_integer() or (isinstance(value, Decimal) and value != number):
        raise DataError(f"{where}: judgement {value} is a fraction; grades are integers: multiply or round them first")
    return int(number)
