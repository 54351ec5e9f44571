"""Other people's signers over the same orders: viem, as browsers use it, and cast, as shells do.

Both are installed by `make install`; when they are not, these tests fail rather than look the other way.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cxdex.eip712 import (
    InstantWithdrawal,
    cancel_all_digest,
    cancel_all_typed_data,
    cancel_orders_digest,
    cancel_orders_typed_data,
    instant_withdrawal_digest,
    instant_withdrawal_typed_data,
    order_digest,
    order_typed_data,
)
from cxdex.order import Order
from cxdex.signature import recover, sign_digest
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY, STOP, extremes, order, orders

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "signers" / "viem.mjs"


@pytest.fixture(scope="module")
def cast() -> Path:
    found = sorted(ROOT.glob("node_modules/@foundry-rs/cast-*/bin/cast*"))
    assert found, "cast is not installed: run `make install`"
    return found[0]


def other_messages() -> list[tuple[bytes, dict[str, Any]]]:
    """Our digest of each message that is no order, and what a wallet is shown for it."""
    most = 2**64 - 1
    withdrawals = [
        InstantWithdrawal(ACCOUNT, 0, 1, False, ACCOUNT, 0, 1),
        InstantWithdrawal(ACCOUNT, 2**16 - 1, 2**256 - 1, True, bytes(19) + b"\x01", 2**256 - 1, most),
    ]
    found = [(instant_withdrawal_digest(DOMAIN, w), instant_withdrawal_typed_data(DOMAIN, w)) for w in withdrawals]
    for epoch, deadline in ((0, 0), (2**16 - 1, most)):
        shown = cancel_all_typed_data(DOMAIN, ACCOUNT, epoch, deadline)
        found.append((cancel_all_digest(DOMAIN, ACCOUNT, epoch, deadline), shown))
    for nonces in ([], [0, most], [1]):
        shown = cancel_orders_typed_data(DOMAIN, ACCOUNT, nonces, most)
        found.append((cancel_orders_digest(DOMAIN, ACCOUNT, nonces, most), shown))
    return found


def ask_viem(documents: list[dict[str, Any]]) -> list[dict[str, str]]:
    questions = [{"typedData": document, "key": "0x" + KEY.hex()} for document in documents]
    done = subprocess.run(
        ["node", str(SCRIPT)], input=json.dumps(questions), capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def assert_same(chosen: list[Order]) -> None:
    assert_viem_signs([(order_digest(DOMAIN, o), order_typed_data(DOMAIN, o)) for o in chosen])


def assert_viem_signs(messages: list[tuple[bytes, dict[str, Any]]]) -> None:
    answers = ask_viem([document for _, document in messages])
    for (digest, _), answer in zip(messages, answers, strict=True):
        signature = bytes.fromhex(answer["signature"][2:])
        assert answer["digest"] == "0x" + digest.hex()
        assert recover(digest, signature) == ACCOUNT
        assert signature == sign_digest(KEY, digest)


def test_viem_agrees_on_every_extreme() -> None:
    assert_same(extremes())


def test_viem_agrees_on_cancels_and_withdrawals() -> None:
    assert_viem_signs(other_messages())


# One process for a whole list: starting node is what takes the time. No shrinking, for the same reason.
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.lists(orders(), min_size=20, max_size=40))
def test_viem_agrees_on_any_order(chosen: list[Order]) -> None:
    assert_same(chosen)


@pytest.mark.parametrize(
    "chosen", [order(), order(condition=STOP), *extremes()[-2:]], ids=["plain", "stop", "least", "most"]
)
def test_cast_agrees(cast: Path, chosen: Order) -> None:
    assert_cast_signs(cast, order_digest(DOMAIN, chosen), order_typed_data(DOMAIN, chosen))


def test_cast_agrees_on_cancels_and_withdrawals(cast: Path) -> None:
    for digest, document in other_messages():
        assert_cast_signs(cast, digest, document)


def assert_cast_signs(cast: Path, digest: bytes, document: dict[str, Any]) -> None:
    typed = json.dumps(document)
    done = subprocess.run(
        [str(cast), "wallet", "sign", "--private-key", "0x" + KEY.hex(), "--data", typed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    signature = bytes.fromhex(done.stdout.strip()[2:])
    assert recover(digest, signature) == ACCOUNT
    assert signature == sign_digest(KEY, digest)
