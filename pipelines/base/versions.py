"""Files carry the version of their keys: an older one is read, a newer one is refused instead of misread."""

from __future__ import annotations

from stages.core.errors import DataError


def check_version(told: object, known: int, what: str) -> int:
    """The version that a file tells. Raises DataError, which calls the file `what`, for one that is not `known` yet."""
    if isinstance(told, bool) or not isinstance(told, int) or told < 1:
        raise DataError(f"{what}: schema_version {told!r:.40} is none. rerank-eval writes whole numbers from 1 on.")
    if told > known:
        raise DataError(
            f"{what} was written by a newer rerank-eval (schema_version {told}; this one knows {known}). Upgrade it: "
            "pip install --upgrade rerank-eval"
        )
    return told
