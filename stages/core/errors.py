"""The errors that rerank-eval raises on purpose, but for the few that one module alone knows.

* RerankEvalError            exit code 1
  x InputError               exit code 2: what the user gave
    + ConfigError            the run config, or a --set override
    + DataError              a missing or unreadable file, missing columns
      - NothingLeftError     nothing to rerank is left of the data; what was set aside says why
  x NotInstalledError        exit code 2: a package that an extra of rerank-eval brings
  x ScoringError             exit code 1: the engine and what stands before it
    + QueryTooLongError      one query does not fit the model; its documents cannot be scored
    + TextTooLongError       a query or document has more characters than `serve.max_text_chars`
    + EngineError            the engine did not start, is gone or answered nonsense
      - EngineDiedError      it died while it scored: one of the pairs may be the reason
    + CanaryError            the engine answers, but its scores cannot be right
    + IdentityError          a replica's scores are decided by something else than the job's
  x TooManyFailuresError     exit code 3: results are kept
  x TrackingError            exit code 4: results are complete on disk
  x CannotTellError          exit code 5: results are complete, and the gate's queries are too few for a verdict
  x RegressedError           exit code 6: results are complete, and worse than the gate allows
  x InterruptedRunError      exit code 130: what was in flight is finished, and the same command continues

Where several hold, `gravest` is the one that is raised.

Every message says what is wrong, where, and how to mend it, in one line: the command line prints it without a
traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


def first_line(error: BaseException) -> str:
    """What an exception says, in one line: the first of its message, or its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class RerankEvalError(Exception):
    """Base of all; `exit_code` is what the command line exits with."""

    exit_code = 1


class InputError(RerankEvalError):
    """What the user gave cannot be used."""

    exit_code = 2


class ConfigError(InputError):
    """The run config or an override is wrong."""


class DataError(InputError):
    """A data file is missing, unreadable or holds nothing to work on."""


class NothingLeftError(DataError):
    """Nothing to work on is left of the data, which may follow from what was set aside before."""


class NotInstalledError(RerankEvalError):
    """A package is missing that comes with an extra of rerank-eval; the message has the command that installs it."""

    exit_code = 2


class ScoringError(RerankEvalError):
    """Scores could not be had."""


class QueryTooLongError(ScoringError):
    """The query, its instruction and the template alone exceed the model's limit."""


class TextTooLongError(ScoringError):
    """A text has more characters than `serve.max_text_chars`."""


class EngineError(ScoringError):
    """The engine did not start, is gone, or answered nonsense."""


class EngineDiedError(EngineError):
    """The engine died while it scored a call; one of its pairs may be the reason."""


class CanaryError(ScoringError):
    """The engine's scores for the built-in canary pairs cannot be right."""


class IdentityError(ScoringError):
    """What decides a replica's scores is not what decides the job's: they would be taken for each other's."""


class TooManyFailuresError(RerankEvalError):
    """More pairs failed than `rerank.max_failed_share` allows; results are on disk."""

    exit_code = 3


class TrackingError(RerankEvalError):
    """MLflow could not be reached or refused; results are complete on disk."""

    exit_code = 4


class CannotTellError(RerankEvalError):
    """A run's gate cannot tell whether it may pass; results are complete on disk."""

    exit_code = 5


class RegressedError(RerankEvalError):
    """A run did not pass its gate; results are complete on disk."""

    exit_code = 6


class InterruptedRunError(RerankEvalError):
    """The user stopped the job; what was in flight was finished and kept."""

    exit_code = 130


GRAVEST = (2, 1, 3, 6, 4, 5)
"""Exit codes, the one that is told first where several hold: what stops every further night comes first, and what a
later look mends last.
"""


def gravest(faults: Iterable[RerankEvalError]) -> RerankEvalError | None:
    """The first by GRAVEST; None where there is none."""
    return min(faults, key=lambda fault: GRAVEST.index(fault.exit_code), default=None)
