"""An engine with two markets and a few funded traders, spoken to in a trader's words.

Never: checks anything by itself; the tests do, through the engine's public questions only.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxdex.facts import AnyFact, Credited, MarketListed, MarketStatusChanged
from cxdex.market import USDC_ASSET, MarketStatus
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, SelfTrade, Side, SignatureKind, TimeInForce
from cxdex.order_word import order_word
from relayer.engine.commands import (
    AnyCommand,
    ApplyFact,
    Cancel,
    CancelAll,
    CancelAndPlace,
    Expire,
    Place,
    Reduce,
    Replace,
    SetCountdown,
)
from relayer.engine.core import Engine, OrderView
from relayer.engine.events import AnyEvent

BTC = MarketListed("sBTC-USDC", 1, 0, 2, "sBTC", 14, 1, 1, 25, 25)
ETH = MarketListed("sETH-USDC", 2, 0, 3, "sETH", 15, 2, 5, 10, 30)
ALICE, BOB, CAROL = b"alice" + bytes(15), b"bob" + bytes(17), b"carol" + bytes(15)
TRADERS = {"alice": ALICE, "bob": BOB, "carol": CAROL}
START_MS = 1_700_000_000_000
FAR = START_MS // 1000 + 1_000_000
SIGNATURE = b"s" * 65
ASSETS = (USDC_ASSET, BTC.base_asset, ETH.base_asset)


class Desk:
    def __init__(self, *, usdc: int = 10**15, base: int = 10**24, fresh: bool = False) -> None:
        self.engine = Engine()
        self.commands: list[AnyCommand] = []
        self.events: list[list[AnyEvent]] = []
        self.now_ms = START_MS
        self.block = 0
        self.outbox_seq = 0
        self.orders: dict[bytes, Order] = {}
        if fresh:
            return
        for listing in (BTC, ETH):
            self.fact(listing)
            self.fact(MarketStatusChanged(listing.symbol, MarketStatus.ACTIVE, MarketStatus.PAUSED))
        for account in TRADERS.values():
            for asset in ASSETS:
                amount = usdc if asset == USDC_ASSET else base
                if amount:
                    self.fact(Credited(account, asset, amount))

    def word(self, digest: bytes) -> bytes:
        """The chain's name of an order that was sent here."""
        order = self.orders[digest]
        return order_word(order.account, order.nonce, digest)

    def apply(self, command: AnyCommand) -> list[AnyEvent]:
        events = self.engine.apply(command)
        self.commands.append(command)
        self.events.append(events)
        return events

    def fact(self, fact: AnyFact, *, at: tuple[int, int] | None = None, reverted: bool = False) -> list[AnyEvent]:
        """Without `at`, in a new block of its own."""
        if at is None:
            self.block += 1
            at = (self.block, 0)
        self.block = max(self.block, at[0])
        self.outbox_seq += 1
        return self.apply(ApplyFact(self.now_ms, at[0], at[1], self.outbox_seq, reverted, fact))

    def order(self, account: bytes, side: Side, quantity: int, price: int, **changes) -> Order:
        """A GTC LIMIT order in sBTC-USDC with the account's next free nonce, unless `changes` says otherwise."""
        nonce = changes.pop("nonce", None)
        if nonce is None:
            nonce = self.engine.free_nonces(account, 1, set())[0]
        fields = {
            "market": BTC.symbol,
            "order_type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "max_fee_bps": 50,
            "expiry": FAR,
            "self_trade": SelfTrade.CANCEL_TAKER,
            **changes,
        }
        return Order(account=account, side=side, quantity=quantity, limit_price=price, nonce=nonce, **fields)

    def send(
        self,
        order: Order,
        kind: SignatureKind = SignatureKind.ACCOUNT,
        signer: bytes = b"",
        name: str | None = None,
        reject_after_ms: int = 0,
        display_quantity: int = 0,
    ) -> tuple[bytes, list[AnyEvent]]:
        """`name`: the client's own for the order."""
        digest = self.next_digest
        self.orders[digest] = order
        words = (name, kind, signer, reject_after_ms, display_quantity)
        return digest, self.apply(Place(self.now_ms, order, SIGNATURE, digest, *words))

    def replace(self, old: bytes, order: Order, **rest) -> tuple[bytes, list[AnyEvent]]:
        """`rest`: further fields of the command."""
        digest = rest.pop("digest", self.next_digest)
        self.orders[digest] = order
        return digest, self.apply(Replace(self.now_ms, order, SIGNATURE, digest, replaces=old, **rest))

    def cancel_and_place(self, order: Order, **rest) -> tuple[bytes, list[AnyEvent]]:
        digest = self.next_digest
        self.orders[digest] = order
        return digest, self.apply(CancelAndPlace(self.now_ms, order, SIGNATURE, digest, **rest))

    def reduce(self, account: bytes, digest: bytes, quantity: int) -> list[AnyEvent]:
        return self.apply(Reduce(self.now_ms, account, digest, quantity))

    @property
    def next_digest(self) -> bytes:
        """Of the next order that is sent."""
        return (len(self.orders) + 1).to_bytes(32, "big")

    def buy(self, account: bytes, quantity: int, price: int, **changes) -> tuple[bytes, list[AnyEvent]]:
        """`signer`: a session key that signs instead of the account. `kind`: another kind of signature. `name`,
        `reject_after_ms` and `display_quantity`: see `send`."""
        return self._send_side(account, Side.BUY, quantity, price, changes)

    def sell(self, account: bytes, quantity: int, price: int, **changes) -> tuple[bytes, list[AnyEvent]]:
        return self._send_side(account, Side.SELL, quantity, price, changes)

    def _send_side(
        self, account: bytes, side: Side, quantity: int, price: int, changes: dict
    ) -> tuple[bytes, list[AnyEvent]]:
        signer = changes.pop("signer", b"")
        kind = changes.pop("kind", SignatureKind.SESSION if signer else SignatureKind.ACCOUNT)
        words = [changes.pop(*word) for word in (("name", None), ("reject_after_ms", 0), ("display_quantity", 0))]
        return self.send(self.order(account, side, quantity, price, **changes), kind, signer, *words)

    def cancel(self, account: bytes, *digests: bytes, names: Sequence[str] = ()) -> list[AnyEvent]:
        return self.apply(Cancel(self.now_ms, account, list(digests), list(names)))

    def cancel_all(self, account: bytes, market: str | None = None, side: Side | None = None) -> list[AnyEvent]:
        return self.apply(CancelAll(self.now_ms, account, market, side))

    def countdown(self, account: bytes, seconds: int) -> list[AnyEvent]:
        return self.apply(SetCountdown(self.now_ms, account, seconds))

    def expire(self) -> list[AnyEvent]:
        return self.apply(Expire(self.now_ms))

    def view(self, digest: bytes) -> OrderView:
        view = self.engine.order_state(digest)
        assert view is not None
        return view


def of_type(events: list[AnyEvent], *kinds: type) -> list[AnyEvent]:
    return [event for event in events if isinstance(event, kinds)]


def nonce(lane: int, seq: int, epoch: int = 0) -> int:
    return pack_nonce(epoch, lane, seq)
