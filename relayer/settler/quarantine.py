"""What becomes of a fill that the contract refuses alone, on known ground.

Owns:     the judgement: given up at once, held for a while, or not the fill's fault.
Promises: a fill whose own bytes are wrong is given up at once, so that its market goes on. One that is refused for
          a reason that may pass, or that nobody knows, holds only its own market, until it passes, an operator
          decides, or the time is over. A fill that reverts on chain although it simulates is tried MOST_REVERTS times
          alone. A fill is given up by using up its number, never silently. After MOST_IN_A_ROW given up for that and
          nothing settled since, the fault is hardly theirs: each further one is tried for as long as a hold lasts.
Never:    chooses what settles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.contract_errors import explain
from cxdex.logs import about
from cxdex.problem import Problem
from relayer.settler.chain import OUT_OF_GAS, MarketState, SettlementChain
from relayer.settler.dead_letters import DROP, RELEASED, RETRY, DeadLetter
from relayer.settler.metrics import SettlerMetrics
from relayer.settler.plan import Trade
from relayer.settler.sender import Sender
from relayer.settler.store import Quarantined, Store

log = logging.getLogger("relayer.settler")

HOLD_SECONDS = 600
REVIEW_EVERY_MS = 15_000
MOST_REVERTS = 3  # each costs the gas of a transaction
MOST_IN_A_ROW = 3
REVERTED = "its transaction reverted on chain"

# Words for what is wrong with the orders or the fill themselves: no waiting makes it right.
_THE_FILL = frozenset(
    {"S:CURSOR", "S:ENTRY", "S:FLAGS", "S:LOTS", "S:MAKER", "S:OVERFILL", "S:PACK", "S:PRICE", "S:SIDE", "S:SIG"}
    | {"S:TAKER", "X:BITS", "X:EARLY", "X:ORDER", "X:WORD"}
)
# Every other word of a condition's proof (O:NONE, X:PROOF, X:UNMET) speaks of prices that a reorg may take and bring
# back: its market is held, and the proof is read anew each time it is asked for.
# Words for the state of the world: planning again is the answer.
_NOT_THE_FILL = frozenset({OUT_OF_GAS, "S:CORE", "S:GAS", "S:LENGTH", "S:MARKET", "S:SEQ"})


class Quarantine:
    """hold_ms: how long a market waits for a refusal to pass."""

    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        sender: Sender,
        now_ms: Callable[[], int],
        measures: SettlerMetrics,
        hold_ms: int,
    ) -> None:
        self._store = store
        self._letters = store.letters
        self._chain = chain
        self._sender = sender
        self._now_ms = now_ms
        self._measures = measures
        self._hold_ms = hold_ms
        self._reviewed_ms: dict[int, int] = {}
        self._voided_ms: dict[int, int] = {}

    def may_try_again(self, trade: Trade, fill: MatchedFill, reverts: int) -> bool:
        """Whether the first fill of a plan, which reverted on chain as often as this when it was alone, is to be sent.

        Its market pauses before each further attempt; after the last one the fill is given up.
        """
        reason = f"{REVERTED} {reverts} times, although the contract takes it when it is asked"
        letter = self._letters.find(trade.match_id)
        if reverts >= MOST_REVERTS and not self._is_braked(letter):
            self._give_up(trade.match_id, trade.market, trade.sequence, reason, fill)
            return False
        if letter is not None and (letter.status, letter.reason) == (RELEASED, reason):
            return True  # this pause is over
        self._hold(trade, fill, reason)
        return False

    def _is_braked(self, letter: DeadLetter | None) -> bool:
        """Whether so many were given up in a row that a node or this settler may be what is wrong."""
        in_a_row = self._store.given_up_since_settled(REVERTED)
        if in_a_row < MOST_IN_A_ROW or letter is None or self._now_ms() >= letter.created_ms + self._hold_ms:
            return False
        log.error(
            "ALERT: %d fills in a row were given up because they reverted on chain, and nothing has settled since: "
            "the node, the settler or the contract may be wrong; the next one is tried for up to %d s",
            in_a_row, self._hold_ms // 1000,
        )  # fmt: skip
        return True

    def judge(self, trade: Trade, fill: MatchedFill) -> bool:
        """The first fill of a plan, which fails alone. True when a look at the chain is worth it at once."""
        refusal = self._chain.simulate(encode_settle_batch([fill]))
        if refusal is None:
            return True  # the chain has moved under us: look again
        if refusal.code in _NOT_THE_FILL:
            raise Problem("SIMULATION_FAILED", f"the chain is not where the plan began ({refusal})")
        if refusal.code in _THE_FILL:
            return self._give_up(trade.match_id, trade.market, trade.sequence, str(refusal), fill)
        self._hold(trade, fill, str(refusal))
        return True

    def held(self, states: Mapping[str, MarketState], matched: Callable[[str, int], MatchedFill | None]) -> set[str]:
        """The markets that wait. Asks the chain again now and then, or when an operator wants it."""
        waiting = set()
        for letter in self._letters.held():
            state = states.get(letter.market)
            if state is not None and state.next_sequence != letter.sequence:
                self._letters.release(letter.match_id, self._now_ms())  # the chain has passed it without us
            elif state is not None and state.active and self._is_released(letter, matched):
                continue
            else:
                waiting.add(letter.market)
        self._count()
        return waiting

    def overdue(self, states: Mapping[str, MarketState]) -> DeadLetter | None:
        """A held fill to be given up now."""
        now_ms = self._now_ms()
        for letter in self._letters.held():
            state = states.get(letter.market)
            at_it = state is not None and state.active and state.next_sequence == letter.sequence
            if at_it and (letter.decision == DROP or now_ms >= letter.until_ms):
                return letter
        return None

    def give_up(self, letter: DeadLetter, fill: MatchedFill | None) -> bool:
        return self._give_up(letter.match_id, letter.market, letter.sequence, letter.reason, fill)

    def _hold(self, trade: Trade, fill: MatchedFill, reason: str) -> None:
        now_ms = self._now_ms()
        self._letters.hold(trade.match_id, trade.market, trade.sequence, reason, now_ms, now_ms + self._hold_ms)
        self._reviewed_ms[trade.match_id] = now_ms
        self._count()
        log.error(
            "ALERT: match %d (%s, sequence %d) is refused: %s; its market waits up to %d s, "
            "see `python -m relayer deadletter show %d`",
            trade.match_id, trade.market, trade.sequence, explain(reason), self._hold_ms // 1000, trade.match_id,
            extra=about(match=trade.match_id, orders=orders_of(fill)),
        )  # fmt: skip

    def _is_released(self, letter: DeadLetter, matched: Callable[[str, int], MatchedFill | None]) -> bool:
        now_ms = self._now_ms()
        due = now_ms - self._reviewed_ms.get(letter.match_id, 0) >= REVIEW_EVERY_MS
        if letter.decision != RETRY and not due:
            return False
        self._reviewed_ms[letter.match_id] = now_ms
        fill = matched(letter.market, letter.sequence)
        if fill is None:  # the engine has taken the trade back
            self._letters.release(letter.match_id, now_ms)
            return True
        refusal = self._chain.simulate(encode_settle_batch([fill]))
        if refusal is not None:
            self._letters.refused_again(letter.match_id, str(refusal), now_ms)
            return False
        log.warning(
            "match %d is not refused any more and settles with the others", letter.match_id,
            extra=about(match=letter.match_id, orders=orders_of(fill)),
        )  # fmt: skip
        self._letters.release(letter.match_id, now_ms)
        return True

    def _give_up(self, match_id: int, market: str, sequence: int, reason: str, fill: MatchedFill | None) -> bool:
        now_ms = self._now_ms()
        if now_ms - self._voided_ms.get(match_id, now_ms - REVIEW_EVERY_MS) < REVIEW_EVERY_MS:
            return False  # the transaction of the last attempt reverted too: gas is not burnt in a hurry
        self._voided_ms[match_id] = now_ms
        log.error(
            "match %d (%s, sequence %d) can never settle: %s; it is quarantined and its number used up",
            match_id, market, sequence, reason,
            extra=about(match=match_id, orders=None if fill is None else orders_of(fill)),
        )  # fmt: skip
        sent = self._sender.void(Quarantined(match_id, market, sequence, reason))
        self._count()
        return sent

    def _count(self) -> None:
        self._measures.dead_letters.set(self._letters.count_open())


def orders_of(fill: MatchedFill) -> list[bytes]:
    """The ids of both orders, as logs name them."""
    return [fill.maker.digest, fill.taker.digest]
