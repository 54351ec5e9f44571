"""The operator's limits: from a JSON file to what the engine is told.

Owns:     the names in the file and the limits that hold without one.
Promises: refuses what it does not understand and says where; a limit that is left out is the default, null is none.
Never:    tells the engine (the service does, by a command in the journal).

    {"tiers": [{"maxOrderNotional": "1000000", "maxOpenOrders": 100, "maxDailyVolume": "10000000",
                "priceBandBps": 2000, "maxOrdersPerSecond": 100, "orderBurst": 1000},
               {"maxDailyVolume": "50000000"}],
     "accounts": {"0x7099...79C8": {"maxOpenOrders": 500, "maxDailyVolume": null}},
     "indexMaxAgeSeconds": 300}

`tiers` by fee tier from 0; the last one counts for all above it. USDC as decimal strings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from cxdex.problem import Problem
from cxdex.units import parse_usdc
from relayer.engine.limit_terms import INDEX_SECONDS, NO_LIMITS, Limits, LimitTable

OFF = "off"
DEFAULTS = Limits(
    order_notional=1_000_000 * 10**6,
    open_orders=100,
    daily_volume=10_000_000 * 10**6,
    band_bps=2_000,
    orders_per_second=100,
    order_burst=1_000,
)
DEFAULT_TABLE = LimitTable((DEFAULTS,))
MOST_BPS = 1_000_000
MOST_ORDERS = 100_000
MOST_SECONDS = 30 * 86_400
MOST_TIERS = 5
MOST_ACCOUNTS = 50_000  # the table is one record of the journal, and those are bounded

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_NAMES = {
    "maxOrderNotional": "order_notional",
    "maxOpenOrders": "open_orders",
    "maxDailyVolume": "daily_volume",
    "priceBandBps": "band_bps",
    "maxOrdersPerSecond": "orders_per_second",
    "orderBurst": "order_burst",
}
_MONEY = ("order_notional", "daily_volume")
_MOST = {"open_orders": MOST_ORDERS, "band_bps": MOST_BPS, "orders_per_second": MOST_ORDERS, "order_burst": MOST_ORDERS}
_NEVER_NULL = ("order_burst",)


def load_limits(choice: str | None) -> LimitTable:
    """None: the defaults. "off": none at all. Else the path of a file. Raises Problem LIMITS_INVALID."""
    if choice is None:
        return DEFAULT_TABLE
    if choice == OFF:
        return NO_LIMITS
    path = Path(choice)
    try:
        return read_limits(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        raise Problem("LIMITS_INVALID", f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise Problem("LIMITS_INVALID", f"{path} is not JSON: {error}") from None
    except Problem as problem:
        raise Problem("LIMITS_INVALID", f"{path}: {problem.detail}", field=problem.field) from None


def read_limits(value: Any) -> LimitTable:
    """Raises Problem."""
    top = _object(value, "the file", ("tiers", "accounts", "indexMaxAgeSeconds"))
    tiers = top.get("tiers", [{}])
    if not isinstance(tiers, list) or not 1 <= len(tiers) <= MOST_TIERS:
        raise Problem("LIMITS_INVALID", f"tiers must be a list of 1 to {MOST_TIERS} objects", field="tiers")
    accounts = _object(top.get("accounts", {}), "accounts")
    if len(accounts) > MOST_ACCOUNTS:
        raise Problem("LIMITS_INVALID", f"at most {MOST_ACCOUNTS} accounts have limits of their own", field="accounts")
    seconds = _count(top.get("indexMaxAgeSeconds", INDEX_SECONDS), "indexMaxAgeSeconds", MOST_SECONDS)
    overrides = {_address(name): _limits(shown, f"accounts.{name}") for name, shown in accounts.items()}
    return LimitTable(
        tuple(_limits(shown, f"tiers.{number}") for number, shown in enumerate(tiers)),
        tuple(sorted(overrides.items(), key=lambda pair: pair[0])),
        seconds,
    )


def _address(text: str) -> bytes:
    if _ADDRESS.fullmatch(text) is None:
        raise Problem("LIMITS_INVALID", f"accounts has {text[:64]!r}, which is no address", field="accounts")
    return bytes.fromhex(text[2:])


def _limits(value: Any, where: str) -> Limits:
    changes: dict[str, int | None] = {}
    for name, shown in _object(value, where, tuple(_NAMES)).items():
        field = _NAMES[name]
        if shown is None and field not in _NEVER_NULL:
            changes[field] = None
        elif field in _MONEY:
            changes[field] = parse_usdc(shown, f"{where}.{name}")
        else:
            changes[field] = _count(shown, f"{where}.{name}", _MOST[field])
    return msgspec.structs.replace(DEFAULTS, **changes)


def _object(value: Any, where: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Problem("LIMITS_INVALID", f"{where} must be an object", field=where)
    unknown = [name for name in value if known is not None and name not in known]
    if unknown:
        allowed = ", ".join(known or ())
        raise Problem("LIMITS_INVALID", f"{where} has {unknown[0]!r}; known are {allowed}", field=where)
    return value


def _count(value: Any, where: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Problem("LIMITS_INVALID", f"{where} must be a whole number from 0 to {most}, or null", field=where)
    return value
