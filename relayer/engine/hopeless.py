"""Orders that can only be refused, sent by somebody who need not be their account: they are refused without a command.

Owns:     what can be known of such an order beforehand, whatever is on its way to the engine ahead of it.
Promises: changes nothing. What the chain has settled is public, signatures included, so anybody can send an account's
          old orders again, as often as he likes; a key whose session has ended still signs, and a key without a deposit
          costs nothing. None of these is written down, and none counts as a refusal of the account's.
Never:    foresees a refusal that the account itself has to answer for (see `relayer.refusal_budget`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxdex.nonce import unpack_nonce
from cxdex.order import SignatureKind
from cxdex.problem import Problem
from relayer.engine.acceptance import admit, reject
from relayer.engine.amending import admit_replacement, cancel_and_place
from relayer.engine.commands import CancelAndPlace, Place, Replace
from relayer.engine.events import OrderRejected

if TYPE_CHECKING:
    from relayer.engine.accounts import Account
    from relayer.engine.turn import Turn


def refused_at_once(turn: Turn, command: Place | Replace | CancelAndPlace) -> OrderRejected | None:
    """None for a command that has to be carried out. `turn` is for nothing else."""
    account = turn.state.accounts.get(command.order.account)
    if isinstance(command, CancelAndPlace):  # who cancels is signed in, and may cancel even where he places nothing
        if account is not None:
            return None
        cancel_and_place(turn, command)
    else:
        if account is not None and not _is_dead(account, command, turn.time_ms):
            return None
        try:
            if isinstance(command, Replace):
                admit_replacement(turn, command)
            else:
                admit(turn, command)
        except Problem as problem:
            reject(turn, command, problem)
    return next((event for event in turn.events if isinstance(event, OrderRejected)), None)


def _is_dead(account: Account, command: Place | Replace, time_ms: int) -> bool:
    """Whether the session that signed has ended, the nonce is used up, or a later order of the nonce has taken this
    one's place."""
    if command.kind is SignatureKind.SESSION:
        session = account.sessions.get(command.signer)
        if session is None or session.terms.expiry * 1000 <= time_ms:
            return True
    nonce = unpack_nonce(command.order.nonce)
    if nonce.epoch != account.epoch:
        return nonce.epoch < account.epoch
    lane = account.lanes.get(nonce.lane)
    if lane is None or nonce.seq >= lane.next_seq:
        return False
    if not lane.is_open or nonce.seq != lane.used:
        return True
    wanted, digest = command.order.nonce, command.digest
    return any(
        record.ancestors and record.order.nonce == wanted and digest in record.ancestors
        for record in account.open.values()
    )
