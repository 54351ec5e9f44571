"""A real PostgreSQL server of its own for these tests, where its programs and its driver are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from scripts.stack.layout import free_port

Make = Callable[[], str]
"""A URL of a new, empty database."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Make]:
    programs = _programs()
    psycopg = pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    user = "postgres" if os.geteuid() == 0 else None  # its server refuses to run as root
    if programs is None or (user is not None and not _exists(user)):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder, port = Path(tempfile.mkdtemp(prefix="cxdex-postgres-")), free_port()
    if user is not None:
        shutil.chown(folder, user, user)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, "-D", folder / "data", *arguments],
            check=True, stdout=subprocess.DEVNULL, user=user, group=user, cwd=folder, extra_groups=None,
        )  # fmt: skip

    run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-o", settings, "-l", str(folder / "log"), "-w", "start")
    numbers = count(1)

    def make() -> str:
        name = f"exchange{next(numbers)}"
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"

    try:
        yield make
    finally:
        run("pg_ctl", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())
