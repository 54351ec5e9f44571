"""What is signed, as examples that any implementation can check itself against: `python -m scripts.vectors --write`.

Owns:     docs/vectors.json: one key and, for each message, what a wallet is shown, the digest and the signature.
Promises: the same bytes each time; every kind of message, each word of an order, each number at both ends.
Never:    uses a key that is worth anything: it is the public one of the second demo account.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from cxdex.condition import Condition, Trigger
from cxdex.eip712 import (
    LOGIN_STATEMENT,
    LOGIN_TYPE,
    Domain,
    InstantWithdrawal,
    cancel_all_digest,
    cancel_all_typed_data,
    cancel_orders_digest,
    cancel_orders_typed_data,
    instant_withdrawal_digest,
    instant_withdrawal_typed_data,
    login_digest,
    order_digest,
    order_typed_data,
    to_checksum,
    typed_data,
)
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.order_word import order_word
from cxdex.signature import address_of, sign_digest, to_compact
from scripts.artifacts import ROOT

PAGE = ROOT / "docs" / "vectors.json"
KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
ACCOUNT = address_of(KEY)
DOMAIN = Domain(31337, bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3"))
MOST = 2**64 - 1
EXPIRY = 1_900_000_000

Message = tuple[str, bytes, dict[str, Any], dict[str, str]]
"""Name, digest, what a wallet is shown, and what else follows from it."""


def messages() -> Iterator[Message]:
    for name, order in orders():
        digest = order_digest(DOMAIN, order)
        word = order_word(order.account, order.nonce, digest)
        yield name, digest, order_typed_data(DOMAIN, order), {"orderWord": "0x" + word.hex()}
    for name, nonces, deadline in (("cancel nothing", [], 0), ("cancel orders", [0, 1 << 24 | 7, MOST], MOST)):
        shown = cancel_orders_typed_data(DOMAIN, ACCOUNT, nonces, deadline)
        yield name, cancel_orders_digest(DOMAIN, ACCOUNT, nonces, deadline), shown, {}
    shown = cancel_all_typed_data(DOMAIN, ACCOUNT, 3, EXPIRY)
    yield "cancel all", cancel_all_digest(DOMAIN, ACCOUNT, 3, EXPIRY), shown, {}
    login = {"account": to_checksum(ACCOUNT), "statement": LOGIN_STATEMENT, "expiresAt": str(EXPIRY)}
    yield "login", login_digest(DOMAIN, ACCOUNT, EXPIRY), typed_data(DOMAIN, LOGIN_TYPE, login), {}
    leave = InstantWithdrawal(ACCOUNT, 0, 2**256 - 1, True, ACCOUNT, 2**256 - 1, EXPIRY)
    shown = instant_withdrawal_typed_data(DOMAIN, leave)
    yield "instant withdrawal", instant_withdrawal_digest(DOMAIN, leave), shown, {}


def orders() -> Iterator[tuple[str, Order]]:
    yield "order", order()
    for side in Side:
        for word in SelfTrade:
            yield f"order, {side.name}, {word.name}", order(side=side, self_trade=word)
    for force in TimeInForce:
        yield f"order, {force.name}", order(time_in_force=force)
    for force in (TimeInForce.IOC, TimeInForce.FOK):
        yield f"order, MARKET, {force.name}", order(order_type=OrderType.MARKET, time_in_force=force)
    for trigger in Trigger:
        yield f"conditional order, {trigger.name}", order(condition=Condition(trigger, 590_000, EXPIRY - 1))
    yield "order, least", order(quantity=1, limit_price=1, max_fee_bps=0, expiry=1, nonce=0)
    most = {"quantity": 2**39 - 1, "limit_price": MOST, "max_fee_bps": 10_000, "expiry": 2**40 - 1, "nonce": MOST}
    yield "order, most", order(**most, max_collateral=MOST, reduce_only=True, market="X" * 32)


def order(**changed: Any) -> Order:
    fields: dict[str, Any] = {
        "account": ACCOUNT,
        "market": "sBTC-USDC",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": 100,
        "limit_price": 600_000,
        "max_fee_bps": 25,
        "expiry": EXPIRY,
        "nonce": 1,
    }
    return Order(**(fields | changed))


def document() -> str:
    vectors = []
    for name, digest, shown, more in messages():
        signature = sign_digest(KEY, digest)
        r, vs = to_compact(signature)
        signed = {"signature": "0x" + signature.hex(), "compact": f"0x{r:064x}{vs:064x}"}
        vectors.append({"name": name, "typedData": shown, "digest": "0x" + digest.hex(), **signed, **more})
    found = {"privateKey": "0x" + KEY.hex(), "account": to_checksum(ACCOUNT), "vectors": vectors}
    return json.dumps(found, indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.vectors", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"replace {PAGE.relative_to(ROOT)}")
    text = document()
    if parser.parse_args().write:
        PAGE.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
