"""Where blocks come from: our logs with their headers, read so that a reorg in the middle cannot mix two chains.

Owns:     how much is asked for at once. It halves after any failure and grows while answers are small, so that a
          node with any limit converges.
Promises: the blocks of one answer are one chain, and each log belongs to the block it is given with.
          `ChainMoved` when they are not: ask again from the checkpoint.
Never:    decides whether the answer continues what is stored (see `indexer.follow`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, TypeVar

from indexer.events import Log
from indexer.node import Header, Node, NodeAway, NodeRefused

TARGET_LOGS = 4_000  # of one answer: more brings no speed and costs memory
MAX_RECENT_BLOCKS = 128
MAX_RANGE_BLOCKS = 20_000

T = TypeVar("T")


class ChainMoved(Exception):
    """The chain changed while it was being read."""


class Block(NamedTuple):
    header: Header
    logs: list[Log]


class Chunk(NamedTuple):
    """Consecutive blocks up to `end`. Blocks without our logs may be left out of `blocks`."""

    blocks: list[Block]
    end: Header


class Pace:
    """How many blocks to ask for: fewer after a failure, more while answers hold few logs."""

    def __init__(self, start: int, most: int) -> None:
        self.blocks = start
        self._most = most

    def succeeded(self, logs: int) -> None:
        if logs < TARGET_LOGS // 2:
            self.blocks = min(self.blocks * 2, self._most)
        elif logs > TARGET_LOGS:
            self.blocks = max(self.blocks * TARGET_LOGS // logs, 1)

    def failed(self) -> bool:
        """True when a smaller question is possible."""
        if self.blocks == 1:
            return False
        self.blocks = max(self.blocks // 2, 1)
        return True


class Source:
    def __init__(self, node: Node) -> None:
        self.node = node
        self._recent = Pace(16, MAX_RECENT_BLOCKS)
        self._range = Pace(512, MAX_RANGE_BLOCKS)

    def recent(self, first: int, last: int) -> Chunk:
        """Every block from `first` to at most `last`, logs asked for by block hash. For blocks that may still move."""
        return self._paced(self._recent, first, last, self._recent_chunk)

    def final(self, first: int, last: int) -> Chunk:
        """Blocks with our logs from `first` to at most `last`, by range. For blocks that move no more."""
        return self._paced(self._range, first, last, self._range_chunk)

    def _paced(self, pace: Pace, first: int, last: int, read: Callable[[int, int], Chunk]) -> Chunk:
        while True:
            try:
                chunk = read(first, min(last, first + pace.blocks - 1))
            except (NodeAway, NodeRefused):
                if not pace.failed():
                    raise
            else:
                pace.succeeded(sum(len(block.logs) for block in chunk.blocks))
                return chunk

    def _recent_chunk(self, first: int, last: int) -> Chunk:
        headers = self._headers(list(range(first, last + 1)))
        for before, after in pairwise(headers):
            if after.parent != before.hash:
                raise ChainMoved(f"block {after.number} does not follow block {before.number}")
        try:
            logs = self.node.logs_of_blocks(headers)
        except NodeRefused as error:
            # A hash that the node gave a moment ago and does not know now has been reorged away.
            if self._headers([last])[0].hash != headers[-1].hash:
                raise ChainMoved(str(error)) from error
            raise
        return Chunk([Block(*pair) for pair in zip(headers, logs, strict=True)], headers[-1])

    def _range_chunk(self, first: int, last: int) -> Chunk:
        found = self.node.logs_of_range(first, last)
        by_block: dict[int, list[Log]] = {}
        hashes: dict[int, bytes] = {}
        for log, block_hash in found:
            by_block.setdefault(log.block, []).append(log)
            if hashes.setdefault(log.block, block_hash) != block_hash:
                raise ChainMoved(f"block {log.block} has two hashes in one answer")
        headers = {header.number: header for header in self._headers(sorted({*by_block, last}))}
        for number, block_hash in hashes.items():
            if headers[number].hash != block_hash:
                raise ChainMoved(f"block {number} changed between two answers")
        blocks = [
            Block(headers[number], sorted(by_block[number], key=lambda log: log.log_index))
            for number in sorted(by_block)
        ]
        return Chunk(blocks, headers[last])

    def _headers(self, numbers: list[int]) -> list[Header]:
        headers = [header for header in self.node.headers(numbers) if header is not None]
        if len(headers) != len(numbers):
            raise ChainMoved("the node no longer has a block that it had a moment ago")
        return headers
