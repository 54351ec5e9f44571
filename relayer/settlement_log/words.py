"""What may be said of a fill's settlement, and in which order. Pure.

Owns:     the statuses, the way from one to another, and how words about single fills become words about runs.
Promises: no status is left out on the way: a fill is mined before it is final, and leaves one block before it enters
          another. What is the same is not said twice.

  matched -> submitted   its transaction was handed to the node; again with another transaction that pays more
  submitted -> reverted  the transaction is in a block and changed nothing; a later one carries the fill
  submitted -> matched   the transaction can never be mined; a later one carries the fill
  any -> mined, skipped  the chain has it, as the indexer says, whoever sent it
  mined -> final         no reorg takes it back any more
  mined, skipped -> submitted, matched   a reorg took it back
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MATCHED, SUBMITTED, REVERTED = "matched", "submitted", "reverted"
MINED, FINAL, SKIPPED = "mined", "final", "skipped"
STATUSES = (MATCHED, SUBMITTED, MINED, FINAL, SKIPPED, REVERTED)
ON_CHAIN = frozenset((MINED, FINAL, SKIPPED))
LONGEST_RUN = 200  # fills in one change: it bounds how large a message about it can be


class Word(NamedTuple):
    """batch: of ours that carries the fill; it does not make two words different."""

    status: str
    transaction: bytes | None = None
    block: int | None = None
    reason: str | None = None
    batch: int | None = None

    def says_the_same(self, other: Word) -> bool:
        return self[:4] == other[:4]


WAITS = Word(MATCHED)


class Run(NamedTuple):
    market: str
    first: int
    last: int
    word: Word


def way(before: Word, now: Word) -> list[Word]:
    """The words to say after `before`, so that the last one is `now`."""
    if now.says_the_same(before):
        return []
    said: list[Word] = []
    was_reversed = _place(before) != _place(now) or SKIPPED in (before.status, now.status)
    if before.status in ON_CHAIN and now.status in ON_CHAIN and was_reversed:
        said.append(Word(SUBMITTED, before.transaction, batch=now.batch))
    if now.status == FINAL and (before.status != MINED or said):
        said.append(now._replace(status=MINED))
    return [*said, now]


def of_batch(status: str, transaction: bytes, block: int | None, batch: int) -> Word:
    """What a batch's status means for its fills. That they are mined is the chain's to say, one by one."""
    if status == "PREPARED" or (status == "FAILED" and block is None):
        return Word(MATCHED, batch=batch)
    if status == "FAILED":
        return Word(REVERTED, transaction, block, batch=batch)
    return Word(SUBMITTED, transaction, batch=batch)


def runs(words: Mapping[tuple[str, int], Word]) -> Iterable[Run]:
    """The same words as runs of neighbours, by market and number."""
    current: Run | None = None
    for (market, sequence), word in sorted(words.items()):
        if (
            current is not None
            and (current.market, current.last + 1, current.word) == (market, sequence, word)
            and sequence - current.first < LONGEST_RUN
        ):
            current = current._replace(last=sequence)
            continue
        if current is not None:
            yield current
        current = Run(market, sequence, sequence, word)
    if current is not None:
        yield current


def _place(word: Word) -> tuple[bytes | None, int | None]:
    return word.transaction, word.block
