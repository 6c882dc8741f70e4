"""Logging to standard error: text for people, JSON lines for collectors."""

from __future__ import annotations

import logging
import sys

import orjson

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


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
        form: `text` or `json`.

    Raises:
        ValueError: unknown level or format.
    """
    if level not in LEVELS or form not in ("text", "json"):
        raise ValueError(f"logging: level {level!r} is not one of {LEVELS}, or format {form!r} is not text or json")
    output = logging.StreamHandler(sys.stderr)
    if form == "json":
        output.setFormatter(JSONFormatter())
    else:
        output.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it reports each attempt; our own loops say it once
