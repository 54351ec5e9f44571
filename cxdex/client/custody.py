"""Money in and out: deposit, withdraw at once or with the delay, claim. What each means in transactions.

Promises: allows exactly what is deposited, never more, for USDC in the deposit itself; a withdrawal's id comes from the
          chain's own event; of an exchange's answer to an instant withdrawal only signature and deadline are used.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from cxdex.client import chain, endpoints
from cxdex.client.amounts import Amount, to_decimal_text
from cxdex.client.chain import Transaction
from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.replies import Cosigned
from cxdex.client.session import Session
from cxdex.client.steps import Flow, Pause
from cxdex.eip712 import to_checksum
from cxdex.market import ASSET_DECIMALS, CXPT_ASSET, USDC_ASSET, USDC_DECIMALS
from cxdex.problem import Problem
from cxdex.signature import to_compact
from cxdex.units import format_decimal, parse_decimal
from cxdex.wallet import PermitSigner

NONCE_BITS = 63
SETTLE_PAUSE_SECONDS = 0.5
PERMIT_SECONDS = 3_600


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
    token = status.contracts["CXPT" if number == CXPT_ASSET else "USDC"]
    if number > CXPT_ASSET:
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
    if allowed < units and number == USDC_ASSET and isinstance(session.wallet, PermitSigner):
        data = yield from _deposit_by_permit(session, session.wallet, token, vault, units)
        return (yield from chain.send(session.wallet, status.chain_id, vault, data))
    if allowed < units:
        approval = chain.encode_call("MockUSDC", "approve", vault, units)
        yield from chain.send(session.wallet, status.chain_id, token, approval)
    data = (
        chain.encode_call("Vault", "deposit", units)
        if number == USDC_ASSET
        else chain.encode_call("Vault", "depositAsset", number, units)
    )
    return (yield from chain.send(session.wallet, status.chain_id, vault, data))


def _deposit_by_permit(session: Session, wallet: PermitSigner, token: str, vault: str, units: int) -> Flow[str]:
    """Calldata that brings the allowance along, so that a deposit is one transaction."""
    domain = yield from chain.view("MockUSDC", token, "DOMAIN_SEPARATOR")
    nonce = yield from chain.view("MockUSDC", token, "nonces", to_checksum(session.account))
    deadline = int(time.time()) + PERMIT_SECONDS
    signature = wallet.sign_permit(domain, bytes.fromhex(vault[2:]), units, nonce, deadline)
    r, s, v = signature[:32], signature[32:64], signature[64]
    return chain.encode_call("Vault", "depositWithPermit", units, deadline, v, r, s)


def withdraw(session: Session, amount: Amount, asset: str, as_cxpt: bool) -> Flow[WithdrawalRequest]:
    """Announces it on chain; it can be claimed after the delay. Fills that were matched before come first."""
    status = yield from session.status()
    vault = status.contracts["Vault"]
    number, decimals = yield from _asset(session, asset)
    data = chain.encode_call("Vault", "requestWithdraw", number, _positive(amount, decimals), as_cxpt)
    transaction = yield from chain.send(session.wallet, status.chain_id, vault, data)
    event = chain.read_event("Vault", "WithdrawRequested", transaction, vault)
    return WithdrawalRequest(event["id"], event["claimableAt"], transaction)


def withdraw_instantly(
    session: Session, amount: Amount, asset: str, as_cxpt: bool, recipient: str | None, within: float
) -> Flow[Transaction]:
    """One transaction, co-signed by the exchange. Waits up to `within` seconds for matched fills to settle first."""
    status = yield from session.status()
    number, decimals = yield from _asset(session, asset)
    units = _positive(amount, decimals)
    paid = to_checksum(session.account) if recipient is None else recipient
    body = {
        "account": to_checksum(session.account),
        "asset": str(number),
        "amount": format_decimal(units, decimals),
        "asCxpt": as_cxpt,
        "recipient": paid,
        "nonce": str(secrets.randbits(NONCE_BITS)),
    }
    yield from chain.require_node(status.chain_id)  # the exchange sets the money aside when it co-signs
    cosigned = yield from _cosigned(session, body, within)
    r, vs = to_compact(bytes.fromhex(cosigned.signature[2:]))
    data = chain.encode_call(
        "Vault",
        "withdraw",
        number,
        units,
        as_cxpt,
        paid,
        int(cosigned.nonce),
        int(cosigned.deadline),
        r.to_bytes(32, "big"),
        vs.to_bytes(32, "big"),
    )
    return (yield from chain.send(session.wallet, status.chain_id, status.contracts["Vault"], data))


def _cosigned(session: Session, body: dict[str, Any], within: float) -> Flow[Cosigned]:
    """Asks until there is an answer and the account's fills have settled. The nonce makes asking again harmless."""
    deadline = time.monotonic() + within
    while True:
        try:
            return (yield from session.request(endpoints.withdraw_instantly(body), Cosigned))
        except Unreachable:
            if time.monotonic() >= deadline:
                raise
        except ApiProblem as problem:
            if problem.code != "WITHDRAWAL_UNSETTLED" or time.monotonic() >= deadline:
                raise
        yield Pause(SETTLE_PAUSE_SECONDS)


def claim(session: Session, withdrawal: int | str | WithdrawalRequest) -> Flow[Transaction]:
    """Pays out a withdrawal whose delay is over. Anyone may send it; only its recipient is paid."""
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
