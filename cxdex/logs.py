"""The log of a process: one record a line on stderr, as text for people or as JSON for machines.

Owns:     the option --log-format, the two formats, and how a record says what it is about.
Promises: a record is one line of JSON however long its traceback; ids stand in fields of their own, in the same words
          everywhere: order, orders, account, market, match, batch, transaction.
Never:    logs a key, a token or a signature.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

FORMATS = ("text", "json")

_encode = msgspec.json.Encoder().encode


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format",
        choices=FORMATS,
        default=os.environ.get("CXDEX_LOG_FORMAT", FORMATS[0]),
        help="of the log on stderr (default %(default)s)",
    )


def configure(log_format: str) -> None:
    """For the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "alembic.runtime.plugins"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def about(**fields: Any) -> dict[str, dict[str, Any]]:
    """For `extra` of a log call: what the record is about. Bytes are written as 0x hex; None is left out."""
    return {"about": {name: readable(value) for name, value in fields.items() if value is not None}}


def readable(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [readable(one) for one in value]
    return value


class TextLines(logging.Formatter):
    """`2026-11-21 10:00:00,000 INFO relayer: the message  order=0x… match=7`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        line = super().formatMessage(record)
        fields = _fields(record)
        return line + "  " + " ".join(f"{name}={_word(value)}" for name, value in fields.items()) if fields else line


class JsonLines(logging.Formatter):
    """`{"time":"2026-11-21T10:00:00.000Z","level":"INFO","logger":"relayer","message":"…","order":"0x…"}`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "about", {})
    return fields


def _word(value: Any) -> str:
    """In quotes where it would read as something else: people choose names too."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    plain = text.isprintable() and not set(text) & {" ", '"', "="}
    return text if plain else _encode(text).decode()
