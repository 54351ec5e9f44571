"""Several nodes of one chain, used as one: which of them the settler believes now.

Owns:     each node's health, and the choice.
Promises: between two calls of `choose` every answer comes from one node, so that a plan never mixes two views of
          the chain. A node that does not answer, is behind, or has another history is left; the one in use stays
          in use otherwise. If those that answer are behind what was seen before, or contradict each other without
          a majority, nothing is chosen, and so nothing is signed. Most of them can be stuck: where their newest block
          is old and a few have one of just now, far above it on the same history, those few are believed.
Never:    sends anything by itself, or shows more of a node's URL than its host.

With one node there is no choice: it is believed, and its errors are the caller's to see.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cxdex.problem import Problem
from cxdex.rpc import Call, JsonRpc, RpcError

log = logging.getLogger("relayer.settler")

CHECK_EVERY_MS = 5_000
FIRST_REST_MS = 2_000
LONGEST_REST_MS = 60_000
MOST_LAG_BLOCKS = 3
FRESH_SECONDS = 90  # a newest block that is no further from now than this


@dataclass(slots=True)
class _Node:
    """head: its newest block, None while it does not answer. time: that block's, unix seconds."""

    rpc: JsonRpc
    head: int | None = None
    time: int = 0
    rest_ms: int = FIRST_REST_MS
    asleep_until_ms: int = 0


class Endpoints:
    """nodes: in the order of preference. depth: blocks below the head that all must agree on."""

    def __init__(self, nodes: Sequence[JsonRpc], now_ms: Callable[[], int], depth: int) -> None:
        self._nodes = [_Node(rpc) for rpc in nodes]
        self._now_ms = now_ms
        self._depth = depth
        self._current = self._nodes[0]
        self._check_at_ms = 0
        self._highest = 0
        self._agreed: tuple[int, str] | None = None
        self._stuck: list[str] = []
        self.switches = 0

    @property
    def name(self) -> str:
        return self._current.rpc.name

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """As `JsonRpc.call`, on the chosen node."""
        return self._ask(self._current, lambda rpc: rpc.call(method, params))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """As `JsonRpc.batch`, on the chosen node."""
        answers: list[Any] = self._ask(self._current, lambda rpc: rpc.batch(calls))
        return answers

    def choose(self) -> bool:
        """True when another node is used from now on: what was seen before must be asked again.

        Raises Problem: NODE_UNAVAILABLE, NODE_BEHIND or NODES_DISAGREE.
        """
        now_ms = self._now_ms()
        if len(self._nodes) == 1 or (now_ms < self._check_at_ms and self._current.head is not None):
            return False
        self._check_at_ms = 0  # a check that fails is repeated
        trusted = self._agreeing(self._near(now_ms))
        chosen = self._current if self._current in trusted else trusted[0]
        self._highest = max(self._highest, _credible([node.head or 0 for node in trusted]))
        self._check_at_ms = now_ms + CHECK_EVERY_MS
        if chosen is self._current:
            return False
        log.warning("using the node at %s instead of %s", chosen.rpc.name, self.name)
        self._current = chosen
        self.switches += 1
        return True

    def _near(self, now_ms: int) -> list[_Node]:
        """Those that answer and are not behind."""
        for node in self._nodes:
            if now_ms >= node.asleep_until_ms:
                block = self._try(node, lambda rpc: rpc.call("eth_getBlockByNumber", ["latest", False]))
                node.head, node.time = (int(block["number"], 16), int(block["timestamp"], 16)) if block else (None, 0)
        awake = [node for node in self._nodes if node.head is not None]
        if not awake:
            names = ", ".join(node.rpc.name for node in self._nodes)
            raise Problem("NODE_UNAVAILABLE", f"none of the nodes answers: {names}", allowed="start one of them")
        going_on = self._ahead_of_stuck(awake, now_ms // 1000)
        if going_on:
            return going_on
        best = max(self._highest, _credible([node.head or 0 for node in awake]))
        near = [node for node in awake if (node.head or 0) >= best - MOST_LAG_BLOCKS]
        if not near:
            heads = ", ".join(f"{node.rpc.name} at block {node.head}" for node in awake)
            raise Problem(
                "NODE_BEHIND",
                f"block {best} has been seen, but the nodes that answer are behind it: {heads}",
                allowed="wait for one to catch up; restart the settler if the chain was set back on purpose",
            )
        return near

    def _ahead_of_stuck(self, awake: Sequence[_Node], now: int) -> list[_Node]:
        """Those with a block of just now, when most have stood still below it; none when most go on.

        They must have the block that the others stood on, `depth` below: who brings another history is outvoted.
        """
        fresh = [node for node in awake if abs(now - node.time) <= FRESH_SECONDS]
        stuck = [node for node in awake if node not in fresh]
        top = max((node.head or 0 for node in stuck), default=0)
        higher = [node for node in fresh if (node.head or 0) > top + MOST_LAG_BLOCKS]
        found: list[_Node] = []
        if higher and len(fresh) <= len(stuck):
            number = max(0, top - self._depth)
            known = {self._hash_at(node, number) for node in stuck} - {None}
            found = [node for node in higher if self._hash_at(node, number) in known]
        names = [node.rpc.name for node in stuck] if found else []
        if names and names != self._stuck:
            log.error("ALERT: most nodes stand still at block %d or below: %s", top, ", ".join(names))
        self._stuck = names
        return found

    def _agreeing(self, near: Sequence[_Node]) -> list[_Node]:
        """Those that have the same history."""
        number = max(0, min(node.head or 0 for node in near) - self._depth)
        found = {id(node): self._hash_at(node, number) for node in near}
        answering = [node for node in near if found[id(node)] is not None]
        votes = Counter(found[id(node)] for node in answering)
        if not votes:
            raise Problem("NODE_UNAVAILABLE", f"no node has block {number}", allowed="wait for one to answer")
        history, count = votes.most_common(1)[0]
        if 2 * count <= len(answering):
            self._refuse_to_choose(number, answering)
        trusted = [node for node in answering if found[id(node)] == history]
        if 2 * count <= len(self._nodes) and not self._continues(trusted[0]):
            self._refuse_to_choose(self._agreed[0] if self._agreed else number, answering)
        for node in answering:
            if node not in trusted:
                log.error("ALERT: the node at %s has another block %d than the others", node.rpc.name, number)
        if history is not None:
            self._agreed = number, history
        return trusted

    def _continues(self, node: _Node) -> bool:
        """Whether its history is the one of before: fewer than a majority may not rewrite it."""
        if self._agreed is None:
            return True
        number, history = self._agreed
        return self._hash_at(node, number) == history

    def _hash_at(self, node: _Node, number: int) -> str | None:
        block = self._try(node, lambda rpc: rpc.call("eth_getBlockByNumber", [hex(number), False]))
        return str(block["hash"]) if block else None

    def _refuse_to_choose(self, number: int, nodes: Sequence[_Node]) -> None:
        names = ", ".join(node.rpc.name for node in nodes)
        raise Problem(
            "NODES_DISAGREE",
            f"the nodes contradict each other, or themselves, about block {number}: {names}",
            allowed="find out which is right and start with that one only",
        )

    def _try(self, node: _Node, ask: Callable[[JsonRpc], Any]) -> Any:
        try:
            return self._ask(node, ask)
        except (Problem, RpcError):
            return None

    def _ask(self, node: _Node, ask: Callable[[JsonRpc], Any]) -> Any:
        try:
            answer = ask(node.rpc)
        except Problem:
            node.head = None
            node.asleep_until_ms = self._now_ms() + node.rest_ms
            node.rest_ms = min(2 * node.rest_ms, LONGEST_REST_MS)
            raise
        node.rest_ms = FIRST_REST_MS
        return answer


def _credible(heads: Sequence[int]) -> int:
    """The newest block that more than one node has seen, if there are three or more: one of them must not make all the
    others look late by claiming a block that is not there."""
    ranked = sorted(heads, reverse=True)
    return ranked[(len(ranked) - 1) // 2]
