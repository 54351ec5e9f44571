"""The debt part of the naive exchange: collateral, synths in and out of being, redemptions, prices, operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random

from cxdex.keccak import keccak
from indexer import events
from indexer.events import Event

Operation = Callable[[], list[Event]]

PRICE_SOURCE = keccak(b"source")[:20]


class DebtModel:
    """Balances and what stands behind synths. What is in wallets is nobody's business here."""

    def __init__(self, random: Random, accounts: Sequence[bytes], asset: int) -> None:
        self.random = random
        self.balances: dict[tuple[bytes, int], int] = defaultdict(int)
        self.pocket = self.reserve = self.collateral = 0
        self.supply = self.escrow = 0
        self.debts: dict[bytes, tuple[int, int]] = {}  # (debt, collateral)
        self.redemptions: dict[int, tuple[bytes, int, str]] = {}  # (account, remaining, status)
        self.prices: list[tuple[int, int]] = []  # (price, publish time)
        self.operations_seen: dict[bytes, str] = {}
        self.liquidations = 0
        self._accounts = accounts
        self._asset = asset
        self._counter = 0

    def debt_operations(self) -> list[Operation]:
        positions = [self._some_mint, self._burn, self._release, self._liquidate, self._redeem, self._redeem]
        return [*positions, self._price, self._operate, self._notice, self._redeem_cxpt]

    # ------------------------------------------------------------------ positions

    def mint(self, account: bytes, amount: int, locked: int) -> list[Event]:
        """Debt for synths in the trading balance, and collateral out of the wallet when there is any."""
        made: list[Event] = []
        if locked:
            self.collateral += locked
            made.append(events.CollateralLocked(account, locked, self.collateral))
        self.supply += amount
        self.balances[account, self._asset] += amount
        made.append(events.SynthMinted(account, self._asset, amount, self.balances[account, self._asset], self.supply))
        return [*made, self._position(account, amount, locked)]

    def lock_proceeds(self, account: bytes, amount: int) -> Event:
        self.balances[account, 0] -= amount
        self.collateral += amount
        return events.ProceedsLocked(account, amount, self.balances[account, 0], self.collateral)

    def _some_mint(self) -> list[Event]:
        return self.mint(self.random.choice(self._accounts), self.random.randint(1, 10**18), 10**6)

    def _position(self, account: bytes, debt: int, collateral: int) -> Event:
        owed, held = self.debts.get(account, (0, 0))
        self.debts[account] = (owed + debt, held + collateral)
        return events.DebtChanged(account, self._asset, *self.debts[account])

    def _burn(self) -> list[Event]:
        account = self.random.choice(self._accounts)
        amount = self.debts.get(account, (0, 0))[0] // 2
        self.supply -= amount
        change = self._position(account, -amount, 0)
        return [change, events.SynthBurned(account, self._asset, amount, self.supply)]

    def _release(self) -> list[Event]:
        account = self.random.choice(self._accounts)
        amount = self.debts.get(account, (0, 0))[1] // 3
        return [self._position(account, 0, -amount), self._pay_collateral(account, amount)]

    def _pay_collateral(self, account: bytes, amount: int) -> Event:
        self.collateral -= amount
        self.balances[account, 0] += amount
        return events.CollateralReleased(account, amount, self.balances[account, 0], self.collateral)

    def _liquidate(self) -> list[Event]:
        account, liquidator = self.random.sample(list(self._accounts), 2)
        debt, collateral = (part // 2 for part in self.debts.get(account, (0, 0)))
        self.liquidations += 1
        self.supply -= debt
        return [
            self._position(account, -debt, -collateral),
            events.Liquidated(account, self._asset, liquidator, debt, collateral, 0),
            events.SynthBurned(liquidator, self._asset, debt, self.supply),
            self._pay_collateral(liquidator, collateral),
        ]

    # ------------------------------------------------------------------ redemptions

    def _redeem(self) -> list[Event]:
        waiting = [number for number, row in self.redemptions.items() if row[2] == "REQUESTED"]
        account = self.random.choice(self._accounts)
        if not waiting or self.random.random() < 0.4:
            number, amount = len(self.redemptions) + 1, self.random.randint(1, 10**15)
            self.redemptions[number] = (account, amount, "REQUESTED")
            self.escrow += amount
            return [
                events.RedemptionRequested(number, account, self._asset, amount, 100, 2**31),
                events.SynthEscrowed(account, self._asset, amount),
            ]
        number = self.random.choice(waiting)
        account, remaining, _ = self.redemptions[number]
        if self.random.random() < 0.3:
            self.redemptions[number] = (account, remaining, "CANCELLED")
            self.escrow -= remaining
            self.balances[account, self._asset] += remaining
            balance = self.balances[account, self._asset]
            return [
                events.RedemptionCancelled(number, account, self._asset, remaining),
                events.EscrowReturned(account, self._asset, remaining, balance),
            ]
        return self._execute(number, account, remaining)

    def _execute(self, number: int, account: bytes, remaining: int) -> list[Event]:
        """Whole or in part, out of the synths that somebody owes."""
        amount = min(self.random.choice((remaining, remaining // 2 + 1)), remaining)
        debtor = max(self.debts, key=lambda who: self.debts[who][0], default=None)
        if debtor is None or self.debts[debtor][0] < amount:
            return self._some_mint()
        payout = min(self.debts[debtor][1], 1_000)
        left = remaining - amount
        self.redemptions[number] = (account, left, "REQUESTED" if left else "EXECUTED")
        self.escrow -= amount
        self.supply -= amount
        made = [
            self._position(debtor, -amount, -payout),
            events.RedemptionExecuted(number, account, self._asset, amount, payout, left, 10**9),
            events.EscrowBurned(self._asset, amount, self.supply),
        ]
        return [*made, self._pay_collateral(account, payout)] if payout else made

    def _redeem_cxpt(self) -> list[Event]:
        account, amount = self.random.choice(self._accounts), self.reserve // 3
        self.reserve -= amount
        self.balances[account, 0] += amount
        return [events.CxptRedeemed(account, amount, self.balances[account, 0])]

    # ------------------------------------------------------------------ prices and operators

    def _price(self) -> list[Event]:
        time = self.prices[-1][1] + self.random.randint(1, 90) if self.prices else 1_700_000_000
        self.prices.append((self.random.randint(1, 10**12), time))
        return [events.PriceUpdated(self._asset, *self.prices[-1], 7 * len(self.prices))]

    def _operate(self) -> list[Event]:
        """The Timelock: something is announced, taken back or done."""
        scheduled = [number for number, status in self.operations_seen.items() if status == "SCHEDULED"]
        if not scheduled or self.random.random() < 0.5:
            self._counter += 1
            number = keccak(b"operation %d" % self._counter)
            self.operations_seen[number] = "SCHEDULED"
            call = events.CallScheduled(number, 0, PRICE_SOURCE, 0, b"calldata", bytes(32), bytes(32), bytes(32))
            return [events.OperationScheduled(number, bytes(32), 2**31, 2**32), call]
        number = self.random.choice(scheduled)
        done = self.random.random() < 0.5
        self.operations_seen[number] = "EXECUTED" if done else "CANCELLED"
        return [events.OperationExecuted(number) if done else events.OperationCancelled(number)]

    def _notice(self) -> list[Event]:
        self._counter += 1
        code = keccak(b"code %d" % self._counter)[:20]
        return [
            events.Notice("Vault", "Upgraded", (("implementation", code),)),
            events.Notice("Oracle", "ReporterSet", (("reporter", code), ("allowed", True))),
            events.Notice("Vault", "Paused", (("until", self._counter), ("nextPauseFrom", 2**40))),
        ]
