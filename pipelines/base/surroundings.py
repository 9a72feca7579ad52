"""What this process says to the libraries that it is about to import: once, before any of them is."""

from __future__ import annotations

import os

from pipelines.base.process import QUIET
from serve_app.engine import places
from stages.telemetry.cores import core_share, usable_cores

# Of OpenMP, of numpy's two libraries, of numba, and of those in Rust: each counts the machine's cores by itself, and
# none of them a quota.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")


def settle() -> None:
    """None reports home, each writes where it can, and has as many threads as a quota leaves. What is set stays.

    Raises ConfigError where no folder can be written.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    places.settle()
    if (share := core_share()) < len(usable_cores()):
        for name in THREADS:
            os.environ.setdefault(name, str(share))
