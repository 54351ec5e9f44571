"""What holds after every step of the debt machine, and how a step is held against the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from custody_evm import Refused
from custody_world import ALICE, BOB, CAROL, ONE_SYNTH, PRICES, SBTC, SETH, STRANGER, USDC, World
from debt_desk import Healthier, asset_of, pot_of
from debt_model import LEAST_RATIO, SYNTH, DebtModel, Refusal, Synth
from hypothesis.stateful import RuleBasedStateMachine, invariant

PEOPLE = (ALICE, BOB, CAROL)
EVERYBODY = (*PEOPLE, STRANGER)  # the stranger buys from whoever mints in a fill
ASSETS = (SBTC, SETH)
RICH = 10**15  # 1e-6 USDC in every wallet
CAP = 50 * ONE_SYNTH


class CheckedDebt(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World().open_markets()
        self.model = DebtModel(dict.fromkeys(ASSETS, CAP))
        self.lowered: dict[int, bool] = dict.fromkeys(ASSETS, False)
        self.announced: dict[tuple[bytes, int], tuple[int, int]] = {}
        self.rates: dict[int, int] = {}
        self.model.now = self.world.evm.now
        for asset in ASSETS:
            self.model.synths[asset].prices.append((self.world.evm.now, PRICES[asset]))

    # ------------------------------------------------------------------ invariants

    @invariant()
    def every_balance_is_the_references(self) -> None:
        vault, model = self.world.vault, self.model
        for account in EVERYBODY:
            for asset in (USDC, *ASSETS):
                token = self.world.usdc if asset == USDC else self.world.synths[asset]
                assert vault.call("balanceOf", account, asset) == model.inside[account, asset]
                assert token.call("balanceOf", account) == model.wallet[account, asset]
            for asset in ASSETS:
                position = model.synths[asset].of(account)
                found = self.world.engine.call("positions", account, asset)
                assert found == (position.debt, position.collateral)
                assert found == self.announced.get((account, asset), (0, 0))  # invariant 26

    @invariant()
    def every_synth_is_debt_or_shares_a_pot(self) -> None:
        """Invariants 9, 14 and 21."""
        for asset in ASSETS:
            synth = self.model.synths[asset]
            facts = asset_of(self.world, asset)
            supply = self.world.synths[asset].call("totalSupply")
            assert supply == self.model.supply(asset)
            assert facts["debt"] == synth.debt
            assert facts["indebted"] == sum(1 for one in synth.positions.values() if one.debt)
            assert facts["wound price"] == synth.wound
            if not synth.wound:
                assert supply == synth.debt
                assert synth.debt <= facts["cap"] or self.lowered[asset]
            self.ratio_and_pot(asset, synth)

    def ratio_and_pot(self, asset: int, synth: Synth) -> None:
        """The ratio is fixed once, is at most the price, and covers everybody who still holds."""
        pot = pot_of(self.world, asset)
        assert pot["amount"] == synth.pot
        assert pot["fixed"] == (synth.share is not None)
        if synth.share is not None:
            assert pot["rate"] == synth.share * SYNTH == self.rates.setdefault(asset, pot["rate"])
            assert synth.share <= synth.wound
            assert self.world.synths[asset].call("totalSupply") * synth.share / SYNTH <= synth.pot

    @invariant()
    def collateral_and_pots_are_what_the_vault_has_locked(self) -> None:
        """Invariants 1, 2 and 10; the sum is what was brought in, to the unit."""
        vault, model = self.world.vault, self.model
        locked = vault.call("collateralTotal")
        assert locked == model.locked()
        cash = sum(amount for (_, asset), amount in model.inside.items() if asset == USDC)
        assert vault.call("ledgerTotal", USDC) == cash + self.model.fees
        assert self.world.usdc.call("balanceOf", vault.address) == cash + self.model.fees + locked + model.donated[USDC]
        wallets = sum(amount for (_, asset), amount in model.wallet.items() if asset == USDC)
        assert wallets + cash + self.model.fees + locked + model.donated[USDC] == RICH * len(EVERYBODY)
        for asset in ASSETS:
            assert vault.call("escrowTotal", asset) == model.escrow[asset]

    # ------------------------------------------------------------------ steps that rules share

    def act(self, sender: bytes, function: str, *arguments: Any, expect: Callable[..., object]) -> None:
        """Sends a call to the engine: refused with the reference's code, or accepted and applied to it."""
        before = {
            (asset, account): replace(one)
            for asset, synth in self.model.synths.items()
            for account, one in synth.positions.items()
        }
        code = ""
        try:
            expect(sender, *arguments)
        except Refusal as refusal:
            code = refusal.code
        if code:
            with pytest.raises(Refused) as caught:
                self.world.engine.send(sender, function, *arguments)
            assert caught.value.code == code
            return
        self.see(self.world.engine.send(sender, function, *arguments))
        for asset, synth in self.model.synths.items():
            for account, one in synth.positions.items():
                if one.debt > before.get((asset, account), replace(one, debt=0)).debt:  # invariant 11
                    price = self.model.price(asset)
                    assert one.collateral >= Fraction(one.debt * price, SYNTH) * LEAST_RATIO

    def see(self, logs: list[Any]) -> list[tuple[str, dict[str, Any]]]:
        """Keeps what the events say about positions."""
        events = self.world.events(logs)
        for name, fields in events:
            if name == "DebtChanged":
                account = bytes.fromhex(fields["account"][2:])
                self.announced[account, fields["asset"]] = (fields["debt"], fields["collateral"])
        return events

    def no_less_healthy(self, asset: int, *accounts: bytes) -> Healthier:
        return Healthier(self.world, asset, accounts)
