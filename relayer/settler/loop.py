"""The settler's loop: follow what is on its way; when nothing is, make the next batch from what the chain expects.

Owns:     the decision to send, and the pace.
Promises: at most one transaction waits to be mined, so every batch is planned, simulated and numbered on known
          ground. A crash at any point loses nothing: what was signed is in the database and is sent again, and
          what was not is planned again from Settlement's own sequence.
Never:    gives up. Trouble is said once in plain words and retried with growing pauses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.problem import Problem
from cxdex.rpc import RpcError
from relayer.settler.chain import (
    OUT_OF_GAS,
    Head,
    MarketState,
    Refusal,
    SettlementChain,
    encode_void_sequence,
)
from relayer.settler.follow import Follower, FollowOptions
from relayer.settler.metrics import SettlerMetrics
from relayer.settler.plan import (
    TRANSACTION_GAS_CAP,
    Limits,
    Load,
    Trade,
    is_due,
    longest_passing,
    settleable,
    spans,
)
from relayer.settler.sizing import Sizer, Unfit
from relayer.settler.store import Batch, Draft, Quarantined, Store
from relayer.settler.wallet import Envelope, TransactionSigner, first_fees

log = logging.getLogger("relayer.settler")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
GAS_MARGIN = 1.1  # the estimate is made on the pending block; the real one may cost a little more, within the cap

# Words that the contract has for the state of the world, not for a fill: planning again is the answer.
_NOT_THE_FILL = frozenset({OUT_OF_GAS, "S:CORE", "S:GAS", "S:LENGTH", "S:MARKET", "S:SEQ"})


@dataclass(frozen=True, slots=True)
class Options:
    """poll_ms: how often the database and the chain are looked at."""

    limits: Limits
    follow: FollowOptions
    poll_ms: int


class Settler:
    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        signer: TransactionSigner,
        options: Options,
        now_ms: Callable[[], int],
        measures: SettlerMetrics | None = None,
    ) -> None:
        self._measures = measures or SettlerMetrics(CollectorRegistry(), now_ms)
        self._store = store
        self._chain = chain
        self._signer = signer
        self._options = options
        self._now_ms = now_ms
        self._follower = Follower(store, chain, signer, options.follow, now_ms, self._measures)
        self._sizer = Sizer(chain, options.limits)
        self._waiting_for: frozenset[str] = frozenset()
        self._plan_at_ms = 0
        self._plan_at_match = 0
        self._following = True

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Until `stop` is set. on_ready is called once, when the chain and the key have proved right."""
        pause, said, ready = FIRST_PAUSE_SECONDS, "", False
        while not stop.is_set():
            try:
                if not ready:
                    self._store.open()
                    self._chain.require_ours()
                    ready = True
                    on_ready()
                busy = self.step()
            except (Problem, RpcError, SQLAlchemyError) as error:
                self._measures.errors.labels(error.code if isinstance(error, Problem) else type(error).__name__).inc()
                text = _one_line(error)
                if text != said:
                    log.error("%s; trying again", text)
                said = text
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            if said:
                log.info("going on")
            pause, said = FIRST_PAUSE_SECONDS, ""
            if not busy:
                stop.wait(self._options.poll_ms / 1000)

    def step(self) -> bool:
        """One look at the chain and the tables. True if it sent something, so that looking again is worth it."""
        if self._follower.follow():
            self._following = True
            return False
        if self._following:  # a batch has just been resolved, well or badly: plan anew
            self._following = False
            self._plan_at_ms = 0
        newest = self._store.newest_match()
        if newest < self._plan_at_match and self._now_ms() < self._plan_at_ms:
            return False
        return self._settle_next(newest)

    def _settle_next(self, newest: int) -> bool:
        limits = self._options.limits
        states = self._chain.markets(self._store.markets())
        self._say_waiting(states)
        next_sequence = {symbol: state.next_sequence for symbol, state in states.items() if state.active}
        trades = self._store.trades(next_sequence, limits.max_fills)
        chosen = settleable(trades, next_sequence, limits.max_fills)
        self._measures.oldest_ms = chosen[0].time_ms if chosen else None
        if not is_due(chosen, limits, self._now_ms()):
            fills = self._matched(chosen) if self._may_be_full(chosen) else []
            if not fills or self._sizer.guess(fills) == len(fills):
                self._sleep_until(chosen, newest)
                return False
        else:
            fills = self._matched(chosen)
        self._plan_at_ms = 0
        return self._settle(chosen, fills)

    def _may_be_full(self, chosen: Sequence[Trade]) -> bool:
        """Whether gas or calldata could fill up before the count does; spares reading orders at every look."""
        worst = Load().gas + 40_000 * self._sizer.scale * len(chosen)
        limits = self._options.limits
        return worst > limits.gas_limit or 3 * 128 * len(chosen) > limits.calldata_limit

    def _sleep_until(self, chosen: Sequence[Trade], newest: int) -> None:
        """Nothing to do before the interval ends or a good part of a batch has been matched."""
        limits = self._options.limits
        now = self._now_ms()
        if chosen:
            self._plan_at_ms = chosen[0].time_ms + limits.interval_ms
            self._plan_at_match = newest + max(1, (limits.max_fills - len(chosen)) // 4)
        else:
            self._plan_at_ms = now + limits.interval_ms
            self._plan_at_match = newest + 1

    def _matched(self, chosen: Sequence[Trade]) -> list[MatchedFill]:
        orders = self._store.signed_orders(
            digest for trade in chosen for digest in (trade.maker_digest, trade.taker_digest)
        )
        return [
            MatchedFill(
                trade.market, trade.sequence, orders[trade.maker_digest], orders[trade.taker_digest], trade.quantity
            )
            for trade in chosen
        ]

    def _settle(self, chosen: Sequence[Trade], fills: Sequence[MatchedFill]) -> bool:
        sized = self._sizer.largest(fills)
        if isinstance(sized, Unfit):
            refusal = sized.refusal
            good = longest_passing(
                sized.count, lambda count: self._chain.simulate(encode_settle_batch(fills[:count])) is None
            )
            if good == 0:
                return self._pass_over(chosen[0], fills[0])
            log.warning(
                "match %d does not simulate (%s): settling the %d before it", chosen[good].match_id, refusal, good
            )
            sized = self._sizer.largest(fills[:good])
        if isinstance(sized, Unfit):
            raise Problem("SIMULATION_FAILED", f"the batch stopped simulating ({sized.refusal})")
        fills = fills[: sized.count]
        matches = (chosen[0].match_id, chosen[len(fills) - 1].match_id)
        return self._submit(encode_settle_batch(fills), sized.gas, matches, fills, None)

    def _pass_over(self, trade: Trade, fill: MatchedFill) -> bool:
        """The first fill fails alone. If that is the fill's own fault, its number is used up and it stays behind."""
        refusal = self._chain.simulate(encode_settle_batch([fill]))
        if refusal is None:
            return True  # the chain has moved under us: look again
        if refusal.code in _NOT_THE_FILL:
            raise Problem("SIMULATION_FAILED", f"the chain is not where the plan began ({refusal})")
        log.error(
            "match %d (%s, sequence %d) can never settle: %s; it is quarantined and its number used up",
            trade.match_id, trade.market, trade.sequence, refusal,
        )  # fmt: skip
        data = encode_void_sequence(trade.market, 1)
        gas = self._chain.estimate_gas(data)
        if isinstance(gas, Refusal):
            raise Problem("SIMULATION_FAILED", f"voidSequence does not simulate ({gas})")
        quarantined = Quarantined(trade.match_id, trade.market, trade.sequence, str(refusal))
        return self._submit(data, gas, (trade.match_id, trade.match_id), [], quarantined)

    def _submit(
        self,
        data: bytes,
        gas: int,
        matches: tuple[int, int],
        fills: Sequence[MatchedFill],
        quarantined: Quarantined | None,
    ) -> bool:
        """Signs, commits, sends, in this order."""
        head = self._chain.head()
        if self._follower.reopen_final(head):  # so these fills are on their way already, in the bytes of before
            self._following = True
            return self._follower.follow()
        follow = self._options.follow
        fees = first_fees(head.base_fee, follow.tip, follow.fee_cap)
        if fees is None:
            raise Problem(
                "FEE_CAP",
                f"the base fee is {head.base_fee} wei a gas, the cap {follow.fee_cap}: waiting for it to fall",
            )
        gas = min(TRANSACTION_GAS_CAP, int(gas * GAS_MARGIN))
        self._require_funds(gas * fees.max_fee)
        nonce = max([head.nonce, *(batch.nonce + 1 for batch in self._store.unresolved())])
        transaction = self._signer.sign(Envelope(nonce, gas, data), fees)
        draft = Draft(matches[0], matches[1], len(fills), nonce, transaction, spans(fills), quarantined)
        batch = self._store.prepare(draft, self._now_ms())
        self._measures.batches.labels("PREPARED").inc()
        self._measures.max_fee.set(fees.max_fee)
        self._send(batch, head)
        return True

    def _send(self, batch: Batch, head: Head) -> None:
        self._following = True
        self._follower.submit(batch, head)

    def _require_funds(self, needed: int) -> None:
        balance = self._chain.balance()
        self._measures.balance.set(balance)
        if balance < needed:
            raise Problem(
                "GAS_FUNDS", f"{self._chain.core} has {balance} wei and the next batch may cost {needed}: fund it"
            )

    def _say_waiting(self, states: dict[str, MarketState]) -> None:
        waiting = frozenset(symbol for symbol, state in states.items() if not state.active)
        if waiting - self._waiting_for:
            log.warning("not active, so its fills wait: %s", ", ".join(sorted(waiting)))
        self._waiting_for = waiting


def _one_line(error: Exception) -> str:
    if isinstance(error, Problem):
        return f"{error.detail} ({error.code})" + (f"; remedy: {error.allowed}" if error.allowed else "")
    return f"{type(error).__name__}: {error}".splitlines()[0]
