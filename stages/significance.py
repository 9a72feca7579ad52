"""Is the difference between two systems real? Paired tests, intervals and the difference that could have been shown.

Two tests of "no difference": Student's paired t and the paired randomization test. On retrieval metrics they agree
with each other, where Wilcoxon's and the sign test mislead (Smucker, Allan and Carterette, CIKM 2007; Urbano, Lima and
Hanjalic, Statistical significance testing in information retrieval, SIGIR 2019). `in_words` and most callers speak of
the randomization test, which assumes no distribution and is defined for any number of queries.

No value is ever NaN or infinite. What cannot be computed is None:

    no queries                          DataError
    all differences 0                   both p = 1, interval (0, 0), effect size 0; minimum_detectable None
    one query, not 0                    p_randomization = 1; p_t, intervals, effect size, minimum_detectable None
    all differences equal, not 0        p_randomization = 2 / 2^n where exact; p_t, effect size, minimum_detectable None
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import special

from stages.errors import DataError
from stages.resampling import BootstrapIntervals, Differences, Interval, bootstrap_intervals, randomization_p

TIE = 1e-12
"""Differences smaller than this are rounding: the query is a tie."""

POWER = 0.8
"""The share of experiments that would find the minimum detectable difference (Cohen 1988, section 2.4)."""

K = TypeVar("K")
