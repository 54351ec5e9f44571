"""What a person sees when the machine is not as the exchange needs it: one message with a remedy, exit code 2."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bootstrap
from scripts.stack.layout import Layout, StackError, free_port
from scripts.stack.node import node_process
from scripts.stack.processes import MARKER, Child, python, stop_leftovers
from scripts.stack.run import Stack, only_one

ROOT = Path(__file__).resolve().parents[2]


def run_module(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_port_in_use_names_the_port_and_another_way(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_module("scripts.up", "--state", str(tmp_path), "--api-port", str(port))
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in done.stdout
    assert "API_PORT=" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_second_exchange_on_one_folder_is_refused(tmp_path: Path) -> None:
    with only_one(tmp_path):
        done = run_module("scripts.up", "--state", str(tmp_path), "--api-port", str(free_port()))
    assert done.returncode == 2
    assert f"already running on {tmp_path} (process {os.getpid()})" in " ".join(done.stdout.split())


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_a_missing_node_says_what_to_install(tmp_path: Path, missing: str) -> None:
    for tool in {"node", "npm"} - {missing}:
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bootstrap.py")],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Node.js 20 or newer with npm is needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_node_is_named_with_its_version(tmp_path: Path) -> None:
    for tool in ("node", "npm"):
        fake = tmp_path / tool
        fake.write_text("#!/bin/sh\necho v18.19.0\n")
        fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bootstrap.py")],
        env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Node.js v18.19.0 is too old: 20 or newer" in done.stderr


@pytest.mark.parametrize("usdc", ["0x1", "USDC", "11" * 20, "0x" + "1g" * 20])
def test_a_token_that_is_no_address_is_named(tmp_path: Path, usdc: str) -> None:
    words = ("--rpc", "http://127.0.0.1:1", "--keys", str(tmp_path), "--out", str(tmp_path / "x.json"), "--usdc", usdc)
    done = run_module("scripts.deploy", *words)
    assert done.returncode == 2
    assert f"{usdc} is no address: 0x and 40 hexadecimal digits" in done.stderr


@pytest.mark.parametrize("asker", ["the one that made it", "another"])
def test_nothing_is_installed_again_for_another_python_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asker: str
) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\n")
    if asker == "another":
        monkeypatch.setattr(platform, "python_version", lambda: "3.12.9")
    assert bootstrap.fingerprint("v20.0.0").split()[1] == "3.11.2"


def test_a_dead_node_stops_the_exchange_with_the_remedy(tmp_path: Path) -> None:
    layout = Layout(tmp_path, free_port(), free_port())
    layout.prepare()
    node = node_process(layout)
    node.start()
    stack = Stack(layout, [node])
    node.kill()
    with pytest.raises(StackError, match=r"(?s)local node has died.*make up.*make reset"):
        stack.heal(print)


def test_a_service_that_dies_is_started_again_and_one_that_keeps_dying_is_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path, free_port(), free_port())
    layout.prepare()
    service = Child("echo", python("-c", "import time; print('ready'); time.sleep(60)"), tmp_path / "echo.log")
    service.start()
    first = service.pid
    service.kill()
    notes: list[str] = []
    Stack(layout, [service]).heal(notes.append)
    assert service.running
    assert service.pid != first
    assert "echo died and is started again" in notes[0]
    service.restarts = 5
    service.kill()
    with pytest.raises(StackError, match="echo keeps dying"):
        Stack(layout, [service]).heal(notes.append)


def test_what_a_killed_supervisor_left_running_is_stopped(tmp_path: Path) -> None:
    orphan = Child(
        "orphan", python("-c", "import time; print('ready'); time.sleep(60)"), tmp_path / "orphan.log",
        environment={MARKER: str(tmp_path.resolve())},
    )  # fmt: skip
    orphan.start()
    assert len(stop_leftovers(tmp_path)) == 1
    assert not orphan.running
    assert stop_leftovers(tmp_path) == []


def test_a_service_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    service = Child("broken", python("-c", "raise SystemExit('the disk is full')"), tmp_path / "broken.log")
    with pytest.raises(StackError, match=r"(?s)broken stopped while starting.*the disk is full"):
        service.start()


def test_reset_removes_only_a_state_folder_that_nobody_uses(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert "nothing to reset" in run_module("scripts.reset", "--state", str(state)).stdout
    state.mkdir()
    (state / "precious.txt").write_text("x")
    refused = run_module("scripts.reset", "--state", str(state))
    assert refused.returncode == 2
    assert (state / "precious.txt").exists()
    (state / "precious.txt").unlink()
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_module("scripts.reset", "--state", str(state)).returncode == 2
    assert run_module("scripts.reset", "--state", str(state)).returncode == 0
    assert not state.exists()
