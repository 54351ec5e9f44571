"""Whose key is whose: what one process could do alone if somebody else ran it.

That the engine and the API have no code that could send a batch, and the settler none to reach the order queue, is
checked by the import rules in pyproject.toml (`lint-imports`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.keys import REPORTERS
from scripts.stack.layout import Layout
from scripts.stack.run import bot_processes, service_processes


@pytest.fixture
def given(tmp_path: Path) -> dict[str, set[str]]:
    """Process to the roles whose keys it is told of."""
    layout = Layout(state=tmp_path, api_port=1, node_port=2, database="sqlite://")
    keys = {str(layout.key_file(role)): role for role in layout.keys}
    return {
        child.name: {keys[word] for word in child.command if word in keys}
        for _, child in (*service_processes(layout), *bot_processes(layout))
    }


def test_only_the_settler_has_cores_key_and_the_api_and_the_indexer_have_none(given: dict[str, set[str]]) -> None:
    assert given["settler"] == {"core"}
    assert given["engine"] == {"cosigner"}
    assert given["api"] == given["indexer"] == set()


def test_no_key_is_given_to_two_processes_and_no_powerful_one_to_any(given: dict[str, set[str]]) -> None:
    held = [role for roles in given.values() for role in roles]
    assert len(held) == len(set(held))
    assert set(REPORTERS) <= given["price reporter"]
    assert not {"admin", "guardian", "gateway", "deployer"} & set(held)


def test_a_key_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    layout = Layout(state=tmp_path, api_port=1, node_port=2)
    layout.prepare()
    files = list((tmp_path / "keys").iterdir())
    assert len(files) == len(layout.keys)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
