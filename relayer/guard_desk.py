"""Market-maker protection as gateways ask for it.

Promises: what is answered is on disk.
Never:    checks who asks (the gateway did) or decides when a protection trips (the engine does).
"""

from __future__ import annotations

import asyncio

from cxdex.problem import Problem
from relayer import wire
from relayer.engine.commands import AnyCommand, ResetGuard, SetGuard
from relayer.engine.quote_guard import GuardTerms
from relayer.refusal_budget import RefusalBudget
from relayer.safety_desk import require_known
from relayer.sequencer import Sequencer


class GuardDesk:
    """budget: of what accounts have set."""

    def __init__(self, sequencer: Sequencer, budget: RefusalBudget) -> None:
        self._sequencer = sequencer
        self._budget = budget

    async def answer(self, request: wire.GetGuards | wire.SetGuard | wire.ResetGuard) -> wire.GuardsReply:
        """Raises Problem when there is no such account, market or protection."""
        if not isinstance(request, wire.GetGuards):
            require_known(self._sequencer.engine, request.account)
        command = self._command(request)
        if command is not None:
            self._budget.take(request.account)
            await asyncio.shield(self._sequencer.submit([command]))
        states = [
            wire.GuardState(market, terms.window_ms, terms.lots, terms.notional, terms.cooldown_ms, until_ms)
            for market, terms, until_ms in self._sequencer.engine.guards(request.account)
        ]
        return wire.GuardsReply(request.id, states)

    def _command(self, request: wire.GetGuards | wire.SetGuard | wire.ResetGuard) -> AnyCommand | None:
        engine, now = self._sequencer.engine, self._sequencer.now_ms()
        match request:
            case wire.SetGuard(account=account, guard=guard):
                if guard.market not in [view.terms.symbol for view in engine.markets()]:
                    raise Problem("MARKET_UNKNOWN", "no such market is listed", field="market", given=guard.market)
                terms = GuardTerms(guard.window_ms, guard.lots, guard.notional, guard.cooldown_ms)
                return SetGuard(now, account, guard.market, terms if guard.window_ms else None)
            case wire.ResetGuard(account=account, market=market):
                if market not in [known for known, _, _ in engine.guards(account)]:
                    raise Problem(
                        "PROTECTION_UNKNOWN",
                        "the account has set no protection in this market",
                        field="market",
                        given=market,
                        allowed="PUT /v1/accounts/{account}/protection/{market} first",
                    )
                return ResetGuard(now, account, market)
            case _:
                return None
