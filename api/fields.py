"""Reading untrusted JSON: the body, its fields, addresses, ids and integers, each with its own refusal.

Owns:     the step from bytes to checked Python values.
Promises: any bytes at all give a value or a Problem; nothing else is raised.
Never:    knows what an order means (see `order_json`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec

from cxdex.problem import Problem
from cxdex.signature import MAX_CONTRACT_SIGNATURE_BYTES
from cxdex.units import parse_decimal

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_DIGEST = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)  # one class and no groups: it runs for every order
_LONGEST_SIGNATURE = 2 + 2 * MAX_CONTRACT_SIGNATURE_BYTES


def decode_json(body: bytes) -> Any:
    """The JSON value. Raises BODY_MALFORMED."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem("BODY_MALFORMED", f"the body is not JSON: {error}", allowed="one JSON object in UTF-8") from None


def read_object(value: Any, required: Collection[str], optional: Collection[str], where: str) -> dict[str, Any]:
    """`value` as an object with exactly these fields. `where` names the object in the refusal."""
    if not isinstance(value, dict):
        raise Problem(
            "BODY_MALFORMED", f"{where} must be a JSON object", given=type_name(value), allowed="an object {...}"
        )
    if len(value) == len(required) and all(name in value for name in required):
        return value
    for name in value:
        if name not in required and name not in optional:
            raise Problem(
                "FIELD_UNKNOWN",
                f"{where} has a field that is not known here",
                field=name[:80],
                given=name[:80],
                allowed=", ".join((*required, *optional)),
            )
    for name in required:
        if name not in value:
            raise Problem("FIELD_MISSING", f"{where} lacks the field {name}", field=name, allowed=", ".join(required))
    return value


def read_list(value: Any, field: str, most: int) -> list[Any]:
    """1 to `most` entries."""
    if isinstance(value, list) and 1 <= len(value) <= most:
        return value
    given = f"{len(value)} entries" if isinstance(value, list) else type_name(value)
    raise Problem("FIELD_INVALID", f"{field} must be a list", field=field, given=given, allowed=f"1 to {most} entries")


def read_text(value: Any, field: str, code: str = "FIELD_INVALID") -> str:
    if not isinstance(value, str):
        raise Problem(code, f"{field} must be a string", field=field, given=type_name(value), allowed="a string")
    return value


def read_address(value: Any, field: str, code: str = "FIELD_INVALID") -> bytes:
    """20 bytes from 0x and 40 hexadecimal digits, any case."""
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return bytes.fromhex(value[2:])
    given = value[:80] if isinstance(value, str) else type_name(value)
    raise Problem(code, f"{field} is not an address", field=field, given=given, allowed="0x and 40 hexadecimal digits")


def read_digest(value: str, field: str = "id") -> bytes:
    """An order id: 32 bytes from 0x and 64 hexadecimal digits."""
    if _DIGEST.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise Problem(
        "FIELD_INVALID",
        "an order's id is its EIP-712 digest",
        field=field,
        given=value[:80],
        allowed="0x and 64 hexadecimal digits",
    )


def read_signature(value: Any) -> bytes:
    """The bytes of a signature: 65 (r, s, v) by a key, up to 1024 by a contract wallet. Raises SIGNATURE_MALFORMED."""
    if not isinstance(value, str) or not _SIGNATURE.fullmatch(value) or not _is_whole_bytes(value):
        raise Problem(
            "SIGNATURE_MALFORMED",
            "a signature is 65 bytes: r, s, v; a contract wallet's may be longer",
            field="signature",
            given=value[:140] if isinstance(value, str) else type_name(value),
            allowed=f"0x and 130 hexadecimal digits; for a contract wallet up to {2 * MAX_CONTRACT_SIGNATURE_BYTES}",
        )
    return bytes.fromhex(value[2:])


def _is_whole_bytes(text: str) -> bool:
    return len(text) % 2 == 0 and len(text) <= _LONGEST_SIGNATURE


def read_integer(value: Any, field: str, *, most: int, least: int = 0) -> int:
    """A whole number written as a decimal string. Raises NUMBER_NOT_STRING, DECIMAL_INVALID or FIELD_INVALID."""
    if not isinstance(value, str):
        raise Problem(
            "NUMBER_NOT_STRING",
            f"{field} must be a decimal string: JSON numbers lose digits",
            field=field,
            given=type_name(value),
            allowed='a string such as "12"',
        )
    number = parse_decimal(value, 0, field)
    if not least <= number <= most:
        raise Problem(
            "FIELD_INVALID", f"{field} is out of range", field=field, given=value, allowed=f"{least} to {most}"
        )
    return number


def read_small_integer(value: Any, field: str, *, most: int = 2**53 - 1, least: int = 0) -> int:
    """A whole number below 2**53 (a time, a chain id): a JSON integer loses nothing, so both forms are taken."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if -(2**63) < value < 2**64 else "x"
    return read_integer(value, field, most=most, least=least)


def type_name(value: Any) -> str:
    """What a JSON value is, in JSON's words, with the value when it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(2**128) < value < 2**128 else "a very long number"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "an array"
