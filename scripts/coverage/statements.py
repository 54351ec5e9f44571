"""Which statement of which source each instruction of a compiled contract belongs to.

Owns:     the reading of the compiler's instruction tables.
Promises: every statement of every function below `contracts/` is known, also when no contract has code of it.
Never:    runs a contract.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vyper import ast as vy_ast
from vyper.ast.parse import parse_to_ast
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData
from vyper.compiler.settings import Settings
from vyper.ir import compile_ir

from scripts.artifacts import CONTRACTS, EVM_VERSION, ROOT

STATEMENTS = (
    vy_ast.AnnAssign,
    vy_ast.Assert,
    vy_ast.Assign,
    vy_ast.AugAssign,
    vy_ast.Break,
    vy_ast.Continue,
    vy_ast.Expr,
    vy_ast.For,
    vy_ast.If,
    vy_ast.Log,
    vy_ast.Raise,
    vy_ast.Return,
)


@dataclass(frozen=True, slots=True, order=True)
class Statement:
    """Where it begins. source: below contracts/. function: the one that it is in."""

    source: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class TracedCode:
    """Code, and the statement of each instruction that belongs to one.

    Behind it come immutables, when it is deployed code, or the constructor's arguments, when it creates a contract.
    """

    code: bytes
    statements: dict[int, Statement]


def deployable_sources() -> list[Path]:
    return sorted(CONTRACTS.glob("*.vy"))


def all_statements() -> set[Statement]:
    """Of the contracts and their modules; not of the mocks, which only tests use."""
    found: set[Statement] = set()
    for path in [*deployable_sources(), *sorted((CONTRACTS / "modules").glob("*.vy"))]:
        module = parse_to_ast(path.read_text(), resolved_path=str(path))
        for node in module.get_descendants(STATEMENTS):
            statement = _statement(node, path)
            if statement is not None:
                found.add(statement)
    return found


def traced_codes(path: Path) -> list[TracedCode]:
    """The code that creates the contract, and the contract's."""
    bundle = FilesystemInputBundle([ROOT])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = CompilerData(bundle.load_file(path), input_bundle=bundle, settings=Settings(evm_version=EVM_VERSION))
        return [
            _traced(compiled.bytecode, compiled.assembly),
            _traced(compiled.bytecode_runtime, compiled.assembly_runtime),
        ]


def _traced(code: bytes, assembly: Any) -> TracedCode:
    _, maps = compile_ir.assembly_to_evm(assembly, compiler_metadata=None)
    statements = {}
    for position, node in maps["pc_raw_ast_map"].items():
        statement = _statement(node)
        if statement is not None:
            statements[position] = statement
    return TracedCode(code, statements)


def _statement(node: Any, path: Path | None = None) -> Statement | None:
    """The innermost statement around the node; None for what is in no function, a docstring, or an interface."""
    if not isinstance(node, STATEMENTS):
        node = node.get_ancestor(STATEMENTS)
    if (
        node is None
        or node.lineno is None
        or (isinstance(node, vy_ast.Expr) and isinstance(node.value, vy_ast.DocStr | vy_ast.Str))
    ):
        return None
    function = node.get_ancestor(vy_ast.FunctionDef)
    if function is None:
        return None
    source = path or Path(function.module_node.resolved_path)
    if not source.is_relative_to(CONTRACTS) or "interfaces" in source.parts:
        return None
    return Statement(str(source.relative_to(CONTRACTS)), node.lineno, function.name)
