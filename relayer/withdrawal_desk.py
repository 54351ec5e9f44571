"""Instant withdrawals as gateways ask for them.

Owns:     how long a co-signature lives.
Promises: signs only what the engine has set aside in a command that is on disk, so that no crash can let the same money
          out twice: a signature that was never sent is found again by asking with the same nonce, or runs out.
          What an account without a deposit asks for is not written down.
Never:    checks who asks: the gateway did, and the Vault pays only when the account itself sends the transaction.
"""

from __future__ import annotations

import asyncio

from cxdex.problem import Problem
from relayer import wire
from relayer.cosigner import Cosigner
from relayer.engine.commands import SetAsideWithdrawal
from relayer.engine.core import SetAside
from relayer.engine.events import WithdrawalRefused
from relayer.refusal_budget import RefusalBudget
from relayer.safety_desk import require_known
from relayer.sequencer import Sequencer

LIFETIME_SECONDS = 120


class WithdrawalDesk:
    """budget: of what accounts have asked for."""

    def __init__(self, sequencer: Sequencer, cosigner: Cosigner | None, budget: RefusalBudget) -> None:
        self._sequencer = sequencer
        self._cosigner = cosigner
        self._budget = budget

    async def answer(self, request: wire.WithdrawInstantly) -> wire.WithdrawalReply:
        """Raises Problem when the engine refuses."""
        if self._cosigner is None:
            raise Problem(
                "WITHDRAWAL_INSTANT_OFF",
                "this exchange co-signs no withdrawals",
                allowed="Vault.requestWithdraw, and Vault.claimWithdraw after the delay",
            )
        held = await self._set_aside(request)
        return wire.WithdrawalReply(request.id, held.deadline, self._cosigner.sign(held))

    async def _set_aside(self, request: wire.WithdrawInstantly) -> SetAside:
        require_known(self._sequencer.engine, request.account)
        self._budget.take(request.account)
        now = self._sequencer.now_ms()
        command = SetAsideWithdrawal(
            now,
            request.account,
            request.asset,
            request.amount,
            request.as_cxpt,
            request.recipient,
            request.nonce,
            now // 1000 + LIFETIME_SECONDS,
        )
        (applied,) = await asyncio.shield(self._sequencer.submit([command]))
        for event in applied.events:
            if isinstance(event, WithdrawalRefused):
                raise Problem(event.code, event.detail, field=event.field, given=event.given, allowed=event.allowed)
        held = self._sequencer.engine.set_aside(request.account, request.nonce)
        if held is None:
            raise Problem("ENGINE_UNAVAILABLE", "the withdrawal is decided already; ask again")
        return held
