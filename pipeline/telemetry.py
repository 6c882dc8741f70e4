"""Logging to standard error: text for people, JSON lines for collectors."""

from __future__ import annotations

import logging
import sys

import orjson

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")


class JSONFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; an exception becomes the field `error`, its traceback stays on one line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure_logging(level: str, form: str) -> None:
    """Send all logging to standard error.

    Args:
        level: one of LEVELS.
        form: one of FORMATS.

    Raises:
        ValueError: unknown level or format.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r}: use one of {', '.join(LEVELS)}")
    if form not in FORMATS:
        raise ValueError(f"log format {form!r}: use one of {', '.join(FORMATS)}")
    output = logging.StreamHandler(sys.stderr)
    if form == "json":
        output.setFormatter(JSONFormatter())
    else:
        output.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level)
    # It reports each attempt on each broker; what comes of them is said once by our own loops.
    logging.getLogger("aiokafka").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
