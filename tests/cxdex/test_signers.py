"""Other people's signers over the same orders: viem, as browsers use it, and cast, as shells do.

Both are installed by `make install`; when they are not, these tests fail rather than look the other way.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cxdex.eip712 import order_digest, order_typed_data
from cxdex.order import Order
from cxdex.signature import recover, sign_digest
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY, extremes, order, orders

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "signers" / "viem.mjs"


@pytest.fixture(scope="module")
def cast() -> Path:
    found = sorted(ROOT.glob("node_modules/@foundry-rs/cast-*/bin/cast*"))
    assert found, "cast is not installed: run `make install`"
    return found[0]


def ask_viem(chosen: list[Order]) -> list[dict[str, str]]:
    questions = [{"typedData": order_typed_data(DOMAIN, o), "key": "0x" + KEY.hex()} for o in chosen]
    done = subprocess.run(
        ["node", str(SCRIPT)], input=json.dumps(questions), capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def assert_same(chosen: list[Order]) -> None:
    for o, answer in zip(chosen, ask_viem(chosen), strict=True):
        digest = order_digest(DOMAIN, o)
        signature = bytes.fromhex(answer["signature"][2:])
        assert answer["digest"] == "0x" + digest.hex()
        assert recover(digest, signature) == ACCOUNT
        assert signature == sign_digest(KEY, digest)


def test_viem_agrees_on_every_extreme() -> None:
    assert_same(extremes())


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


@pytest.mark.parametrize("chosen", [order(), *extremes()[-2:]], ids=["plain", "least", "most"])
def test_cast_agrees(cast: Path, chosen: Order) -> None:
    typed = json.dumps(order_typed_data(DOMAIN, chosen))
    done = subprocess.run(
        [str(cast), "wallet", "sign", "--private-key", "0x" + KEY.hex(), "--data", typed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    signature = bytes.fromhex(done.stdout.strip()[2:])
    digest = order_digest(DOMAIN, chosen)
    assert recover(digest, signature) == ACCOUNT
    assert signature == sign_digest(KEY, digest)
