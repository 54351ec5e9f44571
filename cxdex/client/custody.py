"""Money in and out: deposit, withdraw, claim. What each means in transactions.

Promises: approves exactly what is deposited, never more; a withdrawal's id comes from the chain's own event.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxdex.client import chain
from cxdex.client.amounts import Amount, to_decimal_text
from cxdex.client.chain import Transaction
from cxdex.client.session import Session
from cxdex.client.steps import Flow
from cxdex.eip712 import to_checksum
from cxdex.market import ASSET_DECIMALS, CXPT_ASSET, USDC_ASSET, USDC_DECIMALS
from cxdex.problem import Problem
from cxdex.units import format_decimal, parse_decimal


@dataclass(frozen=True, slots=True)
class WithdrawalRequest:
    """What `withdraw` started: claim it with `id` from `claimable_at` (unix seconds) on."""

    id: int
    claimable_at: int
    transaction: Transaction


def deposit(session: Session, amount: Amount, asset: str) -> Flow[Transaction]:
    """Moves tokens of the wallet into the exchange. Raises Problem, for instance WALLET_BALANCE_INSUFFICIENT."""
    status = yield from session.status()
    vault = status.contracts["Vault"]
    number, decimals = yield from _asset(session, asset)
    units = _positive(amount, decimals)
    token = status.contracts["USDC"]
    if number != USDC_ASSET:
        token = yield from chain.view("Vault", vault, "synthOf", number)
    held = yield from chain.view("MockUSDC", token, "balanceOf", to_checksum(session.account))
    if held < units:
        raise Problem(
            "WALLET_BALANCE_INSUFFICIENT",
            f"the wallet holds less {asset} than that",
            field="amount",
            given=to_decimal_text(amount, "amount"),
            allowed=f"at most {format_decimal(held, decimals)}",
        )
    allowed = yield from chain.view("MockUSDC", token, "allowance", to_checksum(session.account), vault)
    if allowed < units:
        approval = chain.encode_call("MockUSDC", "approve", vault, units)
        yield from chain.send(session.wallet, status.chain_id, token, approval)
    data = (
        chain.encode_call("Vault", "deposit", units)
        if number == USDC_ASSET
        else chain.encode_call("Vault", "depositAsset", number, units)
    )
    return (yield from chain.send(session.wallet, status.chain_id, vault, data))


def withdraw(session: Session, amount: Amount, asset: str, as_cxpt: bool) -> Flow[WithdrawalRequest]:
    """Takes the amount out of the trading balance at once; it can be claimed after the delay."""
    status = yield from session.status()
    vault = status.contracts["Vault"]
    number, decimals = yield from _asset(session, asset)
    data = chain.encode_call("Vault", "requestWithdraw", number, _positive(amount, decimals), as_cxpt)
    transaction = yield from chain.send(session.wallet, status.chain_id, vault, data)
    event = chain.read_event("Vault", "WithdrawRequested", transaction, vault)
    return WithdrawalRequest(event["id"], event["claimableAt"], transaction)


def claim(session: Session, withdrawal: int | str | WithdrawalRequest) -> Flow[Transaction]:
    """Pays out a withdrawal whose delay is over. Anyone may send it; only the owner is paid."""
    number = withdrawal.id if isinstance(withdrawal, WithdrawalRequest) else int(withdrawal)
    status = yield from session.status()
    data = chain.encode_call("Vault", "claimWithdraw", number)
    return (yield from chain.send(session.wallet, status.chain_id, status.contracts["Vault"], data))


def _asset(session: Session, symbol: str) -> Flow[tuple[int, int]]:
    """(number in the ledger, decimals) of USDC, CXPT or a synth that a market trades."""
    known = {"USDC": USDC_ASSET, "CXPT": CXPT_ASSET}
    if symbol in known:
        return known[symbol], USDC_DECIMALS
    markets = yield from session.markets()
    known |= {market.base_symbol: market.base_asset for market in markets}
    if symbol not in known:
        raise Problem("ASSET_UNKNOWN", "no such asset", field="asset", given=symbol, allowed=", ".join(known))
    return known[symbol], ASSET_DECIMALS


def _positive(amount: Amount, decimals: int) -> int:
    units = parse_decimal(to_decimal_text(amount, "amount"), decimals, "amount")
    if units == 0:
        raise Problem("DECIMAL_INVALID", "the amount is zero", field="amount", given="0", allowed="more than 0")
    return units
