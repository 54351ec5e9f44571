"""The command line as a person meets it: one line for a problem, the right exit code, no traceback, no key shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cxdex.order_strategies import KEY

NOBODY = "http://127.0.0.1:1"


def cxdex(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CXDEX_")}
    return subprocess.run(
        [sys.executable, "-m", "cxdex", *arguments],
        capture_output=True,
        text=True,
        env=clean | {"CXDEX_API": NOBODY} | environment,
        check=False,
        timeout=30,
    )


def test_help_lists_every_command() -> None:
    done = cxdex("--help")
    assert done.returncode == 0
    named = "order validate cancel orders balance fills deposit withdraw claim book trades markets status nonce"
    named += " session deadman ticker amend replace export"
    assert all(command in done.stdout for command in named.split())


@pytest.mark.parametrize(
    ("arguments", "environment", "code"),
    [
        (["balance"], {}, "KEY_MISSING"),
        (["balance"], {"CXDEX_PRIVATE_KEY": KEY.hex()[:-1]}, "KEY_INVALID"),
        (["--key-file", "/nowhere", "balance"], {}, "KEY_MISSING"),
        (["order", "sBTC-USDC", "buy", "1"], {}, "OPTION_INVALID"),
        (["order", "sBTC-USDC", "buy", "1", "--price", "1", "--worst-price", "2"], {}, "OPTION_INVALID"),
        (["order", "sBTC-USDC", "buy", "1", "--price", "1", "--by", "last"], {}, "OPTION_INVALID"),
        (["cancel"], {}, "OPTION_INVALID"),
        (["cancel", "--all", "--client-id", "mine"], {}, "OPTION_INVALID"),
        (["replace", "0x12"], {}, "OPTION_INVALID"),
        (["cancel", "0x12", "--side", "buy"], {}, "OPTION_INVALID"),
        (["cancel", "--all", "--on-chain", "--side", "buy"], {}, "OPTION_INVALID"),
        (["--session-of", "me", "orders"], {"CXDEX_PRIVATE_KEY": KEY.hex()}, "FIELD_INVALID"),
        (["orders"], {"CXDEX_PRIVATE_KEY": KEY.hex(), "CXDEX_SESSION_OF": "0x" + "11" * 19}, "FIELD_INVALID"),
        (["--api", "nonsense", "book", "sBTC-USDC"], {}, "API_URL_INVALID"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(arguments: list[str], environment: dict[str, str], code: str) -> None:
    done = cxdex(*arguments, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith(code)
    assert done.stderr.count("\n") == 1
    assert KEY.hex()[:-1] not in done.stderr + done.stdout


def test_an_exchange_that_is_not_there_is_one_line() -> None:
    done = cxdex("deposit", "1", CXDEX_PRIVATE_KEY=KEY.hex())
    assert done.returncode == 1
    assert done.stderr.startswith("UNREACHABLE")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--json", "balance"], ["balance", "--json"]])
def test_a_program_reads_problems_as_json(arguments: list[str]) -> None:
    done = cxdex(*arguments)
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "KEY_MISSING"


def test_wrong_usage_is_exit_code_2() -> None:
    assert cxdex("book").returncode == 2
    assert cxdex("no-such-command").returncode == 2


def test_an_encrypted_keystore_without_its_password_asks_for_nothing_in_a_script(tmp_path: Path) -> None:
    keystore = tmp_path / "keystore.json"
    keystore.write_text("{}")
    done = cxdex("--key-file", str(keystore), "balance")
    assert done.stderr.startswith("KEY_PASSWORD_MISSING")
