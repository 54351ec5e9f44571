"""Keeps the settlement log: looks at what it is made of, and writes down what is new about each fill.

Owns:     which fills are open (not final yet) and the last word on each.
Promises: each change is written once, in order, also when this process is killed at any point: a change and the place
          in the sources are one transaction. After it has looked, the last word on a fill is what the tables say:
          what REST answers too. A change of the settler's is never passed over; of what the chain did between two
          looks the way that `words.way` knows is told.
Never:    believes anybody but the indexer that a fill is on the chain; asks a node; changes a row of anybody else's.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cxdex.problem import Problem
from relayer.schema import prepare
from relayer.settlement_log import rows
from relayer.settlement_log.rows import Entry, Page, Place
from relayer.settlement_log.sources import Checkpoint, Edge, Match, Position, Sources, has_chain_tables
from relayer.settlement_log.words import FINAL, MATCHED, MINED, ON_CHAIN, SKIPPED, SUBMITTED, WAITS, Word, runs, way

log = logging.getLogger("relayer.settlement_log")

LOOK_SECONDS = 0.2
PAUSE_SECONDS = 2.0  # after the database did not answer
MATCHES_A_LOOK = 5_000
EDGES_A_LOOK = 500
KEEP_DAYS = 7
CUT_EVERY_MS = 10 * 60 * 1_000
_DAY_MS = 86_400_000

Fill = tuple[str, int]
"""(market, number in its settlement sequence)"""
Written = Callable[[str, int], None]
"""(status that was written, of how many fills)"""


@dataclass(slots=True)
class OpenFill:
    """word: the last that was written of it; None before the first."""

    maker: bytes
    taker: bytes
    word: Word | None


class Keeper:
    """One at a time on one database. `run` in a thread, or `look` by hand."""

    def __init__(
        self, database: Engine, now_ms: Callable[[], int], written: Written = lambda _word, _fills: None
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._written = written
        self._place: Place | None = None
        self._open: dict[Fill, OpenFill] = {}
        self._first_open: dict[str, int] = {}
        self._floors: dict[str, int] = {}  # as they are in the table
        self._seen: Position | None = None
        self._judged: tuple[int, Checkpoint | None] | None = None  # what every open fill was compared with
        self._has_chain = False
        self._cut_ms = 0

    @property
    def open_fills(self) -> int:
        return len(self._open)

    def run(self, stop: Event) -> None:
        """Until `stop` is set. A database that is away is asked again; nothing else ends it either, or the log would
        stand still while the settler goes on."""
        said = ""
        while not stop.is_set():
            try:
                busy = self.look()
                self._forget_old()
            except (SQLAlchemyError, Problem) as error:
                if said != str(error):
                    log.error("the settlement log is not kept: %s; trying again", str(error).splitlines()[0])
                said = str(error)
                stop.wait(PAUSE_SECONDS)
                continue
            except Exception:
                log.exception("the settlement log is not kept: a fault of ours; trying again")
                stop.wait(PAUSE_SECONDS)
                continue
            if said:
                log.info("the settlement log goes on")
                said = ""
            if not busy:
                stop.wait(LOOK_SECONDS)

    def look(self) -> bool:
        """Writes what is new. True when there is more to read at once."""
        try:
            return self._look()
        except Exception:
            self._place = None  # what is in memory may not be what is in the tables: read it again
            raise

    def _look(self) -> bool:
        if self._place is None:
            self._place = self._load()
        self._has_chain = self._has_chain or has_chain_tables(self._database)
        with self._reading() as sources:
            seen = sources.position()
            if seen == self._seen:
                return False
            matches = sources.matches_after(self._place.match_id, MATCHES_A_LOOK)
            edges = sources.edges_after(self._place.edge, EDGES_A_LOOK)
            said = self._say(sources, matches, edges, seen)
        self._write(self._page(said), matches, edges, seen[2])
        has_more = len(matches) == MATCHES_A_LOOK or len(edges) == EDGES_A_LOOK
        self._seen = None if has_more else seen
        return has_more

    def _write(
        self, page: Page, matches: Sequence[Match], edges: Sequence[Edge], checkpoint: Checkpoint | None
    ) -> None:
        place = self._place
        assert place is not None
        if matches:
            place.match_id = matches[-1].match_id
        if edges:
            place.edge = edges[-1].id
        if checkpoint is not None:
            place.finalized = max(place.finalized, checkpoint.finalized)
        self._close(place.finalized)
        page.floors = dict(self._first_open.items() - self._floors.items())
        with self._database.begin() as connection:
            rows.write(connection, place, page, self._now_ms())
        self._floors = dict(self._first_open)
        for entry in page.entries if self._written is not None else ():
            self._written(entry.run.word.status, entry.run.last - entry.run.first + 1)

    # What is new ------------------------------------------------------------------------------------------

    def _say(
        self, sources: Sources, matches: Iterable[Match], edges: Iterable[Edge], seen: Position
    ) -> dict[Fill, list[Word]]:
        """The words to be said of each fill, in order."""
        said: dict[Fill, list[Word]] = defaultdict(list)
        fresh: dict[str, int] = {}
        for match in matches:
            fill = match.market, match.sequence
            if match.sequence >= self._first_open.setdefault(*fill) and fill not in self._open:
                self._open[fill] = OpenFill(match.maker, match.taker, None)
                fresh.setdefault(*fill)
                self._tell(said, fill, WAITS)
        for edge in edges:
            for market, first, last in edge.spans:
                for sequence in range(max(first, self._first_open.get(market, last + 1)), last + 1):
                    self._follow(said, (market, sequence), edge.word)
        is_moved = seen[1:] != self._judged
        self._judge(said, sources, self._first_open if is_moved else fresh, seen[2])
        self._judged = seen[1:]
        return said

    def _follow(self, said: dict[Fill, list[Word]], fill: Fill, word: Word) -> None:
        """What became of a batch. It counts for fills that are not on the chain, and a failure only of their own."""
        entry = self._open.get(fill)
        if entry is None or entry.word is None or entry.word.status in ON_CHAIN:
            return
        if word.status == SUBMITTED or entry.word.batch == word.batch:
            self._tell(said, fill, WAITS if word.status == MATCHED else word)

    def _judge(
        self, said: dict[Fill, list[Word]], sources: Sources, first: Mapping[str, int], checkpoint: Checkpoint | None
    ) -> None:
        """What the tables say now of the fills from these numbers on."""
        carried = sources.carried(first)
        chain = self._chain(sources, first, checkpoint)
        for fill, entry in self._open.items():
            if fill[1] < first.get(fill[0], fill[1] + 1):
                continue
            if chain is not None and fill in chain:
                batch = carried.get(fill, WAITS).batch
                self._tell(said, fill, chain[fill]._replace(batch=batch))
            elif chain is not None or entry.word is None or entry.word.status not in ON_CHAIN:
                self._tell(said, fill, carried.get(fill, WAITS))

    def _tell(self, said: dict[Fill, list[Word]], fill: Fill, word: Word) -> None:
        entry = self._open.get(fill)
        if entry is None:
            return
        words = [word] if entry.word is None else way(entry.word, word)
        if words:
            said[fill] += words
            entry.word = words[-1]

    def _chain(
        self, sources: Sources, first: Mapping[str, int], checkpoint: Checkpoint | None
    ) -> dict[Fill, Word] | None:
        """What is on the chain of the open fills. None while the indexer derives its tables anew, and has not got as
        far as it was: what was mined is then not taken back."""
        assert self._place is not None
        if checkpoint is None or checkpoint.finalized < self._place.finalized:
            return None
        found: dict[Fill, Word] = {}
        for market, sequence in first.items():
            for number, word in sources.settled(market, sequence).items():
                is_final = word.status == MINED and word.block is not None and word.block <= checkpoint.finalized
                found[market, number] = word._replace(status=FINAL) if is_final else word
        return found

    def _page(self, said: Mapping[Fill, list[Word]]) -> Page:
        """Round by round: every fill's first word, then every fill's second, and so on; who is new comes before, so
        that the fills of a batch are one run."""
        page = Page()
        turns: dict[int, dict[Fill, Word]] = defaultdict(dict)
        for fill, words in said.items():
            for turn, word in enumerate(words, start=int(words[0].status != MATCHED)):
                turns[turn][fill] = word
        for _, words_of_turn in sorted(turns.items()):
            for run in runs(words_of_turn):
                accounts: set[bytes] = set()
                for sequence in range(run.first, run.last + 1):
                    entry = self._open[run.market, sequence]
                    accounts |= {entry.maker, entry.taker}
                page.entries.append(Entry(run, sorted(accounts)))
        return page

    def _close(self, finalized: int) -> None:
        """Forgets fills about which nothing more will be said: what is final, from the lowest number on."""
        for market, first in self._first_open.items():
            sequence = first
            while _is_closed(self._open.get((market, sequence)), finalized):
                del self._open[market, sequence]
                sequence += 1
            self._first_open[market] = sequence

    # Starting ---------------------------------------------------------------------------------------------

    def _load(self) -> Place:
        """From the tables. Makes a log that begins with the fills that are open now when there is none."""
        prepare(self._database, migrates=False)
        self._open, self._first_open, self._seen, self._judged = {}, {}, None, None
        self._has_chain = has_chain_tables(self._database)
        with self._reading() as sources:
            place = rows.read_place(sources.connection)
            if place is not None:
                self._remember(sources, place)
                return place
            floors, match_id = _beginning(sources)
        with self._database.begin() as connection:
            rows.begin(connection, floors, match_id)
        return self._load()

    def _remember(self, sources: Sources, place: Place) -> None:
        self._floors = rows.read_floors(sources.connection)
        self._first_open = dict(self._floors)
        for market, first in self._first_open.items():
            words = rows.last_words(sources.connection, market, first)
            for match in sources.matches_from(market, first, place.match_id):
                fill = OpenFill(match.maker, match.taker, words.get(match.sequence))
                self._open[market, match.sequence] = fill

    def _forget_old(self) -> None:
        now = self._now_ms()
        if now - self._cut_ms < CUT_EVERY_MS:
            return
        with self._database.begin() as connection:
            gone = rows.cut(connection, now - KEEP_DAYS * _DAY_MS)
        if gone == 0:
            self._cut_ms = now

    @contextmanager
    def _reading(self) -> Iterator[Sources]:
        with self._database.connect().execution_options(read_only=True) as connection:
            yield Sources(connection, self._has_chain)


def _beginning(sources: Sources) -> tuple[dict[str, int], int]:
    """Where each market's open fills begin, and a match before all of them."""
    newest, _, _ = sources.position()
    floors: dict[str, int] = {}
    first_open = newest + 1
    for market in sources.markets():
        last = sources.last_final(market)
        floors[market] = sources.first_of(market) if last is None else last + 1
        match_id = sources.match_of(market, floors[market])
        first_open = first_open if match_id is None else min(first_open, match_id)
    return floors, first_open - 1


def _is_closed(fill: OpenFill | None, finalized: int) -> bool:
    if fill is None or fill.word is None:
        return False
    word = fill.word
    return word.status == FINAL or (word.status == SKIPPED and word.block is not None and word.block <= finalized)
