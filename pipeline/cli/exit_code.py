"""Exit codes (libraries.md section 3) and which failure leads to which."""

from __future__ import annotations

from enum import IntEnum

from pipeline.log.contract import BrokenTopicError, LogUnreachableError, WriterFencedError
from pipeline.settings import SettingsError


class ExitCode(IntEnum):
    """What a command's exit status says."""

    OK = 0
    FAILED = 1
    FINDINGS = 2
    USAGE = 64
    BAD_INPUT = 65
    UNREACHABLE = 69
    TIMED_OUT = 75
    REFUSED = 77
    BAD_CONFIGURATION = 78


class BadInputError(ValueError):
    """The input of a command cannot be used; one line with file, place and remedy."""


class UsageError(ValueError):
    """The arguments contradict each other."""


class UnreachableError(RuntimeError):
    """What a command asks does not answer; one line with its address and the remedy."""


class RefusedError(RuntimeError):
    """The command would do something that is not allowed."""


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (BadInputError, ExitCode.BAD_INPUT),
    (LogUnreachableError, ExitCode.UNREACHABLE),
    (UnreachableError, ExitCode.UNREACHABLE),
    (TimeoutError, ExitCode.TIMED_OUT),
    (RefusedError, ExitCode.REFUSED),
    (SettingsError, ExitCode.BAD_CONFIGURATION),
    (BrokenTopicError, ExitCode.BAD_CONFIGURATION),
    (WriterFencedError, ExitCode.FAILED),
    (OSError, ExitCode.FAILED),
)


def exit_code_of(error: BaseException) -> ExitCode | None:
    """Give the exit code for a failure that a user can mend; None for a defect, which deserves its traceback."""
    if isinstance(error, BaseExceptionGroup):
        codes = [code for inner in error.exceptions if (code := exit_code_of(inner)) is not None]
        return codes[0] if len(codes) == len(error.exceptions) else None
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def message_of(error: BaseException) -> str:
    """Give the one line for standard error."""
    if isinstance(error, BaseExceptionGroup):
        return message_of(error.exceptions[0])
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(text.split()) or type(error).__name__
