"""Internal balances, and what every projection shares: names of markets, the statement, the facts, plain history.

Owns:     `account_balance`, `ledger_entry` and `exchange_value`: the only code that moves them.
Promises: no balance goes below zero; one statement line for each change. Where an event says what stands after it, the
          fold says the same, or halts.
"""

from __future__ import annotations

from typing import Any

from cxdex.facts import AnyFact, Credited, Debited
from indexer.events import Position
from indexer.halt import Halt
from indexer.rows import HISTORY_SPECS, BalanceRow, MarketRow, ValueRow
from indexer.state import State

CASH, CXPT = 0, 1

FEE_POCKET, COLLATERAL, CXPT_RESERVE, LAST_BEAT = "FEE_POCKET", "COLLATERAL", "CXPT_RESERVE", "LAST_BEAT"

AnyRow = tuple[Any, ...]
History = tuple[list[AnyRow], ...]  # rows by table, in the order of HISTORY_SPECS


class Ledger:
    """What projections write to while one block is folded."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.begin()
        self._symbol_by_index: dict[int, str] = {}
        self._symbol_by_hash: dict[bytes, str] = {}
        for (symbol,), row in state.markets.rows.items():
            if row is not None:
                self.name_market(symbol, row)

    def begin(self) -> None:
        """Starts a block with empty output."""
        self.facts: list[tuple[int, int, AnyFact]] = []
        self.history: History = tuple([] for _ in HISTORY_SPECS)
        (
            self.fills,
            self.entries,
            self.fee_movements,
            self.price_updates,
            self.liquidations,
            self.timelock_calls,
            self.notices,
        ) = self.history

    # ------------------------------------------------------------------ balances

    def credit(self, account: bytes, asset: int, amount: int, kind: str, at: Position) -> int:
        """Adds to a balance and returns it."""
        return self._move(account, asset, amount, kind, True, at)

    def debit(self, account: bytes, asset: int, amount: int, kind: str, at: Position) -> int:
        """Takes from a balance and returns it. Raises Halt BALANCE_NEGATIVE."""
        return self._move(account, asset, -amount, kind, False, at)

    def credit_told(self, account: bytes, asset: int, amount: int, kind: str, at: Position, balance: int) -> None:
        """A credit whose event says what the balance is after it, and the fact for the relayer."""
        found = self.credit(account, asset, amount, kind, at)
        self.require_equal(f"that 0x{account.hex()} has {{}} of asset {asset}", kind, at, balance, found)
        self.fact(at, Credited(account, asset, amount))

    def debit_told(self, account: bytes, asset: int, amount: int, kind: str, at: Position, balance: int) -> None:
        self.debit_checked(account, asset, amount, kind, at, balance)
        self.fact(at, Debited(account, asset, amount))

    def debit_checked(self, account: bytes, asset: int, amount: int, kind: str, at: Position, balance: int) -> None:
        """A debit that the relayer knows from an earlier fact, or is told of in another way."""
        found = self.debit(account, asset, amount, kind, at)
        self.require_equal(f"that 0x{account.hex()} has {{}} of asset {asset}", kind, at, balance, found)

    def _move(self, account: bytes, asset: int, change: int, kind: str, is_credit: bool, at: Position) -> int:
        key = (account, asset)
        balances = self.state.balances
        row = balances.get(key)
        amount = change if row is None else row[0] + change
        if amount < 0:
            raise Halt(
                "BALANCE_NEGATIVE",
                f"{kind} at block {at.block}, log {at.log_index} takes {-change} of asset {asset} from "
                f"0x{account.hex()}, which has only {amount - change}: events before it are missing",
            )
        balances.put(key, BalanceRow(amount, at.block))
        self.entries.append(
            (account, at.block, at.log_index, asset, kind, is_credit, abs(change), amount, at.timestamp, at.tx_hash)
        )
        return amount

    # ------------------------------------------------------------------ the exchange as a whole

    def change_value(self, name: str, change: int, at: Position, expected: int | None = None) -> None:
        """Moves one of the Vault's pockets. Raises Halt BALANCE_NEGATIVE, and BALANCE_MISMATCH when the event says
        another amount than `expected`."""
        row = self.state.values.get((name,))
        value = change if row is None else row[0] + change
        if value < 0:
            raise Halt("BALANCE_NEGATIVE", f"block {at.block}, log {at.log_index}: {name} would fall to {value}")
        if expected is not None:
            self.require_equal(f"that {name} is {{}}", "it", at, expected, value)
        self.state.values.put((name,), ValueRow(value))

    def require_equal(self, what: str, kind: str, at: Position, expected: int, found: int) -> None:
        """Raises Halt BALANCE_MISMATCH. `what` has a place for the number that the contract names."""
        if expected != found:
            raise Halt(
                "BALANCE_MISMATCH",
                f"{kind} at block {at.block}, log {at.log_index}: the contract says {what.format(expected)}, "
                f"the events before it add up to {found}",
                allowed="run `python -m indexer audit`, then `python -m indexer rebuild`",
            )

    # ------------------------------------------------------------------ facts

    def fact(self, at: Position, fact: AnyFact) -> None:
        """A fact for the relayer: at most one an event, because its position is the event's."""
        self.facts.append((at.block, at.log_index, fact))

    # ------------------------------------------------------------------ markets

    def name_market(self, symbol: str, row: MarketRow) -> None:
        self._symbol_by_index[row.index] = symbol
        self._symbol_by_hash[row.hash] = symbol

    def market_by_index(self, index: int, at: Position) -> tuple[str, MarketRow]:
        """Symbol and row of a listed market. Raises Halt MARKET_UNKNOWN."""
        return self._market(self._symbol_by_index.get(index), f"number {index}", at)

    def market_by_hash(self, market: bytes, at: Position) -> tuple[str, MarketRow]:
        return self._market(self._symbol_by_hash.get(market), f"0x{market.hex()}", at)

    def _market(self, symbol: str | None, name: str, at: Position) -> tuple[str, MarketRow]:
        row = None if symbol is None else self.state.markets.get((symbol,))
        if symbol is None or row is None:
            raise Halt("MARKET_UNKNOWN", f"block {at.block}, log {at.log_index} names market {name}, never listed")
        return symbol, row
