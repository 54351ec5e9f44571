"""Cancels as gateways ask for them: by id, by name, all.

Owns:     which cancels need a command, and how a command's events become the answer.
Promises: what is there, or on its way, is cancelled before anything else is asked: a database that is away holds back
          no cancel. An id that nobody has seen blocks its order for a while (see `engine.cancelling`). Cancelling what
          is not there is an answer, not an error, and what cancels nothing is not written down.
Never:    checks who asks (the gateway did).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cxdex.problem import Problem
from relayer import wire
from relayer.engine.commands import AnyCommand, Cancel, CancelAll
from relayer.engine.events import OrderClosed
from relayer.engine.orders import LIVE
from relayer.framing import wire_problem
from relayer.placements import Placements
from relayer.sequencer import Sequencer

_Closed = dict[bytes, wire.OrderState]
_Problems = dict[bytes, Problem]
"""By id, what stands against an order's being cancelled or even looked for."""


class CancelDesk:
    def __init__(self, sequencer: Sequencer, placements: Placements) -> None:
        self._sequencer = sequencer
        self._engine = sequencer.engine
        self._placements = placements

    async def cancel(self, request: wire.CancelOrders) -> wire.CancelReply:
        """A result for each id, then one or more for each name."""
        account = request.account
        there = [digest for digest in request.digests if self._is_there(account, digest)]
        unseen = [digest for digest in dict.fromkeys(request.digests) if self._engine.order_state(digest) is None]
        coming = self._placements.has_coming(account)
        names = [name for name in request.client_order_ids if coming or self._engine.has_open(account, name)]
        closed: _Closed = {}
        if there or names:
            closed = await self._closed_by(Cancel(self._sequencer.now_ms(), account, there, names))
        problems: _Problems = {}
        if self._engine.knows(account):
            await self._cancel_unseen(account, [one for one in unseen if one not in there], closed, problems)
        results = [await self._result(account, digest, closed, problems) for digest in request.digests]
        named = set(request.digests)
        for name in dict.fromkeys(request.client_order_ids):
            found = [s for s in closed.values() if s.client_order_id == name and s.digest not in named]
            results += [wire.CancelResult(state.digest, state, None, name) for state in found] or [_no_such_name(name)]
        return wire.CancelReply(request.id, results)

    async def cancel_all(self, request: wire.CancelAllOrders) -> wire.CancelReply:
        closed: _Closed = {}
        has_coming = self._placements.has_coming(request.account)
        if has_coming or self._engine.open_orders(request.account, request.market):
            command = CancelAll(self._sequencer.now_ms(), request.account, request.market, request.side)
            closed = await self._closed_by(command)
        results = [wire.CancelResult(digest, state, None) for digest, state in closed.items()]
        return wire.CancelReply(request.id, results)

    def _is_there(self, account: bytes, digest: bytes) -> bool:
        view = self._engine.order_state(digest)
        if view is None:
            return self._placements.has_coming(account, digest)
        return view.status in LIVE and view.order.account == account

    async def _cancel_unseen(
        self, account: bytes, digests: Sequence[bytes], closed: _Closed, problems: _Problems
    ) -> None:
        """Those that the tables have not got either may come behind their cancel, and the engine has to know then."""
        wanted: list[bytes] = []
        away: Problem | None = None
        for digest in digests:
            try:
                stored = None if away is not None else await self._placements.look(digest)
            except Problem as problem:  # each would wait as long
                away, stored = problem, None
            if away is not None:
                problems[digest] = away
            try:  # it may have come while the tables were asked
                if self._is_there(account, digest) or (stored is None and self._engine.order_state(digest) is None):
                    wanted += self._placements.cancel(account, digest, self._sequencer.now_ms()).digests
            except Problem as problem:
                problems[digest] = problem
        if wanted:
            closed |= await self._closed_by(Cancel(self._sequencer.now_ms(), account, wanted))

    async def _closed_by(self, command: AnyCommand) -> _Closed:
        """The orders that a cancel closed; what had expired anyway is not among them."""
        (applied,) = await asyncio.shield(self._sequencer.submit([command]))
        closed = {e.digest for e in applied.events if isinstance(e, OrderClosed) and e.status == "CANCELLED"}
        return {state.digest: state for state in applied.states if state.digest in closed}

    async def _result(self, account: bytes, digest: bytes, closed: _Closed, problems: _Problems) -> wire.CancelResult:
        if digest in closed:
            return wire.CancelResult(digest, closed[digest], None)
        if digest in problems:
            return wire.CancelResult(digest, None, wire_problem(problems[digest]))
        return await self._placements.not_cancelled(account, digest)


def _no_such_name(name: str) -> wire.CancelResult:
    problem = wire.WireProblem("ORDER_UNKNOWN", "no open order of the account has this name", "clientOrderId", name)
    return wire.CancelResult(b"", None, problem, name)
