"""What the indexer process tells Prometheus."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts.stack.layout import free_port
from tests.indexer.live_exchange import LiveExchange
from tests.indexer.test_process import command
from tests.scraping import scrape_until


def test_blocks_events_lag_and_reorgs_are_counted(exchange: LiveExchange, tmp_path: Path) -> None:
    port = free_port()
    words = command(exchange, tmp_path, "run", "--metrics-port", str(port), "--poll", "0.05")
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        exchange.trade()
        head = exchange.chain.block_number()
        seen = scrape_until(
            port, lambda seen: (seen["cxdex_indexer_block"], seen["cxdex_indexer_lag_blocks"]) == (head, 0)
        )
        assert seen["cxdex_indexer_head_block"] == head
        assert 0 < seen["cxdex_indexer_blocks_total"] <= head
        assert seen["cxdex_indexer_events_total"] >= 2
        assert seen["cxdex_indexer_reorg_depth_blocks_count"] == 0
        assert seen["cxdex_indexer_announced_operations"] == 0
        oracle = exchange.contracts["Oracle"]
        calls = [[oracle.address, 0, oracle.encode("setQuorum", 2)]]
        exchange.send("admin", "Timelock", "schedule", calls, bytes(32))
        scrape_until(port, lambda seen: seen["cxdex_indexer_announced_operations"] == 1)
        exchange.reorg(3)
        seen = scrape_until(port, lambda seen: seen["cxdex_indexer_reorg_depth_blocks_count"] == 1)
        assert seen["cxdex_indexer_reorg_depth_blocks_sum"] == 3
        assert seen.of("cxdex_indexer_reorg_depth_blocks_bucket", le="2.0") == 0
        assert seen.of("cxdex_indexer_reorg_depth_blocks_bucket", le="4.0") == 1
    finally:
        child.terminate()
        assert child.wait(60) == 0


def test_a_node_that_is_away_is_counted(exchange: LiveExchange, tmp_path: Path) -> None:
    port = free_port()
    words = command(exchange, tmp_path, "run", "--metrics-port", str(port))
    words[words.index("--rpc") + 1] = "http://127.0.0.1:9"
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        assert "trying again" in child.stderr.readline()
        scrape_until(port, lambda seen: seen.of("cxdex_indexer_retries_total", part="node") >= 2)
    finally:
        child.terminate()
        assert child.wait(60) == 0
        child.stderr.close()
