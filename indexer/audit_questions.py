"""What an audit asks: for every row the view that must agree with it. Pure.

Owns:     the list of questions, and what the rows add up to.
Promises: every balance, tier, lane, cancel, epoch, session, market word, withdrawal, announced amount, debt position,
          cap, redemption, oracle price, operation, pocket and total is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from cxdex.deployment import Deployment
from cxdex.fees import fee_tier
from cxdex.keccak import keccak
from cxdex.nonce import MAX_SEQ
from indexer.projections import operations
from indexer.projections.ledger import COLLATERAL, CXPT_RESERVE, FEE_POCKET, LAST_BEAT
from indexer.projections.orders import effective_lane
from indexer.projections.withdrawals import REQUESTED
from indexer.snapshot import Snapshot

USDC, CXPT = 0, 1
EXECUTED_MARK = 1  # what the Timelock stores in place of a time
IMPLEMENTATION_SLOT = int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1
ADMIN_SLOT = int.from_bytes(keccak(b"eip1967.proxy.admin"), "big") - 1


class Question(NamedTuple):
    """A view call and the words that the rows say it returns. `at_least`: the contract may hold more (a donation)."""

    group: str
    name: str
    contract: bytes
    calldata: bytes
    expected: tuple[int, ...]
    at_least: bool = False


def all_questions(snapshot: Snapshot, deployment: Deployment) -> Iterator[Question]:
    contracts = deployment.contracts
    yield from _balance_questions(snapshot, contracts)
    yield from _order_questions(snapshot, contracts["Settlement"])
    yield from _market_questions(snapshot, contracts["Settlement"])
    yield from _vault_questions(snapshot, contracts)
    yield from _synth_questions(snapshot, contracts)
    yield from _debt_questions(snapshot, contracts)
    yield from _operation_questions(snapshot, contracts)


# ------------------------------------------------------------------ accounts


def _balance_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    settlement, vault = contracts["Settlement"], contracts["Vault"]
    balances, announced = snapshot.tables["account_balance"], snapshot.tables["announced_balance"]
    for account in _accounts(snapshot):
        for asset in (USDC, CXPT, *(asset for (asset,) in snapshot.tables["synth_asset"])):
            row, promised = balances.get((account, asset)), announced.get((account, asset))
            name = f"of 0x{account.hex()} in asset {asset}"
            arguments = (account, asset)
            yield Question(
                "balances",
                f"balance {name}",
                settlement,
                call("balanceOf(address,uint256)", *arguments),
                (row.amount if row else 0,),
            )
            yield Question(
                "announced amounts",
                f"announced {name}",
                vault,
                call("announcedOf(address,uint256)", *arguments),
                (promised.amount if promised else 0,),
            )
        cxpt = balances.get((account, CXPT))
        yield Question(
            "fee tiers",
            f"tier of 0x{account.hex()}",
            settlement,
            call("tierOf(address)", account),
            (fee_tier(cxpt.amount if cxpt else 0),),
        )


def _accounts(snapshot: Snapshot) -> list[bytes]:
    balances = {account for account, _ in snapshot.tables["account_balance"]}
    return sorted(balances | {account for (account,) in snapshot.tables["account_state"]})


def _order_questions(snapshot: Snapshot, settlement: bytes) -> Iterator[Question]:
    epochs, cancels = snapshot.tables["account_state"], snapshot.tables["lane_cancel"]
    for account in _accounts(snapshot):
        row = epochs.get((account,))
        for signature, expected in (
            ("epochOf(address)", row.epoch if row else 0),
            ("epochEffectiveAt(address)", row.effective_at if row else 0),
        ):
            name = f"{signature.partition('(')[0]} of 0x{account.hex()}"
            yield Question("epochs", name, settlement, call(signature, account), (expected,))
    for key, row in snapshot.tables["lane"].items():
        account, lane = key
        yield Question(
            "lanes (seq, filled lots)",
            f"lane {lane} of 0x{account.hex()}",
            settlement,
            call("laneOf(address,uint256)", account, lane),
            effective_lane(row, cancels.get(key), snapshot.timestamp),
        )
    for (account, lane), row in cancels.items():
        if row.seq == MAX_SEQ:
            continue  # the event does not tell the last two numbers of a lane apart
        yield Question(
            "cancels",
            f"cancel of lane {lane} of 0x{account.hex()}",
            settlement,
            call("cancelOf(address,uint256)", account, lane),
            (row.seq - 1, row.effective_at),
        )
    for (account, key), row in snapshot.tables["session_key"].items():
        index = snapshot.tables["market_listing"][(row.market,)].index if row.market else 0
        yield Question(
            "session keys",
            f"session 0x{key.hex()} of 0x{account.hex()}",
            settlement,
            call("sessionOf(address,address)", account, key),
            (0, 0, 0) if row.is_revoked else (index, row.notional_left, row.expiry),
        )


# ------------------------------------------------------------------ markets


def _market_questions(snapshot: Snapshot, settlement: bytes) -> Iterator[Question]:
    for (symbol,), row in snapshot.tables["market_listing"].items():
        for group, signature, expected in (
            ("market sequences", "sequenceOf(bytes32)", row.next_sequence),
            ("market fees", "accruedFees(bytes32)", row.accrued_fees),
            ("market words", "marketWord(bytes32)", market_word(row)),
        ):
            name = f"{signature.partition('(')[0]} of {symbol}"
            yield Question(group, name, settlement, call(signature, row.hash), (expected,))


def market_word(row: Any) -> int:
    """The market's packed word in Settlement, as in contracts/modules/packing.vy."""
    fields = (
        (row.accrued_fees, 80),
        (row.next_sequence, 40),
        (row.quote_per_lot_tick, 32),
        (row.min_lots, 24),
        (row.lot_exponent, 8),
        (row.base_asset, 16),
        (row.index, 16),
        (row.taker_fee_bps, 16),
        (row.maker_fee_bps, 16),
        (row.status, 8),
    )
    word = shift = 0
    for value, bits in fields:
        word |= value << shift
        shift += bits
    return word


# ------------------------------------------------------------------ the Vault


def _vault_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    vault = contracts["Vault"]
    totals = Totals.of(snapshot)
    for (number,), row in snapshot.tables["withdrawal"].items():
        waiting = (
            int.from_bytes(row.account, "big"),
            row.asset,
            row.amount,
            int(row.as_cxpt),
            row.claimable_at,
            int.from_bytes(row.recipient, "big"),
            row.requested_at,
        )
        yield Question(
            "withdrawals",
            f"withdrawal {number} ({row.status})",
            vault,
            call("withdrawals(uint256)", number),
            waiting if row.status == REQUESTED else (0,) * len(waiting),
        )
    for name, signature, expected in (
        ("total assets", "totalAssets()", totals.ledger[USDC]),
        ("collateral", "collateralTotal()", totals.values[COLLATERAL]),
        ("CXPT reserve", "cxptReserve()", totals.values[CXPT_RESERVE]),
        ("fee pocket", "feePocket()", totals.values[FEE_POCKET]),
    ):
        yield Question("totals", name, vault, call(signature), (expected,))
    cxpt_supply = (totals.values[CXPT_RESERVE],)
    yield Question("totals", "supply of CXPT", contracts["CXPT"], call("totalSupply()"), cxpt_supply)
    yield Question("heartbeat", "last beat", contracts["Settlement"], call("lastBeat()"), (totals.values[LAST_BEAT],))
    for asset, token in _tokens(snapshot, contracts):
        for name, signature, expected in (
            ("announced", "announcedTotal(uint256)", totals.announced[asset]),
            ("ledger", "ledgerTotal(uint256)", totals.ledger[asset]),
            ("escrow", "escrowTotal(uint256)", totals.escrow[asset]),
        ):
            yield Question("totals", f"{name} total of asset {asset}", vault, call(signature, asset), (expected,))
        yield Question(
            "solvency",
            f"tokens of asset {asset} in the Vault",
            token,
            call("balanceOf(address)", vault),
            (totals.owed(asset),),
            at_least=True,
        )


def _tokens(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterable[tuple[int, bytes]]:
    yield USDC, contracts["USDC"]
    yield CXPT, contracts["CXPT"]
    for (asset,), row in snapshot.tables["synth_asset"].items():
        yield asset, row.address


@dataclass(frozen=True)
class Totals:
    """What the rows add up to, by asset. `ledger` is every internal balance with the fees that markets still hold."""

    ledger: dict[int, int]
    announced: dict[int, int]
    escrow: dict[int, int]
    fees: int
    values: dict[str, int]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Totals:
        ledger: dict[int, int] = defaultdict(int)
        announced: dict[int, int] = defaultdict(int)
        for (_, asset), row in snapshot.tables["account_balance"].items():
            ledger[asset] += row.amount
        for (_, asset), row in snapshot.tables["announced_balance"].items():
            announced[asset] += row.amount
        fees = sum(row.accrued_fees for row in snapshot.tables["market_listing"].values())
        ledger[USDC] += fees
        escrow = defaultdict(int, {asset: row.escrow for (asset,), row in snapshot.tables["synth_asset"].items()})
        values = defaultdict(int, {name: row.value for (name,), row in snapshot.tables["exchange_value"].items()})
        return cls(ledger, announced, escrow, fees, values)

    def owed(self, asset: int) -> int:
        """What the Vault must hold of the asset's token."""
        pockets = sum(self.values[name] for name in (COLLATERAL, CXPT_RESERVE, FEE_POCKET)) if asset == USDC else 0
        return self.ledger[asset] + self.escrow[asset] + pockets


# ------------------------------------------------------------------ synths, debt, prices


def _synth_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    for (asset,), row in snapshot.tables["synth_asset"].items():
        address = int.from_bytes(row.address, "big")
        yield Question(
            "synths", f"token of asset {asset}", contracts["Vault"], call("synthOf(uint256)", asset), (address,)
        )
        yield Question("synths", f"supply of {row.symbol}", row.address, call("totalSupply()"), (row.supply,))
    for (asset,), row in snapshot.tables["oracle_price"].items():
        oracle = contracts["Oracle"]
        newest = (row.price, row.publish_time)
        yield Question("oracle prices", f"price of asset {asset}", oracle, call("lastPrice(uint256)", asset), newest)
        count = call("checkpointCount(uint256)", asset)
        yield Question("oracle prices", f"number of prices of asset {asset}", oracle, count, (row.updates,))


def _debt_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    engine = contracts["SynthEngine"]
    owed: dict[int, int] = defaultdict(int)
    indebted: dict[int, int] = defaultdict(int)
    for (account, asset), row in snapshot.tables["debt_position"].items():
        owed[asset] += row.debt
        indebted[asset] += row.debt != 0
        yield Question(
            "debt positions",
            f"debt of 0x{account.hex()} in asset {asset}",
            engine,
            call("positions(address,uint256)", account, asset),
            (row.debt, row.collateral),
        )
    for (asset,), row in snapshot.tables["debt_asset"].items():
        yield Question(
            "debt assets",
            f"asset {asset}: cap, debt, positions, end",
            engine,
            call("assets(uint256)", asset),
            (1, row.cap, owed[asset], indebted[asset], row.wound_price or 0),
        )
        if row.wound_price is not None:
            pot = (row.wound_supply, row.pot, int(row.rate is not None), row.rate or 0)
            yield Question("debt assets", f"pot of asset {asset}", engine, call("pots(uint256)", asset), pot)
    for (number,), row in snapshot.tables["redemption"].items():
        waiting = (
            int.from_bytes(row.account, "big"),
            row.asset,
            row.remaining,
            row.max_fee_bps,
            row.requested_at,
        )
        yield Question(
            "redemptions",
            f"redemption {number} ({row.status})",
            engine,
            call("redemptions(uint256)", number),
            waiting if row.status == REQUESTED else (0,) * len(waiting),
        )


# ------------------------------------------------------------------ operations


def _operation_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    for (operation,), row in snapshot.tables["timelock_operation"].items():
        expected = {operations.SCHEDULED: row.executable_at, operations.EXECUTED: EXECUTED_MARK}.get(row.status, 0)
        yield Question(
            "timelock operations",
            f"operation 0x{operation.hex()} ({row.status})",
            contracts["Timelock"],
            call("executableAt(bytes32)", operation),
            (expected,),
        )


def proxy_questions(snapshot: Snapshot, deployment: Deployment) -> Iterator[tuple[str, bytes, int, bytes]]:
    """(name, address, storage slot, the address that the rows say is in it)."""
    for (name,), row in snapshot.tables["proxy"].items():
        address = deployment.contracts[name]
        yield f"implementation of {name}", address, IMPLEMENTATION_SLOT, row.implementation
        yield f"admin of {name}", address, ADMIN_SLOT, row.admin


def call(signature: str, *arguments: bytes | int) -> bytes:
    """Calldata. An address is 20 bytes, a hash 32."""
    words = (
        argument.to_bytes(32, "big") if isinstance(argument, int) else argument.rjust(32, b"\0")
        for argument in arguments
    )
    return keccak(signature.encode())[:4] + b"".join(words)
