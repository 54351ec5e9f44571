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
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.logs import about
from cxdex.problem import Problem
from cxdex.rpc import RpcError
from relayer.settler.chain import MarketState, SettlementChain
from relayer.settler.follow import Follower, FollowOptions
from relayer.settler.heartbeat import Heartbeat
from relayer.settler.metrics import SettlerMetrics
from relayer.settler.plan import Limits, Load, Trade, is_due, longest_passing, settleable, within_suspicion
from relayer.settler.quarantine import HOLD_SECONDS, Quarantine, orders_of
from relayer.settler.report import PROMISE_SECONDS, Report
from relayer.settler.sender import Sender
from relayer.settler.sizing import Sizer, Unfit
from relayer.settler.store import Store
from relayer.settler.wallet import TransactionSigner

log = logging.getLogger("relayer.settler")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
HELD_LOOK_MS = 5_000


@dataclass(frozen=True, slots=True)
class Options:
    """poll_ms: how often the database and the chain are looked at. promise_ms: how old a fill may become.

    hold_ms: how long a market waits for a fill that is refused for a reason that may pass.
    """

    limits: Limits
    follow: FollowOptions
    poll_ms: int
    promise_ms: int = PROMISE_SECONDS * 1000
    hold_ms: int = HOLD_SECONDS * 1000


class Settler:
    """on_chain_time: hears the newest block's time, unix seconds, once a minute."""

    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        signer: TransactionSigner,
        options: Options,
        now_ms: Callable[[], int],
        measures: SettlerMetrics | None = None,
        on_chain_time: Callable[[int], None] = lambda _seconds: None,
    ) -> None:
        self._measures = measures or SettlerMetrics(CollectorRegistry(), now_ms)
        self._store = store
        self._chain = chain
        self._options = options
        self._now_ms = now_ms
        self._follower = Follower(store, chain, signer, options.follow, now_ms, self._measures)
        self._sender = Sender(store, chain, signer, self._follower, options.follow, now_ms, self._measures)
        self._quarantine = Quarantine(store, chain, self._sender, now_ms, self._measures, options.hold_ms)
        self._heartbeat = Heartbeat(chain, now_ms, self._measures, on_chain_time)
        self._report = Report(store, self._measures, now_ms, options.promise_ms)
        self._sizer = Sizer(chain, options.limits)
        self._held: set[str] = set()
        self._waiting_for: frozenset[str] = frozenset()
        self._plan_at_ms = 0
        self._plan_at_match = 0
        self._following = True

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Until `stop` is set. on_ready is called once, when the chain and the key have proved right."""
        pause, said, ready = FIRST_PAUSE_SECONDS, "", False
        while not stop.is_set():
            try:
                self._choose_node()
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
                self._tell(text)
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
        self._choose_node()
        self._heartbeat.look()
        self._report.last_beat = self._heartbeat.last
        busy = self._step()
        self._report.tell()
        return busy

    def _choose_node(self) -> None:
        if self._chain.choose_node():
            self._follower.node_changed()
            self._measures.node_switches.inc()
        self._report.node = self._chain.node

    def _step(self) -> bool:
        if self._follower.follow():
            self._following = True
            return False
        if self._following:  # a batch has just been resolved, well or badly: plan anew
            self._following = False
            self._plan_at_ms = 0
        if self._heartbeat.take_due():
            return self._sent(self._sender.beat())
        newest = self._store.newest_match()
        if newest < self._plan_at_match and self._now_ms() < self._plan_at_ms:
            return False
        return self._settle_next(newest)

    def _settle_next(self, newest: int) -> bool:
        limits = self._options.limits
        states = self._chain.markets(self._store.markets())
        self._say_waiting(states)
        self._report.next_sequence = {symbol: state.next_sequence for symbol, state in states.items()}
        overdue = self._quarantine.overdue(states)
        if overdue is not None:
            return self._sent(self._quarantine.give_up(overdue, self._matched_at(overdue.market, overdue.sequence)))
        self._held = self._quarantine.held(states, self._matched_at)
        next_sequence = {
            symbol: state.next_sequence for symbol, state in states.items() if state.active and symbol not in self._held
        }
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
        if self._held:
            self._plan_at_ms = min(self._plan_at_ms, now + HELD_LOOK_MS)

    def _matched_at(self, market: str, sequence: int) -> MatchedFill | None:
        """None when there is no such trade any more."""
        found = [trade for trade in self._store.trades({market: sequence}, 1) if trade.sequence == sequence]
        return self._matched(found)[0] if found and not found[0].voided else None

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
        reverted = self._store.reverted(chosen[0].match_id)
        fills = fills[: within_suspicion(chosen, reverted)]
        alone = sum(first == last for first, last in reverted)
        if alone and not self._quarantine.may_try_again(chosen[0], fills[0], alone):
            return self._sent(True)
        sized = self._sizer.largest(fills)
        if isinstance(sized, Unfit):
            refusal = sized.refusal
            good = longest_passing(
                sized.count, lambda count: self._chain.simulate(encode_settle_batch(fills[:count])) is None
            )
            if good == 0:
                return self._sent(self._quarantine.judge(chosen[0], fills[0]))
            log.warning(
                "match %d does not simulate (%s): settling the %d before it", chosen[good].match_id, refusal, good,
                extra=about(match=chosen[good].match_id, orders=orders_of(fills[good])),
            )  # fmt: skip
            sized = self._sizer.largest(fills[:good])
        if isinstance(sized, Unfit):
            raise Problem("SIMULATION_FAILED", f"the batch stopped simulating ({sized.refusal})")
        fills = fills[: sized.count]
        matches = (chosen[0].match_id, chosen[len(fills) - 1].match_id)
        return self._sent(self._sender.settle(fills, sized.gas, sized.wallet_gas, matches))

    def _sent(self, busy: bool) -> bool:
        self._following = True
        return busy

    def _tell(self, error: str) -> None:
        """Best effort: it may be the database that fails."""
        with suppress(SQLAlchemyError):
            self._report.tell(error)

    def _say_waiting(self, states: dict[str, MarketState]) -> None:
        waiting = frozenset(symbol for symbol, state in states.items() if not state.active)
        if waiting - self._waiting_for:
            log.warning("not active, so its fills wait: %s", ", ".join(sorted(waiting)))
        self._waiting_for = waiting


def _one_line(error: Exception) -> str:
    if isinstance(error, Problem):
        return f"{error.detail} ({error.code})" + (f"; remedy: {error.allowed}" if error.allowed else "")
    return f"{type(error).__name__}: {error}".splitlines()[0]
