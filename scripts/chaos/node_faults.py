"""What happens to the chain: reorgs, a node that hangs, a node that goes away and comes back with its state.

Owns:     the local node of the run, and how far back it can still go.
Promises: a reorg is never deeper than what the node remembers, and never reaches the exchange's own contracts. After
          it the chain's clock is put right, as that of a real chain would be.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from typing import Any

from cxdex.problem import Problem
from scripts.chain import Chain
from scripts.chaos.plan import DEEPEST_REORG, Fault
from scripts.chaos.tally import Tally
from scripts.stack.processes import Child

ATTEMPTS = 4
MOST_LATE_SECONDS = 2


class NodeFaults:
    def __init__(self, node: Child, chain: Chain, tally: Tally, seed: int) -> None:
        self._node = node
        self._chain = chain
        self._tally = tally
        self._dice = random.Random(f"transactions {seed}")
        self._floor = 0

    def make_room(self) -> None:
        """Blocks enough that the deepest reorg drops nothing that came before; the node forgets at its start."""
        self._floor = self._chain.block_number()
        self._chain.rpc("anvil_mine", hex(DEEPEST_REORG + 1))

    async def carry_out(self, fault: Fault) -> None:
        if fault.kind == "reorg":
            await asyncio.to_thread(self._reorg, fault)
        elif fault.kind == "rollback":
            await asyncio.to_thread(self._rollback, fault.depth)
        elif fault.kind == "hang":
            await self._hang(fault.seconds)
        else:
            await self._restart(fault.seconds)

    def _reorg(self, fault: Fault) -> None:
        for _ in range(ATTEMPTS):  # a block that comes in between moves the depth by one
            head = self._chain.block_number()
            depth = min(fault.depth, head - self._floor)
            dropped = [] if fault.keep == "none" else self._transactions(head, depth)
            kept = self._some(dropped) if fault.keep == "some" else dropped
            try:
                self._chain.rpc("anvil_reorg", depth, [(raw, offset) for raw, offset, _ in kept])
            except Problem as problem:
                self._tally.refused_reorgs[problem.detail[:90]] += 1
                continue
            self._tally.reorgs[depth] += 1
            self._tally.reorg_transactions += len(kept)
            break
        self._put_clock_right()

    def _rollback(self, depth: int) -> None:
        """The last blocks are gone and nothing is in their place yet: the node is behind, then on another chain."""
        depth = min(depth, self._chain.block_number() - self._floor)
        self._chain.rpc("anvil_rollback", depth)
        self._tally.rollbacks[depth] += 1
        self._put_clock_right()

    def _put_clock_right(self) -> None:
        late = int(time.time()) - self._chain.timestamp()
        if late > MOST_LATE_SECONDS:
            self._chain.rpc("evm_increaseTime", late)

    def _transactions(self, head: int, depth: int) -> list[tuple[str, int, str]]:
        """(raw, the new block that it goes into, sender) of the blocks to drop; some land later than they were."""
        found: list[tuple[str, int, str]] = []
        offset = 0
        for number in range(head - depth + 1, head + 1):
            block: dict[str, Any] = self._chain.rpc("eth_getBlockByNumber", hex(number), True)
            offset = max(offset, number - (head - depth + 1))
            for transaction in block["transactions"]:
                raw = self._chain.rpc("eth_getRawTransactionByHash", transaction["hash"])
                offset = min(depth - 1, offset + self._dice.choice((0, 0, 0, 1)))
                found.append((raw, offset, transaction["from"]))
        return found

    def _some(self, transactions: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
        """Of each sender the first ones: what comes behind a gap in the numbers could not be mined."""
        kept: dict[str, int] = defaultdict(int)
        for _, _, sender in transactions:
            kept[sender] += 1
        left = {sender: self._dice.randint(0, count) for sender, count in kept.items()}
        chosen = []
        for raw, offset, sender in transactions:
            if left[sender]:
                left[sender] -= 1
                chosen.append((raw, offset, sender))
        return chosen

    async def _hang(self, seconds: float) -> None:
        """It takes connections and says nothing."""
        assert self._node.pid is not None
        os.killpg(self._node.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.killpg(self._node.pid, signal.SIGCONT)
        self._tally.node_hangs += 1

    async def _restart(self, seconds: float) -> None:
        await asyncio.to_thread(self._node.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._node.start)
        await asyncio.to_thread(self.make_room)
        self._tally.node_restarts += 1
