"""Every event of the contracts, in the order of the ABI: "name type", a star after the type of an indexed field.

Owns:     the list. EVENTS have a struct of their own in `indexer.events` and are folded; NOTICES are only kept for an
          operator to read (table `operator_notice`). An event in neither is a Halt.
Promises: agrees with cxdex/abi (tests/indexer/test_decode.py compares both ways).
"""

from __future__ import annotations

from indexer import events
from indexer.events import Event

_FILL = "maker uint256, taker uint256, terms uint256"
_CHANGE = "account address*, asset uint256*, amount uint256, balance uint256"

EVENTS: tuple[tuple[str, type[Event], str], ...] = (
    ("Settlement", events.Fill, _FILL),
    ("Settlement", events.FillSkipped, f"{_FILL}, reason uint256"),
    ("Settlement", events.SequenceVoided, "market bytes32*, firstSequence uint256, count uint256"),
    ("Settlement", events.NonceRaised, "account address*, lane uint256, seq uint256, effectiveAt uint256"),
    ("Settlement", events.EpochRaised, "account address*, epoch uint256, effectiveAt uint256"),
    (
        "Settlement",
        events.SessionSet,
        "account address*, key address*, market bytes32, notional uint256, expiry uint256",
    ),
    ("Settlement", events.SessionRevoked, "account address*, key address*"),
    ("Settlement", events.SessionUsed, "account address*, key address*, notionalLeft uint256"),
    ("Settlement", events.Heartbeat, "time uint256"),
    ("Vault", events.Deposited, _CHANGE),
    (
        "Vault",
        events.WithdrawRequested,
        "id uint256*, account address*, asset uint256*, amount uint256, asCxpt bool, claimableAt uint256",
    ),
    ("Vault", events.WithdrawCancelled, "id uint256*, account address*, asset uint256*, amount uint256"),
    ("Vault", events.WithdrawRedirected, "id uint256*, account address*, recipient address*, claimableAt uint256"),
    (
        "Vault",
        events.WithdrawClaimed,
        "id uint256*, account address*, asset uint256*, amount uint256, paid uint256, asCxpt bool, recipient address, "
        "balance uint256",
    ),
    (
        "Vault",
        events.Withdrawn,
        "account address*, asset uint256*, amount uint256, asCxpt bool, recipient address, nonce uint256, "
        "balance uint256",
    ),
    ("Vault", events.CxptRedeemed, "account address*, amount uint256, balance uint256"),
    ("Vault", events.FeesCollected, "market bytes32*, amount uint256, pocket uint256"),
    ("Vault", events.FeesWithdrawn, "recipient address*, amount uint256, pocket uint256"),
    ("Vault", events.RebatePaid, "account address*, amount uint256, balance uint256, pocket uint256"),
    ("Vault", events.CollateralLocked, "account address*, amount uint256, total uint256"),
    ("Vault", events.ProceedsLocked, "account address*, amount uint256, balance uint256, total uint256"),
    ("Vault", events.CollateralReleased, "account address*, amount uint256, balance uint256, total uint256"),
    ("Vault", events.SynthMinted, f"{_CHANGE}, supply uint256"),
    ("Vault", events.SynthBurned, "owner address*, asset uint256*, amount uint256, supply uint256"),
    ("Vault", events.SynthEscrowed, "owner address*, asset uint256*, amount uint256"),
    ("Vault", events.EscrowBurned, "asset uint256*, amount uint256, supply uint256"),
    ("Vault", events.EscrowReturned, _CHANGE),
    ("Vault", events.SynthRegistered, "asset uint256*, synth address*"),
    ("SynthFactory", events.SynthCreated, "synth address*, asset uint256, name string, symbol string"),
    (
        "MarketRegistry",
        events.MarketListed,
        "market bytes32*, symbol string, index uint256, kind uint256, baseAsset uint256, lotExponent uint256, "
        "quotePerLotTick uint256, minLots uint256, makerFeeBps uint256, takerFeeBps uint256",
    ),
    ("MarketRegistry", events.MarketStatusChanged, "market bytes32*, previous uint256, status uint256"),
    ("SynthEngine", events.DebtChanged, "account address*, asset uint256*, debt uint256, collateral uint256"),
    (
        "SynthEngine",
        events.Liquidated,
        "account address*, asset uint256*, liquidator address*, debt uint256, collateral uint256, kind uint256",
    ),
    (
        "SynthEngine",
        events.RedemptionRequested,
        "id uint256*, account address*, asset uint256*, amount uint256, maxFeeBps uint256, priceFrom uint256",
    ),
    (
        "SynthEngine",
        events.RedemptionExecuted,
        "id uint256*, account address*, asset uint256*, amount uint256, payout uint256, remaining uint256, "
        "price uint256",
    ),
    ("SynthEngine", events.RedemptionCancelled, "id uint256*, account address*, asset uint256*, amount uint256"),
    ("SynthEngine", events.AssetOpened, "asset uint256*, cap uint256"),
    ("SynthEngine", events.CapChanged, "asset uint256*, previous uint256, cap uint256"),
    ("SynthEngine", events.AssetWound, "asset uint256*, price uint256"),
    (
        "SynthEngine",
        events.PositionProcessed,
        "account address*, asset uint256*, paid uint256, released uint256, pot uint256",
    ),
    ("SynthEngine", events.RateFixed, "asset uint256*, rate uint256"),
    (
        "SynthEngine",
        events.WoundClaimed,
        "account address*, asset uint256*, amount uint256, payout uint256, pot uint256",
    ),
    ("Oracle", events.PriceUpdated, "asset uint256*, price uint256, publishTime uint256, cumulative uint256"),
    ("Timelock", events.OperationScheduled, "id bytes32*, salt bytes32, executableAt uint256, expiresAt uint256"),
    (
        "Timelock",
        events.CallScheduled,
        "id bytes32*, index uint256, target address*, value uint256, data bytes, targetCodeHash bytes32, "
        "currentCodeHash bytes32, upgradeCodeHash bytes32",
    ),
    ("Timelock", events.OperationCancelled, "id bytes32*"),
    ("Timelock", events.OperationExecuted, "id bytes32*"),
)

_BRAKE = (("Paused", "until uint256, nextPauseFrom uint256"), ("Resumed", ""), ("PauseAllowed", ""))
_BRAKED = ("Vault", "MarketRegistry", "SynthEngine")

NOTICES: tuple[tuple[str, str, str], ...] = (
    *((contract, name, fields) for contract in _BRAKED for name, fields in _BRAKE),
    ("Vault", "BreakerTripped", "asset uint256*, outflow uint256, limit uint256"),
    ("MarketRegistry", "MarketPaused", "market bytes32*, endsAt uint256, nextPauseFrom uint256"),
    ("MarketRegistry", "MarketPauseAllowed", "market bytes32*"),
    ("Oracle", "ReporterSet", "reporter address*, allowed bool"),
    ("Oracle", "QuorumSet", "quorum uint256"),
    ("Oracle", "SourceSet", "asset uint256*, source address*, heartbeat uint256, decimals uint256"),
    ("Oracle", "PriceDisputed", "asset uint256*, price uint256, publishTime uint256"),
    ("Oracle", "Frozen", "asset uint256*, until uint256"),
    ("Oracle", "Unfrozen", "asset uint256*"),
)

# Every address that is a proxy, named by the contract behind it, emits these as well.
PROXIES = ("Vault", "Settlement", "SynthEngine")
PROXY_NOTICES = (
    ("Upgraded", "implementation address*"),
    ("AdminChanged", "previousAdmin address, newAdmin address"),
)
