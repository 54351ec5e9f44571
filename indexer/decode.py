"""Logs to events: byte slices at fixed offsets, because a general ABI decoder costs ten times as much.

Owns:     which event each (contract, topic) is, and where each field stands in its words.
Promises: `Decoder.decode` agrees with the ABIs in cxdex/abi (tests hold it to eth-abi, field by field). A log
          with a wrong length, or of an event nobody has told us about, is a Halt and never a guess.
Never:    does I/O or keeps state.

Fields stand right-aligned in 32-byte words. The words `terms` and `charges` of a fill are packed as in cxdex.batch;
read as bytes, highest first:
  terms   = 11 unused | takerIsBuyer 1 | marketIndex 2 | sequence 5 | price 8 | quantity 5
  charges = makerFee 8 | takerFee 8 | makerNonce 8 | takerNonce 8
"""

from __future__ import annotations

from collections.abc import Callable

from cxdex.deployment import Deployment
from cxdex.keccak import keccak
from indexer import events
from indexer.events import Event, Log
from indexer.halt import Halt

WORD = 32
FILL_BYTES = 6 * WORD

Read = Callable[[bytes, bytes], Event]  # (topics, data) -> event

_int = int.from_bytes


def _word(words: bytes, index: int) -> int:
    return _int(words[index * WORD : index * WORD + WORD], "big")


def _address(words: bytes, index: int) -> bytes:
    return words[index * WORD + 12 : index * WORD + WORD]


def _text(data: bytes, index: int) -> str:
    """A dynamic string whose offset stands in the given word."""
    start = _word(data, index)
    length = _int(data[start : start + WORD], "big")
    return data[start + WORD : start + WORD + length].decode()


def _fill(_topics: bytes, d: bytes) -> Event:
    return events.Fill(
        d[0:32],
        d[32:64],
        d[76:96],
        d[108:128],
        _int(d[140:142], "big"),
        _int(d[142:147], "big"),
        d[139] != 0,
        _int(d[147:155], "big"),
        _int(d[155:160], "big"),
        _int(d[160:168], "big"),
        _int(d[168:176], "big"),
        _int(d[176:184], "big"),
        _int(d[184:192], "big"),
    )


def _fill_skipped(_topics: bytes, d: bytes) -> Event:
    return events.FillSkipped(
        d[0:32],
        d[32:64],
        d[76:96],
        d[108:128],
        _int(d[140:142], "big"),
        _int(d[142:147], "big"),
        d[139] != 0,
        _int(d[147:155], "big"),
        _int(d[155:160], "big"),
        _word(d, 5),
    )


def _sequence_voided(t: bytes, d: bytes) -> Event:
    return events.SequenceVoided(t[32:64], _word(d, 0), _word(d, 1))


def _nonce_raised(t: bytes, d: bytes) -> Event:
    return events.NonceRaised(_address(t, 1), _word(d, 0), _word(d, 1))


def _epoch_raised(t: bytes, d: bytes) -> Event:
    return events.EpochRaised(_address(t, 1), _word(d, 0))


def _fees_collected(t: bytes, d: bytes) -> Event:
    return events.FeesCollected(t[32:64], _address(t, 2), _word(d, 0), _word(d, 1))


def _deposited(t: bytes, d: bytes) -> Event:
    return events.Deposited(_address(t, 1), _word(t, 2), _word(d, 0), _word(d, 1))


def _withdraw_requested(t: bytes, d: bytes) -> Event:
    return events.WithdrawRequested(
        _word(t, 1), _address(t, 2), _word(t, 3), _word(d, 0), _word(d, 1) != 0, _word(d, 2), _word(d, 3)
    )


def _withdraw_cancelled(t: bytes, d: bytes) -> Event:
    return events.WithdrawCancelled(_word(t, 1), _address(t, 2), _word(t, 3), _word(d, 0), _word(d, 1))


def _withdraw_claimed(t: bytes, d: bytes) -> Event:
    return events.WithdrawClaimed(_word(t, 1), _address(t, 2), _word(t, 3), _word(d, 0), _word(d, 1) != 0)


def _collateral_locked(t: bytes, d: bytes) -> Event:
    return events.CollateralLocked(_address(t, 1), _word(d, 0), _word(d, 1))


def _collateral_released(t: bytes, d: bytes) -> Event:
    return events.CollateralReleased(_address(t, 1), _word(d, 0), _word(d, 1))


def _synth_minted(t: bytes, d: bytes) -> Event:
    return events.SynthMinted(_address(t, 1), _word(t, 2), _word(d, 0), _word(d, 1), _word(d, 2))


def _synth_burned(t: bytes, d: bytes) -> Event:
    return events.SynthBurned(_address(t, 1), _word(t, 2), _word(d, 0), _word(d, 1), _word(d, 2))


def _cxpt_redeemed(t: bytes, d: bytes) -> Event:
    return events.CxptRedeemed(_address(t, 1), _word(d, 0), _word(d, 1))


def _synth_registered(t: bytes, _d: bytes) -> Event:
    return events.SynthRegistered(_word(t, 1), _address(t, 2))


def _synth_created(t: bytes, d: bytes) -> Event:
    return events.SynthCreated(_address(t, 1), _word(d, 0), _text(d, 1), _text(d, 2))


def _market_listed(t: bytes, d: bytes) -> Event:
    return events.MarketListed(t[32:64], _text(d, 0), *(_word(d, index) for index in range(1, 9)))


def _market_status_changed(t: bytes, d: bytes) -> Event:
    return events.MarketStatusChanged(t[32:64], _word(d, 0), _word(d, 1))


def _debt_changed(t: bytes, d: bytes) -> Event:
    return events.DebtChanged(_address(t, 1), _word(t, 2), _word(d, 0), _word(d, 1))


def _price_reported(t: bytes, d: bytes) -> Event:
    return events.PriceReported(_word(t, 1), _address(t, 2), _word(d, 0), _word(d, 1))


# contract, signature, words of topics (with the signature's), least words of data, reader
_EVENTS: tuple[tuple[str, str, int, int, Read], ...] = (
    ("Settlement", "Fill(bytes32,bytes32,address,address,uint256,uint256)", 1, 6, _fill),
    ("Settlement", "FillSkipped(bytes32,bytes32,address,address,uint256,uint256)", 1, 6, _fill_skipped),
    ("Settlement", "SequenceVoided(bytes32,uint256,uint256)", 2, 2, _sequence_voided),
    ("Settlement", "NonceRaised(address,uint256,uint256)", 2, 2, _nonce_raised),
    ("Settlement", "EpochRaised(address,uint256)", 2, 1, _epoch_raised),
    ("Settlement", "FeesCollected(bytes32,address,uint256,uint256)", 3, 2, _fees_collected),
    ("Vault", "Deposited(address,uint256,uint256,uint256)", 3, 2, _deposited),
    (
        "Vault",
        "WithdrawRequested(uint256,address,uint256,uint256,bool,uint256,uint256)",
        4,
        4,
        _withdraw_requested,
    ),
    ("Vault", "WithdrawCancelled(uint256,address,uint256,uint256,uint256)", 4, 2, _withdraw_cancelled),
    ("Vault", "WithdrawClaimed(uint256,address,uint256,uint256,bool)", 4, 2, _withdraw_claimed),
    ("Vault", "CollateralLocked(address,uint256,uint256)", 2, 2, _collateral_locked),
    ("Vault", "CollateralReleased(address,uint256,uint256)", 2, 2, _collateral_released),
    ("Vault", "SynthMinted(address,uint256,uint256,uint256,uint256)", 3, 3, _synth_minted),
    ("Vault", "SynthBurned(address,uint256,uint256,uint256,uint256)", 3, 3, _synth_burned),
    ("Vault", "CxptRedeemed(address,uint256,uint256)", 2, 2, _cxpt_redeemed),
    ("Vault", "SynthRegistered(uint256,address)", 3, 0, _synth_registered),
    ("SynthFactory", "SynthCreated(address,uint256,string,string)", 2, 5, _synth_created),
    (
        "MarketRegistry",
        "MarketListed(bytes32,string,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)",
        2,
        10,
        _market_listed,
    ),
    ("MarketRegistry", "MarketStatusChanged(bytes32,uint256,uint256)", 2, 2, _market_status_changed),
    ("SynthEngine", "DebtChanged(address,uint256,uint256,uint256)", 3, 2, _debt_changed),
    ("Oracle", "PriceReported(uint256,address,uint256,uint256)", 3, 2, _price_reported),
)

# Kept as raw logs, folded into nothing.
_IGNORED = (("Oracle", "ReporterSet(address,bool)"),)

SOURCES = tuple(dict.fromkeys(contract for contract, *_ in _EVENTS))


class Decoder:
    """Decodes the logs of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.addresses = tuple(deployment.contracts[name] for name in SOURCES)
        self._names = {deployment.contracts[name]: name for name in SOURCES}
        self._readers = {
            deployment.contracts[contract] + keccak(signature.encode()): (topic_words * WORD, data_words * WORD, read)
            for contract, signature, topic_words, data_words, read in _EVENTS
        }
        self._ignored = {
            deployment.contracts[contract] + keccak(signature.encode()) for contract, signature in _IGNORED
        }

    def decode(self, log: Log) -> Event | None:
        """The event, or None for one that changes nothing here. Raises Halt EVENT_UNKNOWN or EVENT_MALFORMED."""
        key = log.address + log.topics[:WORD]
        known = self._readers.get(key)
        if known is None:
            if key in self._ignored:
                return None
            raise Halt(
                "EVENT_UNKNOWN",
                f"{self._names.get(log.address, 'an unknown contract')} at 0x{log.address.hex()} emitted an event that "
                f"this indexer does not know (block {log.block}, log {log.log_index}, 0x{log.topics[:WORD].hex()})",
                allowed="update the indexer, then run `python -m indexer rebuild --from-raw`",
            )
        topic_bytes, data_bytes, read = known
        if len(log.topics) != topic_bytes or len(log.data) < data_bytes:
            raise Halt(
                "EVENT_MALFORMED",
                f"block {log.block}, log {log.log_index}: {len(log.topics)} bytes of topics and {len(log.data)} "
                f"of data, not {topic_bytes} and at least {data_bytes}",
            )
        return read(log.topics, log.data)
