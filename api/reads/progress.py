"""The settlement log (`relayer.settlement_log`) for subscribers: what is new, what was missed, how things stand.

Two kinds of subject: an account, which sees its own fills in each change, and a market, which sees the numbers of the
fills. Both count their changes 1, 2, 3, ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, func, or_, select

from api.database import Reader, table
from api.order_json import TermsLookup
from cxdex.units import format_price, format_quantity
from relayer.settlement_log.tables import SettlementChange, SettlementFloor, SettlementLogRow, SettlementNotice
from relayer.tables import TradeRow

MOST_OPEN = 2_000  # fills in a snapshot: the newest; the others are in GET /v1/accounts/{account}/fills
MOST_MISSED = 1_000  # changes that are sent again to who resumes; beyond, a snapshot says it in less
MOST_MISSED_FILLS = 10_000

_change, _notice = table(SettlementChange), table(SettlementNotice)
_floor, _log, _trade = table(SettlementFloor), table(SettlementLogRow), table(TradeRow)


class Told(NamedTuple):
    """One message of a subject: its number, when it was written, its data."""

    number: int
    time_ms: int
    data: dict[str, Any]


class Standing(NamedTuple):
    """A snapshot: the state after message `number`."""

    number: int
    data: list[dict[str, Any]]


class Tail(NamedTuple):
    """What was written after a change. notices: (account, its number) by change."""

    changes: Sequence[Row[Any]]
    notices: dict[int, list[tuple[bytes, int]]]


def log_end(reader: Reader) -> tuple[str, int] | None:
    """(name of the log, its newest change). None while there is no log: no settler has ever run."""
    row = reader.first(select(_log.c.epoch))
    if row is None:
        return None
    newest = reader.first(select(func.max(_change.c.id)))
    return row.epoch, (newest[0] or 0) if newest else 0


def tail_after(reader: Reader, change: int, limit: int) -> Tail:
    changes = reader.rows(select(_change).where(_change.c.id > change).order_by(_change.c.id).limit(limit))
    notices: dict[int, list[tuple[bytes, int]]] = {}
    if changes:
        inside = _notice.c.change_id.between(changes[0].id, changes[-1].id)
        for row in reader.rows(select(_notice).where(inside)):
            notices.setdefault(row.change_id, []).append((bytes(row.account), row.number))
    return Tail(changes, notices)


def fills_of(
    reader: Reader, terms_of: TermsLookup, change: Row[Any], accounts: Collection[bytes]
) -> dict[bytes, list[dict[str, Any]]]:
    """Each account's fills in the change."""
    inside = and_(
        _trade.c.market == change.market, _trade.c.sequence.between(change.first_sequence, change.last_sequence)
    )
    found: dict[bytes, list[dict[str, Any]]] = {account: [] for account in accounts}
    for trade in reader.rows(select(_trade).where(inside).order_by(_trade.c.sequence)):
        for account in {trade.maker, trade.taker} & found.keys():
            found[account] += _sides(trade, account, terms_of)
    return found


def change_json(change: Row[Any], fills: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """With `fills` for an account, without for the market."""
    span = {"firstSequence": str(change.first_sequence), "lastSequence": str(change.last_sequence)}
    return {
        "market": change.market,
        "status": change.status,
        "transaction": "0x" + change.tx_hash.hex() if change.tx_hash else None,
        "block": change.block,
        "batch": change.batch_id,
        "reason": change.reason,
        "time": change.time_ms,
        **(span if fills is None else {"fills": fills}),
    }


# An account ---------------------------------------------------------------------------------------------------


def account_number(reader: Reader, account: bytes) -> int:
    row = reader.first(select(func.max(_notice.c.number)).where(_notice.c.account == account))
    return (row[0] or 0) if row else 0


def account_missed(reader: Reader, terms_of: TermsLookup, account: bytes, seq: int) -> list[Told] | None:
    """What the account was told after its message `seq`; None when not all of it is kept, or it is too much."""
    newest = account_number(reader, account)
    if not 0 <= newest - seq <= MOST_MISSED:
        return None
    joined = _notice.join(_change, _change.c.id == _notice.c.change_id)
    mine = and_(_notice.c.account == account, _notice.c.number > seq)
    changes = reader.rows(
        select(_change, _notice.c.number.label("mine")).select_from(joined).where(mine).order_by(_notice.c.number)
    )
    if len(changes) != newest - seq or _fills_in(changes) > MOST_MISSED_FILLS:
        return None
    told = []
    for change in changes:
        fills = fills_of(reader, terms_of, change, (account,))[account]
        told.append(Told(change.mine, change.time_ms, change_json(change, fills)))
    return told


def account_standing(reader: Reader, terms_of: TermsLookup, account: bytes) -> Standing:
    """The open fills of the account, the newest ones, under the last change that was written of each."""
    floors = {row.market: row.first_open for row in reader.rows(select(_floor))}
    trades = [trade for trade in _newest_trades(reader, account) if trade.sequence >= floors.get(trade.market, 0)]
    last = _last_changes(reader, {(trade.market, trade.sequence) for trade in trades})
    fills: dict[int, list[dict[str, Any]]] = {}
    for trade in reversed(trades):
        change = last.get((trade.market, trade.sequence))
        if change is not None:
            fills.setdefault(change.id, []).extend(_sides(trade, account, terms_of))
    changes = {change.id: change for change in last.values()}
    data = [change_json(changes[number], fills[number]) for number in sorted(fills)]
    return Standing(account_number(reader, account), data)


# A market -----------------------------------------------------------------------------------------------------


def market_number(reader: Reader, market: str) -> int:
    row = reader.first(select(func.max(_change.c.number)).where(_change.c.market == market))
    return (row[0] or 0) if row else 0


def market_missed(reader: Reader, market: str, seq: int) -> list[Told] | None:
    newest = market_number(reader, market)
    if not 0 <= newest - seq <= MOST_MISSED:
        return None
    here = and_(_change.c.market == market, _change.c.number > seq)
    changes = reader.rows(select(_change).where(here).order_by(_change.c.number))
    if len(changes) != newest - seq:
        return None
    return [Told(change.number, change.time_ms, change_json(change)) for change in changes]


def market_standing(reader: Reader, market: str) -> Standing:
    """The market's open fills, the newest ones, as runs that share their last change."""
    floor = reader.first(select(_floor.c.first_open).where(_floor.c.market == market))
    newest = reader.first(select(func.max(_change.c.last_sequence)).where(_change.c.market == market))
    number = market_number(reader, market)
    if floor is None or newest is None or newest[0] is None:
        return Standing(number, [])
    first = max(floor.first_open, newest[0] + 1 - MOST_OPEN)
    last = _last_changes(reader, {(market, sequence) for sequence in range(first, newest[0] + 1)})
    data: list[dict[str, Any]] = []
    before: Row[Any] | None = None
    for (_, sequence), change in sorted(last.items(), key=lambda entry: entry[0]):
        if before is None or before.id != change.id:
            data.append({**change_json(change), "firstSequence": str(sequence)})
        data[-1]["lastSequence"] = str(sequence)
        before = change
    return Standing(number, data)


def _last_changes(reader: Reader, fills: set[tuple[str, int]]) -> dict[tuple[str, int], Row[Any]]:
    lowest: dict[str, int] = {}
    for market, sequence in fills:
        lowest[market] = min(sequence, lowest.get(market, sequence))
    if not lowest:
        return {}
    near = or_(
        *(and_(_change.c.market == market, _change.c.last_sequence >= low) for market, low in sorted(lowest.items()))
    )
    last: dict[tuple[str, int], Row[Any]] = {}
    for change in reader.rows(select(_change).where(near).order_by(_change.c.id)):
        for sequence in range(max(change.first_sequence, lowest[change.market]), change.last_sequence + 1):
            if (change.market, sequence) in fills:
                last[change.market, sequence] = change
    return last


def _newest_trades(reader: Reader, account: bytes) -> list[Row[Any]]:
    """At most MOST_OPEN matches, newest first, from the first match that is open in any market on."""
    joined = _trade.join(_floor, and_(_floor.c.market == _trade.c.market, _floor.c.first_open == _trade.c.sequence))
    first = reader.first(select(func.min(_trade.c.match_id)).select_from(joined))
    if first is None or first[0] is None:
        return []
    found: dict[int, Row[Any]] = {}
    for role in (_trade.c.maker, _trade.c.taker):
        mine = select(_trade).where(role == account, _trade.c.match_id >= first[0])
        for row in reader.rows(mine.order_by(_trade.c.match_id.desc()).limit(MOST_OPEN)):
            found[row.match_id] = row
    return sorted(found.values(), key=lambda row: -int(row.match_id))[:MOST_OPEN]


def _sides(trade: Row[Any], account: bytes, terms_of: TermsLookup) -> list[dict[str, Any]]:
    """The account's side of the match; both when it traded with itself."""
    roles = [role for role, owner in (("MAKER", trade.maker), ("TAKER", trade.taker)) if owner == account]
    terms = terms_of(trade.market)
    return [
        {
            "matchId": str(trade.match_id),
            "sequence": str(trade.sequence),
            "orderId": "0x" + (trade.maker_digest if role == "MAKER" else trade.taker_digest).hex(),
            "side": "BUY" if trade.taker_is_buyer == (role == "TAKER") else "SELL",
            "role": role,
            "price": format_price(terms, trade.price),
            "quantity": format_quantity(terms, trade.quantity),
        }
        for role in roles
    ]


def _fills_in(changes: Iterable[Row[Any]]) -> int:
    return sum(change.last_sequence - change.first_sequence + 1 for change in changes)
