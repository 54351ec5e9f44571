"""The log's own rows: what it said, to whom, and how far it has read. The keeper alone writes them.

Promises: changes, notices and the place in the sources are written together or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, delete, exists, func, insert, select, update

from relayer.settlement_log.sources import EDGES, table
from relayer.settlement_log.tables import SettlementChange, SettlementFloor, SettlementLogRow, SettlementNotice
from relayer.settlement_log.words import Run, Word

CHANGES, NOTICES = table(SettlementChange), table(SettlementNotice)
FLOORS, LOG = table(SettlementFloor), table(SettlementLogRow)

_ONLY = 1
_PARAMETERS = 500
_ROWS_A_CUT = 5_000


@dataclass(slots=True)
class Place:
    """How far the log has read its sources, and its last change. See `SettlementLogRow`."""

    epoch: str
    match_id: int = 0
    edge: int = 0
    finalized: int = -1
    change: int = 0


@dataclass(slots=True)
class Entry:
    """A change and the accounts that have fills in it."""

    run: Run
    accounts: Sequence[bytes]


@dataclass(slots=True)
class Page:
    """What one look adds. floors: markets whose first open fill is another now."""

    entries: list[Entry] = field(default_factory=list)
    floors: dict[str, int] = field(default_factory=dict)


def read_place(connection: Connection) -> Place | None:
    """None while there is no log."""
    row = connection.execute(select(LOG)).first()
    if row is None:
        return None
    newest = connection.scalar(select(func.max(CHANGES.c.id))) or 0
    return Place(row.epoch, row.match_id, row.batch_change, row.finalized, newest)


def begin(connection: Connection, floors: Mapping[str, int], match_id: int) -> None:
    """A log that knows nothing yet. `floors`: where each market's open fills begin, all after `match_id`."""
    row = {"epoch": secrets.token_hex(8), "match_id": match_id, "batch_change": 0, "finalized": -1}
    connection.execute(insert(LOG).values(id=_ONLY, **row))
    _put_floors(connection, floors)


def read_floors(connection: Connection) -> dict[str, int]:
    return {row.market: row.first_open for row in connection.execute(select(FLOORS))}


def last_words(connection: Connection, market: str, first: int) -> dict[int, Word]:
    """The last word on each fill of the market from `first` on."""
    here = and_(CHANGES.c.market == market, CHANGES.c.last_sequence >= first)
    words: dict[int, Word] = {}
    for row in connection.execute(select(CHANGES).where(here).order_by(CHANGES.c.id)):
        word = Word(row.status, row.tx_hash, row.block, row.reason, row.batch_id)
        words |= dict.fromkeys(range(max(first, row.first_sequence), row.last_sequence + 1), word)
    return words


def write(connection: Connection, place: Place, page: Page, time_ms: int) -> None:
    """`place` is moved on to the last change. Raises IntegrityError when somebody else has written."""
    numbers = _market_numbers(connection, {entry.run.market for entry in page.entries})
    notices = _account_numbers(connection, {account for entry in page.entries for account in entry.accounts})
    changes, told = [], []
    for entry in page.entries:
        run, word = entry.run, entry.run.word
        place.change += 1
        numbers[run.market] += 1
        span = {"market": run.market, "first_sequence": run.first, "last_sequence": run.last}
        fields = {"status": word.status, "tx_hash": word.transaction, "block": word.block, "reason": word.reason}
        row = {"id": place.change, "number": numbers[run.market], "batch_id": word.batch, "time_ms": time_ms}
        changes.append({**row, **span, **fields})
        for account in entry.accounts:
            notices[account] += 1
            told.append({"account": account, "number": notices[account], "change_id": place.change})
    if changes:
        connection.execute(insert(CHANGES), changes)
    if told:
        connection.execute(insert(NOTICES), told)
    _put_floors(connection, page.floors)
    moved = {"match_id": place.match_id, "batch_change": place.edge, "finalized": place.finalized}
    connection.execute(update(LOG).where(LOG.c.id == _ONLY).values(**moved))
    connection.execute(delete(EDGES).where(EDGES.c.id < place.edge))  # the last one stays: SQLite reuses numbers


def cut(connection: Connection, before_ms: int) -> int:
    """Removes some of what was said before then of fills that are no longer open. Returns how many changes went.

    An account's last notice and a market's last change stay: they say which number is the next.
    """
    later = CHANGES.alias()
    closed = exists().where(FLOORS.c.market == CHANGES.c.market, FLOORS.c.first_open > CHANGES.c.last_sequence)
    followed = exists().where(later.c.market == CHANGES.c.market, later.c.number > CHANGES.c.number)
    old = select(CHANGES.c.id).where(CHANGES.c.time_ms < before_ms, closed, followed)
    gone = list(connection.scalars(old.order_by(CHANGES.c.id).limit(_ROWS_A_CUT)))
    for start in range(0, len(gone), _PARAMETERS):
        connection.execute(delete(CHANGES).where(CHANGES.c.id.in_(gone[start : start + _PARAMETERS])))
    if gone:
        newer = NOTICES.alias()
        answered = exists().where(newer.c.account == NOTICES.c.account, newer.c.number > NOTICES.c.number)
        orphaned = ~exists().where(CHANGES.c.id == NOTICES.c.change_id)
        connection.execute(delete(NOTICES).where(NOTICES.c.change_id <= gone[-1], answered, orphaned))
    return len(gone)


def _put_floors(connection: Connection, floors: Mapping[str, int]) -> None:
    for market, first in floors.items():
        if connection.execute(update(FLOORS).where(FLOORS.c.market == market).values(first_open=first)).rowcount == 0:
            connection.execute(insert(FLOORS).values(market=market, first_open=first))


def _market_numbers(connection: Connection, markets: Iterable[str]) -> dict[str, int]:
    newest = select(func.max(CHANGES.c.number))
    return {market: connection.scalar(newest.where(CHANGES.c.market == market)) or 0 for market in markets}


def _account_numbers(connection: Connection, accounts: Iterable[bytes]) -> dict[bytes, int]:
    wanted = sorted(accounts)
    found = dict.fromkeys(wanted, 0)
    for start in range(0, len(wanted), _PARAMETERS):
        some = NOTICES.c.account.in_(wanted[start : start + _PARAMETERS])
        query = select(NOTICES.c.account, func.max(NOTICES.c.number)).where(some).group_by(NOTICES.c.account)
        found |= {bytes(account): int(number) for account, number in connection.execute(query)}
    return found
