"""Facts survive their JSON, amounts above 64 bits included."""

from __future__ import annotations

import msgspec
import pytest

from cxdex import facts
from cxdex.facts import AnyFact, decode_fact, encode_fact

ACCOUNT = bytes(range(20))
EXAMPLES: list[AnyFact] = [
    facts.Credited(ACCOUNT, 2, 2**256 - 1),
    facts.Debited(ACCOUNT, 0, 1),
    facts.FillSettled("sBTC-USDC", 2**40 - 1),
    facts.FillSettled(
        "sBTC-USDC",
        0,
        facts.SettledTerms(b"m" * 32, b"t" * 32, True, 2**64 - 1, 2**39 - 1, 2**48 - 1, 0),
    ),
    facts.FillSkipped("sBTC-USDC", 0, 5),
    facts.FillSkipped("sBTC-USDC", 0, 5, 1, b"m" * 32, b"t" * 32),
    facts.FillSkipped("sBTC-USDC", 0, 7, 1000),
    facts.NonceRaised(ACCOUNT, 2**24 - 1, 3),
    facts.NonceRaised(ACCOUNT, 2**24 - 1, 3, 2**40),
    facts.EpochRaised(ACCOUNT, 65_535),
    facts.EpochRaised(ACCOUNT, 65_535, 2**40),
    facts.WithdrawnInstantly(ACCOUNT, 0, 2**256 - 1, 2**256 - 1),
    facts.SessionSet(ACCOUNT, b"k" * 20, "sBTC-USDC", 2**104, 2**40),
    facts.SessionSet(ACCOUNT, b"k" * 20, None, 0, 0),
    facts.SessionRevoked(ACCOUNT, b"k" * 20),
    facts.SessionUsed(ACCOUNT, b"k" * 20, 2**104),
    facts.PriceUpdated(2, 2**128, 2**40),
    facts.MarketListed("sBTC-USDC", 1, 0, 2, "sBTC", 14, 10, 1, 25, 25),
    facts.MarketStatusChanged("sBTC-USDC", 2, 1),
]


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: type(fact).__name__)
def test_a_fact_reads_back_as_itself(fact: AnyFact) -> None:
    assert decode_fact(encode_fact(fact)) == fact


def test_every_kind_of_fact_has_an_example() -> None:
    assert {type(fact) for fact in EXAMPLES} == set(AnyFact.__args__)


@pytest.mark.parametrize("payload", ["", "[]", '["Unknown",1]', '["Credited","x",2,3]', '["FillSettled","m"]'])
def test_what_is_not_a_fact_is_refused(payload: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_fact(payload)
