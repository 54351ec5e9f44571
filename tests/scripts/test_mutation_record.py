"""The record of the mutants: a result stays with its line of code, wherever that goes, and with no other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from scripts.mutation.record import SCORE_PAGE, SURVIVORS_PAGE, Record, spots, survivors_page, with_table

SOURCE = """
LIMIT: constant(uint256) = 10

@external
def add(amount: uint256):
    assert amount < LIMIT, "X:LIMIT"
    self.total += amount
    self.count += 1
    self.count += 1
"""
NAME = "Adder.vy"


def letters(record: Record, text: str) -> str:
    return "".join(record.letter(spot) for spot, _ in spots(NAME, text))


def tried(outcome: str, text: str = SOURCE) -> Record:
    record = Record()
    for spot, mutant in spots(NAME, text):
        record.note(spot, mutant, outcome)
    return record


def test_a_result_moves_with_its_line() -> None:
    moved = SOURCE.replace("LIMIT:", "# the most\nOTHER: constant(uint256) = 3\nLIMIT:").replace(
        "amount <", "amount  <"
    )
    assert Counter(letters(tried("killed"), moved)) == Counter(letters(tried("killed"), SOURCE)) + Counter("..")


def test_a_line_that_changes_counts_as_never_tried() -> None:
    changed = SOURCE.replace("amount < LIMIT", "amount <= LIMIT")
    untried = [mutant.line for spot, mutant in spots(NAME, changed) if tried("killed").letter(spot) == "."]
    assert untried == ['assert amount <= LIMIT , "X:LIMIT"'] * 2  # the check, and its limit


def test_equal_lines_have_results_of_their_own() -> None:
    record = tried("killed")
    last, mutant = list(spots(NAME, SOURCE))[-1]
    record.note(last, mutant, "survived")
    assert letters(record, SOURCE).count("s") == 1


def test_a_survivor_keeps_its_answer_until_it_is_killed() -> None:
    record = tried("survived")
    spot, mutant = next(spots(NAME, SOURCE))
    record.survivors[NAME][f"{spot.line}.{spot.number}"]["answer"] = "nobody can tell"
    record.note(spot, mutant, "survived")
    assert record.answer(spot) == "nobody can tell"
    record.note(spot, mutant, "killed")
    assert record.answer(spot) == ""


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    tried("survived").write(tmp_path / "mutants.json")
    assert Record.read(tmp_path / "mutants.json") == tried("survived")


def test_the_pages_are_those_of_the_record() -> None:
    record, score = Record.read(), SCORE_PAGE.read_text()
    assert with_table(score, record) == score
    assert survivors_page(record) == SURVIVORS_PAGE.read_text()


def test_every_survivor_in_the_record_is_told_of() -> None:
    for source, lines in Record.read().outcomes.items():
        assert sum(letters.count("s") for letters in lines.values()) == len(Record.read().survivors.get(source, {}))
