"""The short way to read a signed order: one that is well formed in every field, as nearly all are.

Owns:     the shape of that order for the JSON library, which checks names and types faster than we can.
Promises: what it gives is what the careful way (`placing.read_signed_order`) would give. What it does not know, or
          would have to refuse, is None: then the careful way reads it, and says what is wrong.
Never:    raises, or knows a rule that the careful way does not have.
"""

from __future__ import annotations

import msgspec

from api.fields import read_signature, read_small_integer
from api.order_json import TermsLookup, read_client_order_id, read_display
from cxdex.eip712 import Domain, order_digest
from cxdex.market import MarketTerms
from cxdex.order import MAX_PRICE, MAX_QUANTITY, Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.problem import Problem
from cxdex.units import parse_decimal, parse_price, parse_quantity
from relayer.wire import WireOrder

_SIDES = {word.name: word for word in Side}
_ORDER_TYPES = {word.name: word for word in OrderType}
_TIMES_IN_FORCE = {word.name: word for word in TimeInForce}
_SELF_TRADES = {word.name: word for word in SelfTrade}
_ADDRESS_LETTERS, _ADDRESS_BYTES = 42, 20


class _Fields(msgspec.Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    account: str
    market: str
    side: str
    order_type: str
    time_in_force: str
    quantity: str
    limit_price: str
    max_fee_bps: str
    max_collateral: str
    self_trade: str
    reduce_only: bool
    expiry: str
    nonce: str
    condition: None = None


class _Entry(msgspec.Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    order: _Fields
    signature: str
    chain_id: int
    client_order_id: str | None = None
    reject_after: int | None = None
    display_quantity: str | None = None


def read_plain_order(value: object, domain: Domain, terms_of: TermsLookup) -> WireOrder | None:
    """From decoded JSON."""
    try:
        entry = msgspec.convert(value, _Entry)
        if entry.chain_id != domain.chain_id:
            return None
        terms = terms_of(entry.order.market)
        order = _read_fields(entry.order, terms)
        if order is None:
            return None
        name, late, shown = entry.client_order_id, entry.reject_after, entry.display_quantity
        return WireOrder(
            order,
            read_signature(entry.signature),
            order_digest(domain, order),
            None if name is None else read_client_order_id(name),
            reject_after_ms=0 if late is None else read_small_integer(late, "rejectAfter", least=1),
            display_quantity=0 if shown is None else read_display(terms, shown),
        )
    except (msgspec.ValidationError, Problem, KeyError, ValueError):  # a word, or hexadecimal, that is none
        return None


def _read_fields(fields: _Fields, terms: MarketTerms) -> Order | None:
    shown = fields.account
    account = bytes.fromhex(shown[2:])  # takes spaces too, but then there are too few bytes
    lots, ticks = parse_quantity(terms, fields.quantity), parse_price(terms, fields.limit_price)
    if not (
        len(shown) == _ADDRESS_LETTERS
        and shown.startswith("0x")
        and len(account) == _ADDRESS_BYTES
        and terms.min_lots <= lots <= MAX_QUANTITY
        and ticks <= MAX_PRICE
    ):
        return None
    return Order(
        account,
        terms.symbol,
        _SIDES[fields.side],
        _ORDER_TYPES[fields.order_type],
        _TIMES_IN_FORCE[fields.time_in_force],
        lots,
        ticks,
        parse_decimal(fields.max_fee_bps, 0, "maxFeeBps"),
        parse_decimal(fields.expiry, 0, "expiry"),
        parse_decimal(fields.nonce, 0, "nonce"),
        parse_decimal(fields.max_collateral, 6, "maxCollateral"),
        _SELF_TRADES[fields.self_trade],
        fields.reduce_only,
    )
