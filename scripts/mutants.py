"""The faults that mutation testing puts into a Vyper source: one small change each.

Owns:     the kinds of change. A source is read as tokens, so that comments and docstrings are never touched.
Promises: every mutant names its source, line, and the text before and after.
Never:    reads or writes files.

    operator    an arithmetic, bit or logical operator becomes another one
    boundary    a comparison includes or leaves out its limit, or is turned around
    constant    a number is one more or one less
    assert      a check is gone
    write       an assignment to storage is gone
    call        a statement that only calls something is gone
    arguments   the first two arguments of a call change places
"""

from __future__ import annotations

import io
import token
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from tokenize import TokenInfo

OPERATORS = {
    "+": "-", "-": "+", "*": "//", "//": "*", "&": "|", "|": "&", "^": "|", ">>": "<<", "<<": ">>", "+=": "-=",
    "-=": "+=", "|=": "&=", "and": "or", "or": "and", "unsafe_add": "unsafe_sub", "unsafe_sub": "unsafe_add",
    "unsafe_mul": "unsafe_div", "unsafe_div": "unsafe_mul",
}  # fmt: skip
BOUNDARIES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
COMMUTATIVE = ("unsafe_add", "unsafe_mul", "min", "max")  # changing their arguments' places changes nothing
SIZED_TYPES = ("String", "Bytes", "DynArray")
SKIPPED = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
ASSIGNMENTS = ("=", "+=", "-=", "|=")

Position = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True, slots=True)
class Mutant:
    source: str
    kind: str
    start: Position
    end: Position
    before: str
    after: str
    line: str  # the whole logical line, comments and layout left out
    line_start: Position

    def applied(self, text: str) -> str:
        """The whole source with this change."""
        first, last = _offset(text, self.start), _offset(text, self.end)
        return text[:first] + self.after + text[last:]

    def __str__(self) -> str:
        before = " ".join(self.before.split())
        return f"{self.source}:{self.start[0]} {self.kind}: `{before}` becomes `{self.after}`"


def mutants_of(source: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a source, in its order."""
    for line in _logical_lines(text):
        words = " ".join(found.string for found in line)
        for kind, start, end, after in _changes(line, text):
            before = text[_offset(text, start) : _offset(text, end)]
            yield Mutant(source, kind, start, end, before, after, words, line[0].start)


Change = tuple[str, Position, Position, str]


def _changes(line: list[TokenInfo], text: str) -> Iterator[Change]:
    first = line[0].string
    if first in ("from", "import", "event", "struct", "implements", "initializes", "uses", "exports", "@", "def"):
        return
    if line[0].type == token.STRING:
        return  # a docstring
    whole = (line[0].start, line[-1].end, "pass")
    if first == "assert":
        yield ("assert", *whole)
    elif _writes_storage(line):
        yield ("write", *whole)
    elif first in ("extcall", "log") or (first == "self" and not any(t.string in ASSIGNMENTS for t in line)):
        yield ("call", *whole)
    for index, found in enumerate(line):
        yield from _token_changes(line, index, found)
    yield from _swaps(line, text)


def _token_changes(line: list[TokenInfo], index: int, found: TokenInfo) -> Iterator[Change]:
    word, where = found.string, (found.start, found.end)
    if word in OPERATORS and index:
        yield ("operator", *where, OPERATORS[word])
    elif word in BOUNDARIES:
        yield ("boundary", *where, BOUNDARIES[word])
    elif word == "not" and line[index + 1].string == "in":
        yield ("boundary", found.start, line[index + 1].end, "in")
    elif found.type == token.NUMBER and not _is_size(line, index) and word.replace("_", "").isdigit():
        value = int(word)
        yield ("constant", *where, str(value + 1))
        if value:
            yield ("constant", *where, str(value - 1))


def _is_size(line: list[TokenInfo], index: int) -> bool:
    """Whether the number is the size of a type, as in String[32]."""
    before = [t.string for t in line[max(0, index - 4) : index]]
    return "[" in before and any(name in before for name in SIZED_TYPES)


def _writes_storage(line: list[TokenInfo]) -> bool:
    """`self.x[...] = ...`, not a call."""
    if [t.string for t in line[:2]] != ["self", "."]:
        return False
    depth = 0
    for found in line:
        depth += (found.string in ("[", "(")) - (found.string in ("]", ")"))
        if depth == 0 and found.string in ASSIGNMENTS:
            return True
    return False


def _swaps(line: list[TokenInfo], text: str) -> Iterator[Change]:
    """Calls with at least two arguments without names."""
    for index in range(1, len(line)):
        if (
            line[index].string != "("
            or line[index - 1].type != token.NAME
            or line[index - 1].string in ("in", *COMMUTATIVE)
        ):
            continue
        spans = _arguments(line, index)
        if len(spans) < 2 or any(t.string == "=" for t in (*spans[0], *spans[1])):
            continue
        (one, two) = (text[_offset(text, s[0].start) : _offset(text, s[-1].end)] for s in spans[:2])
        if one != two:
            between = text[_offset(text, spans[0][-1].end) : _offset(text, spans[1][0].start)]
            yield "arguments", spans[0][0].start, spans[1][-1].end, two + between + one


def _arguments(line: list[TokenInfo], opening: int) -> list[list[TokenInfo]]:
    spans: list[list[TokenInfo]] = [[]]
    depth = 0
    for found in line[opening:]:
        depth += found.string in ("(", "[", "{")
        if depth == 1 and found.string == ",":
            spans.append([])
        elif depth > 1 or found.string not in ("(", ")"):
            spans[-1].append(found)
        depth -= found.string in (")", "]", "}")
        if depth == 0:
            break
    return [span for span in spans if span]


def _logical_lines(text: str) -> Iterator[list[TokenInfo]]:
    line: list[TokenInfo] = []
    for found in tokenize.generate_tokens(io.StringIO(text).readline):
        if found.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if line:
                yield line
            line = []
        elif found.type not in SKIPPED:
            line.append(found)


def _offset(text: str, position: Position) -> int:
    line, column = position
    start = 0
    for _ in range(line - 1):
        start = text.index("\n", start) + 1
    return start + column
