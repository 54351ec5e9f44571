"""The indexer on a real node with the real contracts: everything, reorgs, absences, audits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxdex.batch import SkipReason
from cxdex.keccak import keccak
from cxdex.nonce import pack_nonce
from cxdex.order import Side
from indexer.decode import parse, signature
from indexer.event_list import EVENTS
from indexer.events import Log
from indexer.halt import Halt
from indexer.node import Header, NodeRefused
from scripts.stack.layout import free_port
from tests.indexer.indexing import Indexing
from tests.indexer.live_exchange import FAR_FUTURE, LiveExchange, LocalNode
from tests.indexer.test_store import standing
from tests.indexer.whole_life import address, live_through_everything, take_fees

Index = Callable[..., Indexing]


def require_equal_to_fresh(indexing: Indexing, fresh: Indexing) -> None:
    fresh.catch_up()
    indexing.catch_up()
    assert indexing.digest() == fresh.digest()
    assert standing(indexing.engine) == standing(fresh.engine)


def test_every_event_is_folded_as_the_contracts_mean_it(exchange: LiveExchange, index: Index) -> None:
    live_through_everything(exchange)
    indexing = index()
    indexing.catch_up()

    report = indexing.require_clean()
    assert {"balances", "announced amounts", "fee tiers", "lanes (seq, filled lots)", "cancels", "session keys"} <= set(
        report.compared
    )
    assert {"withdrawals", "debt positions", "debt assets", "redemptions", "oracle prices", "proxies"} <= set(
        report.compared
    )
    with indexing.engine.connect() as connection:
        seen = set(connection.exec_driver_sql("SELECT DISTINCT substr(topics, 1, 32) FROM raw_log").scalars())
        skipped = connection.exec_driver_sql("SELECT reason FROM settled_fill WHERE reason IS NOT NULL").scalars().all()
    folded = {kind.__name__: keccak(signature(kind.__name__, parse(text)).encode()) for _, kind, text in EVENTS}
    assert {name for name, topic in folded.items() if topic not in seen} == set()
    assert sorted(skipped) == [SkipReason.TAKER_EXPIRED, SkipReason.VOIDED, SkipReason.VOIDED]


def test_what_operators_announce_can_be_read(exchange: LiveExchange, index: Index) -> None:
    live_through_everything(exchange)
    indexing = index()
    indexing.catch_up()
    with indexing.engine.connect() as connection:
        ask = connection.exec_driver_sql
        statuses = ask("SELECT status FROM timelock_operation ORDER BY executable_at, status").scalars().all()
        waiting = ask(
            "SELECT target FROM timelock_call JOIN timelock_operation ON id = operation WHERE status = 'SCHEDULED'"
        ).scalars()
        told = ask("SELECT DISTINCT contract || '.' || name FROM operator_notice").scalars().all()
        proxies = ask("SELECT name FROM proxy ORDER BY name").scalars().all()
    assert sorted(statuses) == ["CANCELLED", "EXECUTED", "SCHEDULED"]
    assert list(waiting) == [exchange.contracts["Oracle"].address]
    assert indexing.audit().text().count("ANNOUNCED") == 1
    assert {"Vault.Upgraded", "Vault.Paused", "Oracle.ReporterSet", "MarketRegistry.MarketPaused"} <= set(told)
    assert {"Settlement", "Vault"} <= set(proxies)


def test_the_audit_reaches_back_as_far_as_undo(exchange: LiveExchange, index: Index) -> None:
    live_through_everything(exchange)
    indexing = index(finality_depth=30)
    indexing.catch_up()
    checkpoint = indexing.checkpoint
    for block in range(checkpoint.block - 30, checkpoint.block, 6):
        indexing.require_clean(block)
    with pytest.raises(Halt, match="BLOCK_OUT_OF_REACH"):
        indexing.require_clean(checkpoint.block - 31)


TAMPERING = [
    ("UPDATE account_balance SET amount = (SELECT max(amount) FROM account_balance) WHERE asset = 0", "balance of"),
    ("UPDATE lane SET filled = filled + 1", "lane 0 of"),
    ("UPDATE market_listing SET next_sequence = next_sequence + 1", "sequenceOf of sBTC-USDC"),
    ("UPDATE market_listing SET status = 1", "marketWord of sBTC-USDC"),
    ("UPDATE withdrawal SET status = 'CLAIMED'", "withdrawal"),
    ("UPDATE withdrawal SET recipient = x'00000000000000000000000000000000000000aa'", "withdrawal"),
    ("UPDATE announced_balance SET amount = (SELECT max(amount) FROM account_balance)", "announced of"),
    ("UPDATE announced_balance SET amount = (SELECT max(amount) FROM account_balance)", "announced total"),
    ("UPDATE lane_cancel SET seq = seq + 1", "cancel of lane 3"),
    ("UPDATE lane_cancel SET effective_at = 1", "lane 3 of"),
    ("UPDATE account_state SET effective_at = 1", "epochEffectiveAt of"),
    ("UPDATE session_key SET is_revoked = 1", "session 0x"),
    ("UPDATE exchange_value SET value = x'00' WHERE name = 'FEE_POCKET'", "fee pocket"),
    ("UPDATE exchange_value SET value = x'00' WHERE name = 'COLLATERAL'", "collateral"),
    ("UPDATE exchange_value SET value = x'00' WHERE name = 'LAST_BEAT'", "last beat"),
    ("UPDATE synth_asset SET supply = escrow", "supply of"),
    ("UPDATE debt_asset SET cap = x'00'", "asset 2: cap"),
    ("UPDATE proxy SET implementation = admin", "implementation of"),
    ("UPDATE proxy SET admin = implementation", "admin of"),
    ("UPDATE debt_position SET debt = collateral", "debt of"),
    ("UPDATE order_fill SET filled = filled - 1", "order 0x"),
    ("UPDATE oracle_price SET publish_time = 1", "price of"),
    ("UPDATE oracle_price SET updates = 9", "number of prices of"),
    ("INSERT INTO account_state VALUES (x'00000000000000000000000000000000000000aa', 3, 0)", "epochOf of"),
]


def test_the_audit_names_every_kind_of_difference(exchange: LiveExchange, index: Index) -> None:
    exchange.trade()
    take_fees(exchange)
    exchange.send("alice", "Vault", "requestWithdraw", 0, 10, False)
    exchange.send("alice", "Settlement", "cancelOrders", [pack_nonce(0, 3, 4)])
    exchange.send("alice", "Settlement", "cancelAll")
    exchange.send("alice", "Settlement", "setSession", address("bob"), bytes(32), 5, FAR_FUTURE)
    indexing = index()
    indexing.catch_up()
    indexing.require_clean()
    for statement, name in TAMPERING:
        clone = index(f"{abs(hash(statement))}.db")
        clone.catch_up()
        with clone.engine.begin() as connection:
            connection.exec_driver_sql(statement)
        differences = clone.audit().differences
        assert any(line.startswith(name) for line in differences), (statement, differences)


@pytest.mark.parametrize("depth", [1, 2, 7, 20, 64])
def test_a_reorg_of_any_depth_ends_where_a_fresh_index_does(exchange: LiveExchange, index: Index, depth: int) -> None:
    indexing = index()
    deployed = exchange.chain.block_number()  # it stays
    while exchange.chain.block_number() <= deployed + depth:
        exchange.trade(lane=exchange.chain.block_number() % 3)
        exchange.mine(1 + depth // 8)
        indexing.catch_up()

    lost = indexing.checkpoint
    exchange.reorg(depth)
    exchange.mine()
    indexing.catch_up()
    assert indexing.store.headers(lost.block, lost.block)[0].hash != lost.hash
    require_equal_to_fresh(indexing, index("fresh.db"))
    indexing.require_clean()


def test_a_reorg_through_everything_ends_where_a_fresh_index_does(exchange: LiveExchange, index: Index) -> None:
    """Withdrawals, cancels, keys, mints, redemptions, liquidations, upgrades and a wind-down, all taken back."""
    indexing = index()
    deployed = exchange.chain.block_number()
    live_through_everything(exchange)
    indexing.catch_up()
    lived = exchange.chain.block_number() - deployed
    exchange.reorg(lived // 2)
    exchange.mine()
    indexing.catch_up()
    indexing.require_clean()
    exchange.reorg(lived // 2 - 1)
    exchange.trade(lane=3)
    require_equal_to_fresh(indexing, index("fresh.db"))
    indexing.require_clean()
    with indexing.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM outbox WHERE reverted").scalar_one() > 0


def test_reorgs_between_trades_leave_nothing_behind(exchange: LiveExchange, index: Index) -> None:
    """Blocks vanish, and their orders settle again or never."""
    indexing = index(confirmations=0)
    indexing.catch_up()
    for round_number in range(6):
        pair = exchange.order("maker", Side.SELL, 5, 1), exchange.order("taker", Side.BUY, 5, 1)
        exchange.settle((*pair, 2))
        exchange.trade(lane=2)
        indexing.catch_up()
        exchange.reorg(2)
        if round_number % 2:
            indexing.catch_up()
        exchange.settle((*pair, 3))
        indexing.catch_up()
        indexing.require_clean()
    require_equal_to_fresh(indexing, index("fresh.db"))


def test_a_reorg_deeper_than_the_window_halts_and_keeps_the_rows(exchange: LiveExchange, index: Index) -> None:
    for _ in range(4):
        exchange.trade()
    indexing = index(finality_depth=5)
    indexing.catch_up()
    before = indexing.digest()
    exchange.reorg(8)
    exchange.mine()
    with pytest.raises(Halt, match="REORG_TOO_DEEP") as halted:
        indexing.catch_up()
    assert "rebuild" in (halted.value.allowed or "")
    assert indexing.digest() == before


def test_ranges_and_single_blocks_give_the_same_rows(exchange: LiveExchange, index: Index) -> None:
    live_through_everything(exchange)
    exchange.mine(40)
    exchange.trade()
    by_range = index("range.db", finality_depth=1)
    require_equal_to_fresh(by_range, index())
    with by_range.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM undo").scalar_one() <= 1


def test_a_node_that_is_behind_is_not_a_reorg(exchange: LiveExchange, index: Index) -> None:
    exchange.trade()
    indexing = index()
    indexing.catch_up()
    checkpoint = indexing.checkpoint
    exchange.chain.rpc("anvil_rollback", 1)  # the same chain, one block less
    indexing.catch_up()
    assert indexing.checkpoint == checkpoint
    exchange.pass_time(100)
    exchange.mine(2)  # other blocks: now it is one
    require_equal_to_fresh(indexing, index("fresh.db"))


def test_a_node_that_restarts_is_waited_for(tmp_path: Path, index_on: Index) -> None:
    port, state = free_port(), str(tmp_path / "node.json")
    node = LocalNode(port, "--state", state)
    try:
        exchange = LiveExchange(node, tmp_path)
        exchange.trade()
        indexing = index_on(exchange)
        indexing.catch_up()
        node.stop()
        assert indexing.runner.attempt() is None
        assert indexing.runner.attempt() is None
        node = LocalNode(port, "--state", state)
        exchange.trade(lane=1)
        indexing.catch_up()
        indexing.require_clean()
    finally:
        node.stop()


def test_logs_that_a_node_leaves_out_stop_the_indexer(exchange: LiveExchange, index: Index) -> None:
    """A node that answers without one fill: asked once more, then a loud halt, and nothing stored."""
    exchange.trade()
    indexing = index()
    indexing.catch_up()
    before = indexing.digest()
    exchange.trade()
    exchange.trade()
    honest = indexing.node.logs_of_blocks
    answers: list[list[list[Log]]] = []

    def forgetful(headers: list[Header]) -> list[list[Log]]:
        answers.append(honest(headers))
        return [[], *answers[-1][1:]]

    indexing.node.logs_of_blocks = forgetful
    with pytest.raises(Halt, match="SEQUENCE_GAP"):
        indexing.catch_up()
    assert len(answers) == 2
    assert indexing.digest() == before
    indexing.node.logs_of_blocks = honest
    indexing.catch_up()
    indexing.require_clean()


def test_a_smaller_answer_is_asked_for_when_the_node_refuses(exchange: LiveExchange, index: Index) -> None:
    live_through_everything(exchange)
    exchange.mine(20)
    indexing = index("range.db", finality_depth=1)
    honest = indexing.node.logs_of_range
    refused: list[int] = []

    def strict(first: int, last: int) -> list[tuple[Log, bytes]]:
        if last - first >= 4:
            refused.append(last - first)
            raise NodeRefused("query returned more than 10000 results")
        return honest(first, last)

    indexing.node.logs_of_range = strict
    require_equal_to_fresh(indexing, index("fresh.db"))
    assert refused
