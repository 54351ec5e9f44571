"""Instant withdrawals: money that leaves the engine's count before the exchange co-signs its way out.

Owns:     what is set aside, for whom, under which nonce and until when.
Promises: nothing is set aside that a matched fill may still need: whenever and in whatever order the chain sees the
          withdrawal and the fills, no fill is skipped for it. What fills on their way have brought stays until they
          have settled; the rest of the balance may go.
          An amount that is set aside is in no order's reach, and comes back exactly once: when a block later than the
          deadline has been seen without the withdrawal. Asking again with the same nonce changes nothing.
Never:    knows a key or a clock; the engine's process signs, and block times come in commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from cxdex.facts import WithdrawnInstantly
from cxdex.fees import TIER_THRESHOLDS
from cxdex.market import CXPT_ASSET, USDC_ASSET
from cxdex.problem import Problem
from cxdex.units import format_asset, format_usdc
from relayer.engine.events import WithdrawalRefused, WithdrawalReturned, WithdrawalSetAside

if TYPE_CHECKING:
    from relayer.engine.accounts import Account
    from relayer.engine.commands import SeeBlock, SetAsideWithdrawal
    from relayer.engine.state import State
    from relayer.engine.turn import Turn

MOST_A_ACCOUNT = 8
# A co-signature is good for any block up to its deadline, and a short reorg may still bring such a block.
REORG_SECONDS = 60


class SetAside(msgspec.Struct, frozen=True, array_like=True):
    """One co-signed withdrawal on its way. amount in the asset's units, deadline in unix seconds of the chain."""

    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int
    deadline: int


def set_aside(turn: Turn, command: SetAsideWithdrawal) -> None:
    wanted = SetAside(
        command.account,
        command.asset,
        command.amount,
        command.as_cxpt,
        command.recipient,
        command.nonce,
        command.deadline,
    )
    held = turn.state.set_asides.get((command.account, command.nonce))
    try:
        if held is None:
            _require_possible(turn.state, wanted)
            turn.state.set_asides[wanted.account, wanted.nonce] = held = wanted
            turn.change_total(turn.state.account(wanted.account), wanted.asset, -wanted.amount)
        elif msgspec.structs.replace(wanted, deadline=held.deadline) != held:
            raise _nonce_used(wanted.nonce, "the nonce is that of another withdrawal")
    except Problem as problem:
        turn.events.append(
            WithdrawalRefused(
                turn.time_ms,
                command.account,
                command.nonce,
                problem.code,
                problem.detail,
                problem.field,
                problem.given,
                problem.allowed,
            )
        )
        return
    turn.events.append(
        WithdrawalSetAside(
            turn.time_ms,
            held.account,
            held.asset,
            held.amount,
            held.as_cxpt,
            held.recipient,
            held.nonce,
            held.deadline,
        )
    )


def see_block(turn: Turn, command: SeeBlock) -> None:
    """Gives back what no block can pay any more."""
    late = [held for held in turn.state.set_asides.values() if is_late(held, command.timestamp)]
    for held in late:
        del turn.state.set_asides[held.account, held.nonce]
        turn.change_total(turn.state.account(held.account), held.asset, held.amount)
        turn.events.append(WithdrawalReturned(turn.time_ms, held.account, held.nonce, held.asset, held.amount))


def is_late(held: SetAside, timestamp: int) -> bool:
    return timestamp > held.deadline + REORG_SECONDS


def pay_out(turn: Turn, fact: WithdrawnInstantly) -> SetAside | None:
    """The chain has paid. Returns what had been set aside for it, which is nothing after a lost journal or a reorg
    deeper than the margin; then the balance pays now, and orders that it no longer covers close."""
    state = turn.state
    held = state.set_asides.pop((fact.account, fact.nonce), None)
    state.paid_nonces.add((fact.account, fact.nonce))
    _correct(turn, fact, held, 1)
    return held


def take_back(turn: Turn, fact: WithdrawnInstantly, held: SetAside | None) -> None:
    """A reorg took the payment back: it may come again, so the amount is set aside as before."""
    turn.state.paid_nonces.discard((fact.account, fact.nonce))
    if held is not None:
        turn.state.set_asides[held.account, held.nonce] = held
    _correct(turn, fact, held, -1)


def _correct(turn: Turn, fact: WithdrawnInstantly, held: SetAside | None, sign: int) -> None:
    if held is not None and (held.asset, held.amount) == (fact.asset, fact.amount):
        return
    account = turn.state.account(fact.account)
    if held is not None:
        turn.change_total(account, held.asset, sign * held.amount)
        turn.cover(account, held.asset, "BALANCE_WITHDRAWN")
    turn.change_total(account, fact.asset, -sign * fact.amount)
    turn.cover(account, fact.asset, "BALANCE_WITHDRAWN")


def _require_possible(state: State, wanted: SetAside) -> None:
    if wanted.amount <= 0:
        raise Problem(
            "FIELD_INVALID", "nothing to withdraw", field="amount", given=str(wanted.amount), allowed="above 0"
        )
    if (wanted.account, wanted.nonce) in state.paid_nonces:
        raise _nonce_used(wanted.nonce, "a withdrawal with this nonce has been paid")
    account = state.accounts.get(wanted.account)
    available = account.available(wanted.asset) if account else 0
    if available < wanted.amount:
        show = _show(wanted.asset)
        raise Problem(
            "BALANCE_INSUFFICIENT",
            "the account has less than that which no open order holds",
            field="amount",
            given=show(wanted.amount),
            allowed=f"at most {show(max(available, 0))}",
        )
    if account is not None:
        _require_settled(account, wanted)
    if sum(held.account == wanted.account for held in state.set_asides.values()) >= MOST_A_ACCOUNT:
        raise Problem(
            "WITHDRAWAL_TOO_MANY",
            "the account has co-signed withdrawals that it has not sent yet",
            allowed=f"at most {MOST_A_ACCOUNT} at a time; each ends by itself soon after its deadline",
        )


def _require_settled(account: Account, wanted: SetAside) -> None:
    """What fills on their way have brought, and what their fees may become, stays; so does the CXPT of a fee tier."""
    total = account.balance(wanted.asset).total
    free = total - account.on_the_way[wanted.asset]
    if wanted.asset == CXPT_ASSET and account.on_the_way[USDC_ASSET] and account.tier:
        free = min(free, total - TIER_THRESHOLDS[account.tier - 1])
    if wanted.amount <= free:
        return
    show = _show(wanted.asset)
    raise Problem(
        "WITHDRAWAL_UNSETTLED",
        "matched fills of the account have not reached the chain yet: what they bring is not there, and what they need "
        "has to stay",
        field="amount",
        given=show(wanted.amount),
        allowed=f"at most {show(max(free, 0))} now; the rest once they have settled, or by Vault.requestWithdraw",
    )


def _show(asset: int) -> Callable[[int], str]:
    return format_usdc if asset in (USDC_ASSET, CXPT_ASSET) else format_asset


def _nonce_used(nonce: int, detail: str) -> Problem:
    return Problem("WITHDRAWAL_NONCE_USED", detail, field="nonce", given=str(nonce), allowed="a number not used before")
