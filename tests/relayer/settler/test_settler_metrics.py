"""What the settler process tells Prometheus."""

from __future__ import annotations

from pathlib import Path

from settler_stand import Desk, Exchange, SettlerProcess

from scripts.stack.layout import free_port
from tests.scraping import scrape, scrape_until


def test_batches_fills_gas_fees_and_lag_are_counted(desk: Desk, exchange: Exchange, tmp_path: Path) -> None:
    port = free_port()
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(2):
        desk.trade(alice, bob)
    settler = SettlerProcess(desk, tmp_path, options=["--metrics-port", str(port)])
    try:
        settler.wait_ready()
        seen = scrape_until(port, lambda seen: seen.of("cxdex_settler_fills_total", status="FINAL") == 2)
    finally:
        assert settler.stop() == 0
    for status in ("PREPARED", "SENT", "MINED", "FINAL"):
        assert seen.of("cxdex_settler_batches_total", status=status) >= 1, status
    assert seen.of("cxdex_settler_batches_total", status="FAILED") == 0
    assert seen.of("cxdex_settler_fills_total", status="MINED") == 2
    batches = desk.rows("batch")
    assert seen["cxdex_settler_gas_per_fill_count"] == len(batches)
    assert seen["cxdex_settler_gas_per_fill_sum"] == sum(row.gas_used / row.fills for row in batches)
    assert seen["cxdex_settler_settlement_seconds_count"] == len(batches)
    assert 0 < seen["cxdex_settler_fee_per_gas_wei"] <= seen["cxdex_settler_max_fee_per_gas_wei"] <= 100 * 10**9
    assert seen["cxdex_settler_balance_wei"] > 0


def test_a_settler_that_cannot_pay_says_so_and_how_long_fills_wait(
    desk: Desk, exchange: Exchange, tmp_path: Path
) -> None:
    port = free_port()
    exchange.node.rpc.call("anvil_setBalance", [exchange.core, hex(1000)])
    desk.trade(desk.trader(1), desk.trader(2))
    settler = SettlerProcess(desk, tmp_path, options=["--metrics-port", str(port)])
    try:
        settler.wait_ready()
        scrape_until(port, lambda seen: seen.of("cxdex_settler_errors_total", code="GAS_FUNDS") >= 1)
        # The settler counts what waits after it has tried, not with the error.
        seen = scrape_until(port, lambda seen: seen["cxdex_settler_waiting_fills"] == 1)
        assert seen["cxdex_settler_balance_wei"] == 1000
        assert seen["cxdex_settler_oldest_fill_seconds"] > 0
        exchange.node.rpc.call("anvil_setBalance", [exchange.core, hex(10**18)])
        scrape_until(port, lambda seen: seen.of("cxdex_settler_fills_total", status="MINED") == 1)
        scrape_until(port, lambda seen: seen["cxdex_settler_oldest_fill_seconds"] == 0)
        scrape_until(port, lambda seen: seen["cxdex_settler_waiting_fills"] == 0)
        assert scrape(port)["process_start_time_seconds"] > 0
    finally:
        assert settler.stop() == 0
