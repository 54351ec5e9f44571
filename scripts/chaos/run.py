"""One run: load and faults together, then quiet, then the questions.

Owns:     the order of things, and what is asked after each fault.
Promises: the questions are asked only when nothing moves any more; what does not come to rest in time is an answer too.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cxdex.problem import Problem
from scripts.chain import Chain
from scripts.chaos import report, verdict
from scripts.chaos.load import Load
from scripts.chaos.node_faults import NodeFaults
from scripts.chaos.plan import Fault, chain_faults, kills, process_faults
from scripts.chaos.process_faults import ProcessFaults
from scripts.chaos.replay import Replay
from scripts.chaos.tally import Tally
from scripts.chaos.verdict import Question, rows
from scripts.stack.run import Stack

WARM_UP_SECONDS = 5.0
SAMPLE = 12  # orders asked for after a restart
PROGRESS_SECONDS = 30.0
QUIET_SECONDS = 240.0
SET_ASIDE_SECONDS = 400  # longer than a co-signed withdrawal may be kept back
BOTS = ("taker", "market maker")
KILLED = ("api", "engine", "settler")


class Run:
    def __init__(self, stack: Stack, load: Load, chain: Chain, seed: int, say: Callable[[str], None]) -> None:
        self._stack, self._load, self._chain, self._seed, self._say = stack, load, chain, seed, say
        self._tally = Tally()
        self._dice = random.Random(f"samples {seed}")
        self._processes = ProcessFaults(stack, self._tally)
        self._node = NodeFaults(stack.child("node"), chain, self._tally, seed)
        self._began = self._seconds = 0.0

    async def under_load(self, seconds: float, most_kills: int) -> None:
        """Load and faults; returns when both have ended and everything runs."""
        self._node.make_room()
        await self._load.known()
        self._load.start()
        self._began = time.monotonic()
        await asyncio.sleep(WARM_UP_SECONDS)
        telling = asyncio.create_task(self._tell())
        if most_kills:
            streams = [self._kill_until(kills(self._seed, name), most_kills) for name in KILLED]
        else:
            end = self._began + seconds
            streams = [self._until(process_faults(self._seed), end), self._until(chain_faults(self._seed), end)]
        await asyncio.gather(*streams)
        telling.cancel()
        self._seconds = time.monotonic() - self._began

    async def judge(self, path: Path) -> bool:
        """Everything comes to rest; then the questions. Prints and writes the report."""
        self._say("the load ends, everything settles")
        await self._load.finish()
        for name in BOTS:
            await asyncio.to_thread(self._stack.child(name).stop)
        questions = [("everything has settled", await self._come_to_rest()), *await self._ask()]
        lines = report.summary(
            self._tally, self._load.told, self._seconds, self._figures(), verdict.skipped(self._stack.layout)
        )
        answers, good = report.verdicts(questions)
        for line in ("", *lines, "", *answers):
            self._say(line)
        report.write(path, self._seed, lines, questions)
        return good

    # ------------------------------------------------------------------ faults

    async def _until(self, faults: Iterator[Fault], end: float) -> None:
        for fault in faults:
            if time.monotonic() + fault.pause > end:
                return
            await asyncio.sleep(fault.pause)
            await self._carry_out(fault)

    async def _kill_until(self, faults: Iterator[Fault], most: int) -> None:
        for fault in faults:
            await asyncio.sleep(fault.pause)
            if sum(self._tally.kills.values()) >= most:
                return
            await self._carry_out(fault)

    async def _carry_out(self, fault: Fault) -> None:
        with (self._stack.layout.logs / "faults.log").open("a") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {fault}\n")
        if fault.victims:
            await self._processes.carry_out(fault)
            await self._look_back()
        else:
            try:
                await self._node.carry_out(fault)
            except Problem as problem:
                self._tally.wrong.append(f"the node did not do as told ({fault}): {problem}")

    async def _look_back(self) -> None:
        told = self._load.told
        sample = self._dice.sample(sorted(told.orders), min(SAMPLE, len(told.orders)))
        self._tally.checks += 1
        for order_id in sample:
            lines = await verdict.look_back(self._load.traders[0].exchange, told, order_id)
            self._tally.orders_checked += lines is not None
            told.wrong += lines or []
        self._tally.wrong += await asyncio.to_thread(verdict.no_fill_repeated, self._stack.layout)
        self._tally.wrong += self._load.failures()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            told, tally = self._load.told, self._tally
            self._say(
                f"{time.monotonic() - self._began:5.0f} s  {len(told.orders)} orders, {len(told.unknown)} unknown, "
                f"{sum(tally.kills.values())} kills, {sum(tally.reorgs.values())} reorgs, "
                f"{len(told.wrong) + len(tally.wrong)} wrong"
            )

    # ------------------------------------------------------------------ quiet

    async def _come_to_rest(self) -> list[str]:
        """Fills settled and final, co-signed withdrawals paid or returned. What does not, after a long while."""
        end = time.monotonic() + QUIET_SECONDS
        why = await self._wait(end, self._unsettled)
        if not why:
            self._chain.rpc("evm_increaseTime", SET_ASIDE_SECONDS)
            why = await self._wait(end, self._set_aside)
        return why

    async def _wait(self, end: float, look: Callable[[], list[str]]) -> list[str]:
        while why := await asyncio.to_thread(look):
            if time.monotonic() > end:
                return why
            await asyncio.to_thread(self._chain.rpc, "anvil_mine", "0x2")
            await asyncio.sleep(1.0)
        return []

    def _unsettled(self) -> list[str]:
        layout = self._stack.layout
        waiting = len(rows(layout, verdict.UNSETTLED))
        ((open_batches,),) = rows(layout, "SELECT count(*) FROM batch WHERE status NOT IN ('FINAL', 'FAILED')")
        ((behind,),) = rows(layout, "SELECT head - block FROM checkpoint")
        found = {f"{waiting} fills not settled": waiting, f"{open_batches} batches not final": open_batches}
        return [line for line, count in (found | {f"the indexer is {behind} behind": behind > 2}).items() if count]

    def _set_aside(self) -> list[str]:
        """Asked by the question that reads the engine's balances anyway."""
        return verdict.set_asides(self._stack.layout)

    # ------------------------------------------------------------------ questions

    async def _ask(self) -> list[Question]:
        layout, told = self._stack.layout, self._load.told
        questions: list[Question] = [
            ("nothing contradicted what a trader had been told", told.wrong),
            ("no process ended by itself, every one started again", self._tally.wrong + self._load.failures()),
            ("every acknowledged order is there, and is what was told", await verdict.acknowledged(self._load)),
            ("every fill settled once, with its own terms, and none twice", verdict.fills(layout, told)),
            ("make audit: tables, contracts, solvency and the engine's balances", verdict.audit(layout)),
            ("an index made anew from the chain has the same rows", verdict.fresh_index(layout)),
        ]
        terms = {market.symbol: market.terms for market in await self._load.traders[0].exchange.markets()}
        replay = await asyncio.to_thread(Replay, layout)
        questions.append(
            ("the books are those of the replayed journal", await verdict.books(self._load, replay.books(terms)))
        )
        questions.append(("who only listened knows orders and balances as they are", await verdict.heard(self._load)))
        questions.append(("and how far every fill is, each word once", await verdict.heard_of_fills(self._load)))
        await asyncio.to_thread(self._stack.child("engine").stop)
        replay = await asyncio.to_thread(Replay, layout)
        questions.append(("the tables are what the replayed journal makes", replay.tables()))
        questions.append(("the engine's state hash is that of a replay", replay.state_hash()))
        questions.append(("no log has a traceback", verdict.logs(layout.logs)))
        return questions

    def _figures(self) -> dict[str, int]:
        layout = self._stack.layout
        ((trades, voided),) = rows(layout, "SELECT count(*), coalesce(sum(voided), 0) FROM trade")
        ((batches,),) = rows(layout, "SELECT count(*) FROM batch")
        feeds = [listener.feed for listener in self._load.listeners]
        return {
            "trades": trades,
            "voided": voided,
            "batches": batches,
            "reconnects": sum(feed.reconnects for feed in feeds),
            "gaps": sum(feed.gaps for feed in feeds),
        }
