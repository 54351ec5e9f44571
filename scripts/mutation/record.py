"""What became of each mutant, kept from run to run in docs/mutants.json.

Owns:     the file; how a mutant is found again when the source around it has changed.
Promises: a result belongs to a line of code as it stands there (comments and layout do not count) and to which of the
          equal lines of its source it is: when the line changes, its mutants count as never tried.
Never:    compiles or runs anything.

    {"outcomes": {source: {line: "one letter for each of its mutants"}},
     "survivors": {source: {"line.number": {"mutant": what is other, "answer": why no test notices}}}}

`line` is a hash. Letters: k killed, s survived, = the same code, x does not compile, . not tried yet.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.artifacts import CONTRACTS, ROOT
from scripts.mutants import Mutant, mutants_of

PATH = ROOT / "docs" / "mutants.json"
SCORE_PAGE, SURVIVORS_PAGE = ROOT / "docs" / "security.md", ROOT / "docs" / "mutants.md"
LETTERS = {"killed": "k", "survived": "s", "same": "=", "invalid": "x"}
UNTRIED = "."
OPEN = ""  # the answer to a survivor that has none yet


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a mutant's letter is: the `number`-th mutant of a line."""

    source: str
    line: str
    number: int


@dataclass(slots=True)
class Record:
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    survivors: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    @staticmethod
    def read(path: Path = PATH) -> Record:
        found = json.loads(path.read_text()) if path.exists() else {"outcomes": {}, "survivors": {}}
        return Record(found["outcomes"], found["survivors"])

    def write(self, path: Path = PATH) -> None:
        path.write_text(json.dumps({"outcomes": self.outcomes, "survivors": self.survivors}, indent=1) + "\n")

    def letter(self, spot: Spot) -> str:
        return self.outcomes.get(spot.source, {}).get(spot.line, "")[spot.number : spot.number + 1] or UNTRIED

    def note(self, spot: Spot, mutant: Mutant, outcome: str) -> None:
        lines = self.outcomes.setdefault(spot.source, {})
        letters = lines.get(spot.line, "").ljust(spot.number + 1, UNTRIED)
        lines[spot.line] = letters[: spot.number] + LETTERS[outcome] + letters[spot.number + 1 :]
        told = self.survivors.setdefault(spot.source, {})
        key = f"{spot.line}.{spot.number}"
        if outcome == "survived":
            told[key] = {"mutant": str(mutant), "answer": self.answer(spot)}
        else:
            told.pop(key, None)

    def answer(self, spot: Spot) -> str:
        """Why no test notices this survivor."""
        known = self.survivors.get(spot.source, {}).get(f"{spot.line}.{spot.number}")
        return known["answer"] if known else OPEN

    def tidied(self) -> Record:
        """Only what belongs to the sources as they are, with the lines' numbers of today."""
        tidy = Record()
        for spot, mutant in all_spots():
            letter = self.letter(spot)
            outcome = next((name for name, known in LETTERS.items() if known == letter), None)
            if outcome is not None:
                tidy.survivors.setdefault(spot.source, {})[f"{spot.line}.{spot.number}"] = {"answer": self.answer(spot)}
                tidy.note(spot, mutant, outcome)
        tidy.survivors = {source: told for source, told in tidy.survivors.items() if told}
        return tidy

    def counts(self) -> dict[str, Counter[str]]:
        """By source: killed, same, invalid, and of the survivors: answered and open."""
        names = {letter: name for name, letter in LETTERS.items()}
        found: dict[str, Counter[str]] = {}
        for source, lines in sorted(self.outcomes.items()):
            found[source] = Counter(names[letter] for letters in lines.values() for letter in letters.replace(".", ""))
            answers = [one["answer"] for one in self.survivors.get(source, {}).values()]
            found[source]["open"] = answers.count(OPEN)
            found[source]["answered"] = len(answers) - answers.count(OPEN)
        return found


def all_spots() -> Iterator[tuple[Spot, Mutant]]:
    """Every mutant of every contract and module."""
    for path in sorted(CONTRACTS.rglob("*.vy")):
        if "mocks" not in path.parts:
            yield from spots(str(path.relative_to(CONTRACTS)), path.read_text())


def spots(source: str, text: str) -> Iterator[tuple[Spot, Mutant]]:
    """Every mutant of a source with its place in the record."""
    times: Counter[str] = Counter()
    start, number, name = (0, 0), 0, ""
    for mutant in mutants_of(source, text):
        if mutant.line_start != start:
            start, number = mutant.line_start, 0
            times[mutant.line] += 1
            name = hashlib.blake2s(f"{mutant.line} {times[mutant.line]}".encode(), digest_size=5).hexdigest()
        yield Spot(source, name, number), mutant
        number += 1


def survivors_page(record: Record) -> str:
    """docs/mutants.md."""
    lines = [
        "# Mutants that the contract tests let live",
        "",
        "Written by `python -m scripts.mutate --report --write` from `docs/mutants.json`; the score is in",
        "`docs/security.md`. Each line is one small fault that no test notices, and the reason; line numbers are of",
        "the last run.",
    ]
    for source, told in sorted(record.survivors.items()):
        lines += ["", f"## {source}", "", "| Fault | Reason |", "|---|---|"]
        for one in told.values():
            fault = one["mutant"].removeprefix(f"{source}:").replace("|", "\\|")
            lines.append(f"| {fault} | {one['answer'] or 'open'} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, record: Record) -> str:
    """docs/security.md with the score of now."""
    lines = page.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("| Source | tested |"))
    last = next(i for i, line in enumerate(lines) if i > first and line.startswith("| all |"))
    return "\n".join([*lines[:first], table(record), *lines[last + 1 :]])


def table(record: Record) -> str:
    """The score by source, as docs/security.md has it. Of what was tried: it changes only with the record."""
    heads = ("Source", "tested", "killed", "explained", "open", "score", "same code")
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * 6]
    total: Counter[str] = Counter()
    for source, counts in record.counts().items():
        lines.append(_row(source, counts))
        total += counts
    lines.append(_row("all", total))
    return "\n".join(lines)


def _row(name: str, counts: Counter[str]) -> str:
    tested = counts["killed"] + counts["survived"]
    score = f"{100 * counts['killed'] / tested:.1f} %" if tested else "-"
    numbers = [f"{counts[kind]:,}" for kind in ("killed", "answered", "open")]
    return f"| {name} | {tested:,} | " + " | ".join([*numbers, score, f"{counts['same']:,}"]) + " |"
