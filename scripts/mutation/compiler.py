"""Compiles the contracts that a changed source is part of, in about half of the compiler's usual time.

Owns:     the shortcut, and what counts as the code of a contract.
Promises: the same code as without the shortcut; `check` compiles a contract both ways.
Never:    is used for what gets deployed.

The compiler looks for things to simplify in a tree again after every change, and in each part of it beforehand. What
was found to have nothing left to simplify, under the same kind of parent, is not looked at again.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import vyper.ir.optimizer as optimizer

from scripts.artifacts import CONTRACTS, Compiled, compile_sources, contracts_with
from scripts.coverage.statements import all_statements, traced_codes

CHECKED = CONTRACTS / "Oracle.vy"
Users = dict[tuple[str, int], set[Path]]


def take_shortcut() -> None:
    """From now on in this process."""
    slow = optimizer._optimize

    def fast(node: Any, parent: Any) -> tuple[bool, Any]:
        kind = None if parent is None else parent.value
        settled = node.__dict__.get("settled_below")
        if settled is not None and kind in settled:
            return False, node
        changed, result = slow(node, parent)
        if not changed and result is node:
            node.__dict__.setdefault("settled_below", set()).add(kind)
        return changed, result

    optimizer._optimize = fast


def check(known: Compiled) -> None:
    """`known` is what the compiler gives without the shortcut."""
    if compile_sources([CHECKED])[CHECKED.stem] != known[CHECKED.stem]:
        raise SystemExit("the shortcut through the compiler changes its code: mend scripts/mutation/compiler.py")


def users(sources: set[str]) -> Users:
    """By source and line of a statement, the contracts that have code of the function that it is in."""
    by_function: dict[tuple[str, str], set[Path]] = defaultdict(set)
    for path in {path for source in sources for path in contracts_with(source)}:
        for code in traced_codes(path):
            for statement in set(code.statements.values()):
                by_function[statement.source, statement.function].add(path)
    return {(one.source, one.line): by_function[one.source, one.function] for one in all_statements()}


def compiled_with(known: Compiled, users: Users, changed: str, line: int) -> tuple[Compiled, set[str]] | None:
    """`known` after a change of a line, and which contracts are others now; None when it does not compile."""
    try:
        anew = compile_sources(sorted(users.get((changed, line), ())) or contracts_with(changed))
    except Exception:  # of any kind: what the compiler cannot take is no mutant
        return None
    return {**known, **anew}, {name for name in anew if code(anew[name]) != code(known[name])}


def code(contract: dict[str, Any]) -> str:
    """What creates it, without the compiler's note on the sources."""
    whole = bytes.fromhex(contract["init_code"])
    return whole[: -int.from_bytes(whole[-2:], "big")].hex()
