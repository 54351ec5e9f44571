"""How far fills are, as channels: `fills` (private, an account's own) and `settlements` (public, a market's).

Owns:     the streams of these channels, and the one reader that follows the settlement log for all of them.
Promises: each change once and in order, counted by the log itself: numbers and `epoch` outlive restarts of every
          process, so a client resumes at whichever API it meets. A subscriber costs some queries when it begins, and
          none after.
Never:    writes; asks anything for a subject that nobody follows here.

Why nothing is missed: a subscriber is entered before its snapshot is read, and who follows what is looked up after the
changes are read. What its snapshot holds already comes with a number at or below, and is dropped (see `api.following`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from api.database import Database
from api.feed import DURABLE_CHANNELS, Envelope, Stream
from api.markets import MarketDirectory
from api.reads import progress
from api.reads.settler import settler_row
from cxdex.problem import Problem

FILLS, SETTLEMENTS = "fills", "settlements"
LOOK_SECONDS = 0.2
PAUSE_SECONDS = 1.0
CHANGES_A_LOOK = 200

log = logging.getLogger("api")

_json = msgspec.json.Encoder()


class Start(NamedTuple):
    """What a subscriber begins with. is_reset: it asked for messages that are not kept."""

    is_reset: bool
    messages: Sequence[tuple[int, str]]
    seq: int


class SettlementFeed:
    """Used from one event loop only; what asks the database runs in threads."""

    def __init__(self, database: Database, markets: MarketDirectory) -> None:
        self.epoch: str | None = None  # None until there is a log
        self.messages = dict.fromkeys(DURABLE_CHANNELS, 0)  # made for subscribers; for the measures, as is the next
        self.settler_ms: int | None = None  # when the settler last said that it works
        self.delay_ms = 0  # from when the newest change was written until it was told
        self._position = 0
        self._database = database
        self._markets = markets
        self._streams: dict[tuple[str, str], Stream] = {}
        self._joined = asyncio.Event()

    def stream(self, channel: str, key: str) -> Stream:
        return self._streams.setdefault((channel, key), Stream(channel, key))

    @property
    def followed(self) -> int:
        """Streams that somebody follows here."""
        return sum(bool(stream.subscribers) for stream in self._streams.values())

    def release(self, stream: Stream) -> None:
        if not stream.subscribers:
            self._streams.pop((stream.channel, stream.key), None)

    def envelope(self, stream: Stream, kind: str, data: Any, seq: int) -> str:
        """A snapshot or a reset."""
        return self._message(stream, seq, seq, _now_ms(), kind, data)

    async def start(self, stream: Stream, resume: tuple[str, int] | None) -> Start:
        """Raises SETTLEMENT_UNKNOWN while there is no log, or the database is away."""
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                await self._joined.wait()
            return await asyncio.to_thread(self._read_start, stream, resume)
        except Problem as problem:
            if problem.code != "MARKET_UNKNOWN":
                raise
            raise Problem("SETTLEMENT_UNKNOWN", "a market of these fills is not known here yet") from None
        except TimeoutError:
            raise Problem("SETTLEMENT_UNKNOWN", "no settler has begun to tell how far fills are") from None
        except SQLAlchemyError:
            raise Problem("SETTLEMENT_UNKNOWN", "the settlement log cannot be read now") from None

    async def run(self) -> None:
        """Until cancelled."""
        said = False
        while True:
            try:
                busy = await self._look()
            except (SQLAlchemyError, Problem) as error:  # Problem: a market that is not known yet
                if not said:
                    log.error("the settlement log cannot be read: %s", str(error).splitlines()[0])
                said = True
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            said = False
            if not busy:
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> bool:
        """Takes in what was written since. True when there is more."""
        self.settler_ms, read = await asyncio.to_thread(self._read_tail)
        if read is None:
            return False
        epoch, end, tail = read
        if epoch != self.epoch or end < self._position:
            self._begin(epoch, end)
            return False
        wanted = self._wanted(tail)
        fills = await asyncio.to_thread(self._read_fills, wanted)
        for change in tail.changes:
            self._publish(change, tail.notices.get(change.id, []), fills)
        if tail.changes:
            self._position = tail.changes[-1].id
            self.delay_ms = _now_ms() - tail.changes[-1].time_ms
        return len(tail.changes) == CHANGES_A_LOOK

    def _begin(self, epoch: str, end: int) -> None:
        """The log is another one than before: the database was made anew."""
        is_new = self.epoch is not None
        self.epoch, self._position = epoch, end
        self._joined.set()
        for stream in tuple(self._streams.values()) if is_new else ():
            for subscriber in tuple(stream.subscribers):
                subscriber.resync(stream, "the settlement log began anew")

    def _wanted(self, tail: progress.Tail) -> list[tuple[Row[Any], list[bytes]]]:
        """Changes in which somebody who is followed here has fills, and who they are."""
        found = []
        for change in tail.changes:
            accounts = [account for account, _ in tail.notices.get(change.id, ()) if self._followed(account)]
            if accounts:
                found.append((change, accounts))
        return found

    def _followed(self, account: bytes) -> Stream | None:
        stream = self._streams.get((FILLS, "0x" + account.hex()))
        return stream if stream is not None and stream.subscribers else None

    def _publish(
        self, change: Row[Any], notices: Iterable[tuple[bytes, int]], fills: dict[tuple[int, bytes], Any]
    ) -> None:
        public = self._streams.get((SETTLEMENTS, change.market))
        if public is not None:
            self._deliver(public, change.number, change.time_ms, progress.change_json(change))
        for account, number in notices:
            stream = self._followed(account)
            if stream is not None and (change.id, account) in fills:
                data = progress.change_json(change, fills[change.id, account])
                self._deliver(stream, number, change.time_ms, data)

    def _deliver(self, stream: Stream, number: int, time_ms: int, data: Any) -> None:
        stream.seq = number
        message = self._message(stream, number, number - 1, time_ms, "event", data)
        self.messages[stream.channel] += 1
        for subscriber in tuple(stream.subscribers):
            subscriber.deliver(stream, number, message)

    def _message(self, stream: Stream, seq: int, prev: int, time_ms: int, kind: str, data: Any) -> str:
        raw = msgspec.Raw(_json.encode(data))
        return Envelope(stream.channel, stream.key, self.epoch or "", seq, prev, time_ms, kind, raw).encode()

    # In a thread ------------------------------------------------------------------------------------------

    def _read_tail(self) -> tuple[int | None, tuple[str, int, progress.Tail] | None]:
        with self._database.snapshot() as reader:
            settler = settler_row(reader)
            settler_ms = None if settler is None else int(settler.updated_ms)
            end = progress.log_end(reader)
            if end is None:
                return settler_ms, None
            is_known = end[0] == self.epoch and end[1] >= self._position
            empty = progress.Tail([], {})
            tail = progress.tail_after(reader, self._position, CHANGES_A_LOOK) if is_known else empty
            return settler_ms, (*end, tail)

    def _read_fills(self, wanted: Iterable[tuple[Row[Any], list[bytes]]]) -> dict[tuple[int, bytes], Any]:
        found: dict[tuple[int, bytes], Any] = {}
        with self._database.snapshot() as reader:
            for change, accounts in wanted:
                fills = progress.fills_of(reader, self._markets.terms_of, change, accounts)
                found |= {(change.id, account): its for account, its in fills.items()}
        return found

    def _read_start(self, stream: Stream, resume: tuple[str, int] | None) -> Start:
        with self._database.snapshot() as reader:
            end = progress.log_end(reader)
            if end is None or end[0] != self.epoch:
                raise Problem("SETTLEMENT_UNKNOWN", "the settlement log begins anew")
            if resume is not None and resume[0] == end[0]:
                missed = self._missed(reader, stream, resume[1])
                if missed is not None:
                    return self._resumed(stream, resume[1], missed)
            standing = self._standing(reader, stream)
        snapshot = self.envelope(stream, "snapshot", standing.data, standing.number)
        return Start(resume is not None, [(standing.number, snapshot)], standing.number)

    def _resumed(self, stream: Stream, seq: int, missed: Sequence[progress.Told]) -> Start:
        messages = [
            (told.number, self._message(stream, told.number, told.number - 1, told.time_ms, "event", told.data))
            for told in missed
        ]
        return Start(False, messages, messages[-1][0] if messages else seq)

    def _missed(self, reader: Any, stream: Stream, seq: int) -> list[progress.Told] | None:
        if stream.channel == SETTLEMENTS:
            return progress.market_missed(reader, stream.key, seq)
        return progress.account_missed(reader, self._markets.terms_of, bytes.fromhex(stream.key[2:]), seq)

    def _standing(self, reader: Any, stream: Stream) -> progress.Standing:
        if stream.channel == SETTLEMENTS:
            return progress.market_standing(reader, stream.key)
        return progress.account_standing(reader, self._markets.terms_of, bytes.fromhex(stream.key[2:]))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
