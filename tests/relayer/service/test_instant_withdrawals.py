"""Co-signed withdrawals through the engine process: signed once, whatever dies, and given back if nobody sends them."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from cxdex.deployment import CONTRACTS
from cxdex.eip712 import Domain, InstantWithdrawal, instant_withdrawal_digest
from cxdex.facts import WithdrawnInstantly
from cxdex.order import Side
from cxdex.problem import Problem
from cxdex.signature import address_of, recover
from relayer.client import EngineClient
from relayer.engine.withdrawals import REORG_SECONDS
from relayer.wire import WithdrawalReply
from relayer.withdrawal_desk import LIFETIME_SECONDS
from tests.relayer.service.running_engine import ChainFacts, RunningEngine, account, signed, until, wait_for_market

ALICE, BOB = account(1), account(2)
KEY = b"\x0c" * 32
VAULT = bytes([0x11, 1]) * 10
CASH = 10**15


@pytest.fixture
def engine(tmp_path: Path, facts: ChainFacts) -> RunningEngine:
    """Not started; with COSIGNER's key, a deployment, the market and money for both."""
    (tmp_path / "cosigner.key").write_text("0x" + KEY.hex() + "\n")
    contracts = {name: "0x" + (bytes([0x11, number]) * 10).hex() for number, name in enumerate(CONTRACTS)}
    deployment = {"chainId": 31337, "deployedBlock": 1, "contracts": contracts}
    (tmp_path / "deployment.json").write_text(json.dumps(deployment))
    facts.open_market([ALICE, BOB])
    return RunningEngine(tmp_path, "--cosigner-key-file", str(tmp_path / "cosigner.key"))


@pytest.fixture(autouse=True)
def _close(engine: RunningEngine):
    yield
    engine.close()


async def start(engine: RunningEngine, client: EngineClient) -> None:
    engine.start()
    await wait_for_market(client, [ALICE, BOB])


async def withdraw(client: EngineClient, amount: int, nonce: int = 7) -> WithdrawalReply:
    return await client.withdraw(ALICE, 0, amount, False, ALICE, nonce)


async def cash(client: EngineClient) -> int:
    return (await client.account(ALICE)).balances[0].total


def signer_of(reply: WithdrawalReply, amount: int, nonce: int = 7) -> bytes:
    domain = Domain(31337, bytes([0x11, CONTRACTS.index("Vault")]) * 10)
    withdrawal = InstantWithdrawal(ALICE, 0, amount, False, ALICE, nonce, reply.deadline)
    return recover(instant_withdrawal_digest(domain, withdrawal), reply.signature)


async def test_a_withdrawal_is_set_aside_and_signed_by_the_cosigner(engine: RunningEngine) -> None:
    async with engine.client() as client:
        await start(engine, client)
        reply = await withdraw(client, 600)
        assert signer_of(reply, 600) == address_of(KEY)
        assert 0 < reply.deadline - time.time() <= LIFETIME_SECONDS
        assert await cash(client) == CASH - 600
        (held,) = (await client.account(ALICE)).set_asides
        assert (held.amount, held.nonce, held.deadline) == (600, 7, reply.deadline)


async def test_two_devices_that_ask_at_once_get_one_withdrawal(engine: RunningEngine) -> None:
    async with engine.client() as one, engine.client() as other:
        await start(engine, one)
        first, again = await asyncio.gather(withdraw(one, 600), withdraw(other, 600))
        assert (first.deadline, first.signature) == (again.deadline, again.signature)
        with pytest.raises(Problem, match="WITHDRAWAL_NONCE_USED"):
            await withdraw(other, 601)
        assert await cash(one) == CASH - 600


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.01])
async def test_attack_93_a_kill_between_the_journal_and_the_answer_signs_once(
    engine: RunningEngine, pause: float
) -> None:
    """The answer may be lost at any moment; asking again finds what was set aside, or sets it aside."""
    async with engine.client() as client:
        await start(engine, client)
        asked = asyncio.create_task(withdraw(client, 600))
        await asyncio.sleep(pause)
        engine.kill()
        engine.start()
        reply = await asked  # the client sends it again on the next connection
        again = await withdraw(client, 600)
        assert (again.deadline, again.signature) == (reply.deadline, reply.signature)
        assert await cash(client) == CASH - 600
        assert len((await client.account(ALICE)).set_asides) == 1


async def test_attack_93_a_signature_that_nobody_sent_runs_out_and_the_money_is_back(
    engine: RunningEngine, facts: ChainFacts
) -> None:
    async with engine.client() as client:
        await start(engine, client)
        reply = await withdraw(client, 600)
        facts.reach(100, reply.deadline + REORG_SECONDS)
        await asyncio.sleep(0.6)
        assert await cash(client) == CASH - 600, "a block may still come that pays it"
        engine.kill()
        engine.start()
        assert await cash(client) == CASH - 600
        facts.reach(101, reply.deadline + REORG_SECONDS + 1)

        async def is_back() -> bool:
            return await cash(client) == CASH

        await until("the money is back", is_back)
        assert (await client.account(ALICE)).set_asides == []


async def test_attack_60_a_payment_that_a_reorg_takes_back_is_set_aside_again(
    engine: RunningEngine, facts: ChainFacts
) -> None:
    async with engine.client() as client:
        await start(engine, client)
        reply = await withdraw(client, 600)
        paid = WithdrawnInstantly(ALICE, 0, 600, 7)
        facts.say(50, paid)

        async def is_paid() -> bool:
            return not (await client.account(ALICE)).set_asides

        await until("the payment", is_paid)
        assert await cash(client) == CASH - 600
        facts.say(50, paid, reverted=True)

        async def is_held() -> bool:
            return bool((await client.account(ALICE)).set_asides)

        await until("the revert", is_held)
        assert (await withdraw(client, 600)).signature == reply.signature
        facts.say(51, paid, fork=1)
        await until("the payment again", is_paid)
        facts.reach(60, reply.deadline + REORG_SECONDS + 1)
        await asyncio.sleep(0.6)
        assert await cash(client) == CASH - 600


async def test_attack_74_a_matched_fill_comes_first(engine: RunningEngine) -> None:
    async with engine.client() as client:
        await start(engine, client)
        await client.place([signed(ALICE, 0, Side.BUY, 1000, 4), signed(BOB, 0, Side.SELL, 1000, 4)])
        with pytest.raises(Problem, match="WITHDRAWAL_UNSETTLED"):
            await withdraw(client, await cash(client))
        assert await withdraw(client, 600), "what the fill cannot need may go"
        with pytest.raises(Problem, match="BALANCE_INSUFFICIENT"):
            await withdraw(client, 2 * CASH, nonce=8)


async def test_without_a_key_there_are_no_instant_withdrawals(engine: RunningEngine) -> None:
    engine.options = ()
    async with engine.client() as client:
        await start(engine, client)
        with pytest.raises(Problem, match="WITHDRAWAL_INSTANT_OFF"):
            await withdraw(client, 600)
        assert await cash(client) == CASH


def test_a_key_file_that_is_none_stops_the_start(engine: RunningEngine, tmp_path: Path) -> None:
    (tmp_path / "cosigner.key").write_text("not a key")
    with pytest.raises(AssertionError, match="KEY_INVALID"):
        engine.start()
