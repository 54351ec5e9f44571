"""Log records as text and as JSON, with what they are about in fields of their own."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from cxdex.logs import JsonLines, TextLines, about


def record(message: str, *values: object, extra: dict | None = None, failed: bool = False) -> logging.LogRecord:
    log = logging.getLogger("relayer")
    info = None
    if failed:
        try:
            raise ValueError("two\nlines")
        except ValueError:
            info = sys.exc_info()
    return log.makeRecord("relayer", logging.WARNING, "file", 1, message, values, info, extra=extra)


def test_json_is_one_line_with_the_ids_in_fields() -> None:
    extra = about(order=b"\xaa" * 32, orders=[b"\x01", b"\x02"], match=7, batch=None)
    line = JsonLines().format(record("match %d\nwaits", 7, extra=extra))
    assert "\n" not in line
    written = json.loads(line)
    assert written.pop("time").endswith("Z")
    assert written == {
        "level": "WARNING", "logger": "relayer", "message": "match 7\nwaits",
        "order": "0x" + "aa" * 32, "orders": ["0x01", "0x02"], "match": 7,
    }  # fmt: skip


def test_a_traceback_stays_on_the_line_in_json() -> None:
    line = JsonLines().format(record("broken", failed=True))
    assert "\n" not in line
    assert "ValueError: two\nlines" in json.loads(line)["error"]


def test_text_names_the_fields_behind_the_message_and_before_a_traceback() -> None:
    lines = TextLines().format(record("broken", extra=about(orders=[b"\x01", b"\x02"]), failed=True)).splitlines()
    assert lines[0].endswith("WARNING relayer: broken  orders=0x01,0x02")
    assert lines[-1] == "lines"
    assert TextLines().format(record("plain")).endswith("relayer: plain")


@pytest.mark.parametrize("name", ["two words", "a=b", 'say "x"', "line\nbreak"])
def test_a_name_that_somebody_chose_cannot_look_like_another_field_or_line(name: str) -> None:
    line = TextLines().format(record("m", extra=about(client_order_id=name)))
    assert line.endswith("client_order_id=" + json.dumps(name))
