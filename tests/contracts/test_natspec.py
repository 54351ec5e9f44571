"""Everything that can be called from outside says what it does, what each argument is and what it returns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from vyper import ast

from scripts.artifacts import ROOT

SOURCES = [path for path in sorted((ROOT / "contracts").rglob("*.vy")) if "mocks" not in path.parts]


def faults(source: str) -> Iterator[str]:
    for function in ast.parse_to_ast(source).get_children(ast.FunctionDef):
        decorators = {decorator.id for decorator in function.decorator_list if isinstance(decorator, ast.Name)}
        is_constructor = "deploy" in decorators
        if not is_constructor and "external" not in decorators:
            continue
        text = getattr(function, "doc_string", None)
        said = text.value if text else ""
        if not is_constructor and "@notice" not in said:
            yield f"{function.name}: @notice"
        for argument in function.args.args:
            if not re.search(rf"@param {argument.arg}\b", said):
                yield f"{function.name}: @param {argument.arg}"
        if function.returns is not None and "@return" not in said:
            yield f"{function.name}: @return"


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT / "contracts")) for path in SOURCES])
def test_what_is_external_is_described(path: Path) -> None:
    source = path.read_text()
    assert list(faults(source)) == []
    assert re.search(r'^"""\n@title .+\n@license \w+', source, re.MULTILINE), "what it is, and under which licence"


def test_what_is_missing_is_named() -> None:
    source = '@external\ndef f(a: uint256) -> uint256:\n    """\n    @param b Another.\n    """\n    return a\n'
    assert list(faults(source)) == ["f: @notice", "f: @param a", "f: @return"]
