"""`python -m indexer` as people and supervisors meet it: real processes, kills, exit codes, messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.indexer.indexing import Indexing
from tests.indexer.live_exchange import LiveExchange
from tests.indexer.test_store import standing
from tests.indexer.whole_life import live_through_everything

Start = Callable[..., subprocess.Popen[str]]
Index = Callable[..., Indexing]


def command(exchange: LiveExchange, tmp_path: Path, *words: str) -> list[str]:
    options = ["--database", f"sqlite:///{tmp_path / 'exchange.db'}", "--rpc", exchange.chain.rpc_url]
    return [sys.executable, "-m", "indexer", *words, *options, "--deployment", str(exchange.path)]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def start(exchange: LiveExchange, tmp_path: Path) -> Iterator[Start]:
    """Starts `run` and returns when it says "ready"."""
    children: list[subprocess.Popen[str]] = []

    def started(*options: str) -> subprocess.Popen[str]:
        words = command(exchange, tmp_path, "run", *options)
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.stderr.read() if child.stderr else ""
        return child

    yield started
    for child in children:
        child.kill()
        child.communicate()


def wait_until(indexing: Indexing, block: int) -> None:
    """Until the database is at the block."""
    begun = time.monotonic()
    while True:
        with indexing.engine.connect().execution_options(read_only=True) as connection:
            at = connection.exec_driver_sql("SELECT block FROM checkpoint").scalar()
        if at is not None and at >= block:
            return
        assert time.monotonic() - begun < 60, f"the indexer stays at {at}"
        time.sleep(0.02)


def test_it_follows_the_head_and_stops_when_asked(exchange: LiveExchange, index: Index, start: Start) -> None:
    child = start()
    reader = index()
    for _ in range(3):
        exchange.trade()
        wait_until(reader, exchange.chain.block_number())
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
    assert index().require_clean()


def test_kills_and_reorgs_leave_what_a_fresh_index_has(exchange: LiveExchange, index: Index, start: Start) -> None:
    """SIGKILL at moments that nobody chose, while trades settle and blocks are reorged."""
    random = Random(20)
    for number in range(5):
        child = start("--poll", "0.01")
        for _ in range(random.randint(1, 5)):
            exchange.trade(lane=random.randint(0, 9))
        if number % 2:
            exchange.reorg(random.randint(1, 9))
            exchange.mine()
        time.sleep(random.random() / 10)
        child.send_signal(signal.SIGKILL)
        child.wait(60)
    survivor, fresh = index(), index("fresh.db")
    survivor.catch_up()
    fresh.catch_up()
    assert survivor.digest() == fresh.digest()
    assert standing(survivor.engine) == standing(fresh.engine)
    survivor.require_clean()


def test_a_second_indexer_is_refused(exchange: LiveExchange, tmp_path: Path, start: Start) -> None:
    start()
    second = run(*command(exchange, tmp_path, "run"))
    assert second.returncode == 2
    assert "another indexer is writing" in second.stderr
    assert "Traceback" not in second.stderr


def test_rebuild_and_audit_report_and_exit(exchange: LiveExchange, index: Index, tmp_path: Path) -> None:
    live_through_everything(exchange)
    index().catch_up()
    for words in (("rebuild",), ("rebuild", "--from-raw")):
        rebuilt = run(*command(exchange, tmp_path, *words))
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert "the same rows as before" in rebuilt.stdout
    clean = run(*command(exchange, tmp_path, "audit"))
    assert clean.returncode == 0
    assert "clean:" in clean.stdout

    with index().engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lane SET seq = seq + 1")
    dirty = run(*command(exchange, tmp_path, "audit"))
    assert dirty.returncode == 1
    assert "DIFFERENT  lane" in dirty.stdout
    healed = run(*command(exchange, tmp_path, "rebuild"))
    assert healed.returncode == 1  # it says that the rows were wrong
    assert "lane:" in healed.stdout
    assert run(*command(exchange, tmp_path, "audit")).returncode == 0


def test_a_rebuild_that_is_killed_is_finished_by_run(
    exchange: LiveExchange, index: Index, tmp_path: Path, start: Start
) -> None:
    live_through_everything(exchange)
    index().catch_up()
    expected = index().digest()
    said = standing(index().engine)
    interrupted = index()
    interrupted.store.wipe(keep_raw=True)  # where a kill leaves a rebuild from raw logs

    start()
    wait_until(interrupted, exchange.chain.block_number())
    assert index().digest() == expected
    assert standing(index().engine) == said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--deployment": "/nowhere/deployment.json"}, "no deployment file"),
        ({"--database": "sqlite:////nowhere/at/all.db"}, "cannot be used"),
        ({"--database": "not a url"}, "is not a database URL"),
        ({"--rpc": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_what_an_operator_gets_wrong_is_said_in_one_line(
    exchange: LiveExchange, index: Index, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    index().catch_up()
    words = command(exchange, tmp_path, "audit")
    for option, value in change.items():
        words[words.index(option) + 1] = value
    refused = run(*words)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_an_empty_database_has_nothing_to_audit(exchange: LiveExchange, tmp_path: Path) -> None:
    refused = run(*command(exchange, tmp_path, "audit"))
    assert refused.returncode == 2
    assert "indexer run" in refused.stderr


def test_it_waits_for_a_node_that_is_not_there_yet(exchange: LiveExchange, tmp_path: Path) -> None:
    words = command(exchange, tmp_path, "run")
    words[words.index("--rpc") + 1] = "http://127.0.0.1:9"
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert child.stderr is not None
    assert "trying again" in child.stderr.readline()
    child.terminate()
    assert child.wait(60) == 0
    assert child.stderr.read() == ""  # said once
