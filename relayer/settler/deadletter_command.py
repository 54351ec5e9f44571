"""`python -m relayer deadletter list | show | retry | drop`: fills that the contract refuses, for an operator.

Promises: changes nothing but the decision about a fill; the settler, which holds CORE's key, acts on it. Exit
          status 0: done, 1: refused, 2: wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from cxdex.contract_errors import explain
from cxdex.order import SignedOrder
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer.settler.dead_letters import CLOSED, DROP, HELD, RELEASED, RETRY, VOIDED, DeadLetter, DeadLetters
from relayer.settler.store import Store

_NEXT = {
    HELD: "its market waits: `retry` asks the contract again now, `drop` gives the fill up now",
    VOIDED: "given up: the engine undoes it, cancels both orders and tells the owners; `drop` takes it off this list",
    CLOSED: "given up, and seen by an operator",
    RELEASED: "the contract takes it after all; it settles with the others",
}


def main(argv: list[str]) -> int:
    """`python -m relayer deadletter list|show|retry|drop --database URL`"""
    options = _parse(argv)
    try:
        store = Store(open_database(options.database))
        if not store.letters.exists():
            raise Problem("DATABASE_EMPTY", "no settler has worked on this database yet", allowed="--database URL")
        status: int = options.run(store, options)
    except Problem as problem:
        remedy = f" ({problem.allowed})" if problem.allowed else ""
        return _refuse(f"{problem.code}: {problem.detail}{remedy}")
    except SQLAlchemyError as error:
        return _refuse(f"the database cannot be used: {str(error).splitlines()[0]}")
    return status


def list_letters(store: Store, options: argparse.Namespace) -> int:
    letters = store.letters.all() if options.all else store.letters.open()
    for letter in letters:
        print(
            f"{letter.match_id}  {letter.status:8} {letter.market} sequence {letter.sequence}, "
            f"since {_time(letter.created_ms)}: {letter.reason}"
        )
    if not letters:
        print("nothing is refused")
    return 0


def show(store: Store, options: argparse.Namespace) -> int:
    letter = _find(store.letters, options.match_id)
    shown: dict[str, object] = {
        "matchId": letter.match_id,
        "market": letter.market,
        "sequence": letter.sequence,
        "status": letter.status,
        "decision": letter.decision,
        "reason": letter.reason,
        "meaning": explain(letter.reason),
        "since": _time(letter.created_ms),
        "waitsUntil": _time(letter.until_ms) if letter.status == HELD else None,
        "next": _NEXT[letter.status],
    }
    trades = store.trades({letter.market: letter.sequence}, 1)
    if trades and trades[0].match_id == letter.match_id:
        trade = trades[0]
        orders = store.signed_orders([trade.maker_digest, trade.taker_digest])
        shown |= {"quantity": trade.quantity, "matchedAt": _time(trade.time_ms), "undone": trade.voided}
        for role, digest in (("maker", trade.maker_digest), ("taker", trade.taker_digest)):
            signed = orders[digest]
            order = signed.order
            shown[role] = {
                "order": "0x" + digest.hex(),
                "account": "0x" + order.account.hex(),
                "side": order.side.name,
                "quantity": order.quantity,
                "limitPrice": str(order.limit_price),
                "nonce": str(order.nonce),
                "expiry": order.expiry,
                "signature": "0x" + signed.signature.hex(),
                "signatureKind": signed.kind.name,
                **_waits_for(signed),
            }
    print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    return 0


def _waits_for(signed: SignedOrder) -> dict[str, object]:
    """What a conditional order waits for, and the publish times that the settler sends as its proof."""
    condition = signed.order.condition
    if condition is None:
        return {}
    return {
        "trigger": condition.trigger.name,
        "triggerPrice": str(condition.trigger_price),
        "activeFrom": condition.active_from,
        "proof": list(signed.proof),
    }


def retry(store: Store, options: argparse.Namespace) -> int:
    letter = _find(store.letters, options.match_id)
    if letter.status != HELD:
        raise Problem(
            "LETTER_PASSED",
            f"match {letter.match_id} is {letter.status}: {_NEXT[letter.status]}",
            allowed="a fill that is HELD; once its number is used up, the owners' orders must be sent anew",
        )
    store.letters.decide(letter.match_id, RETRY, _now_ms())
    print(f"the settler asks the contract about match {letter.match_id} again within seconds; see `show`")
    return 0


def drop(store: Store, options: argparse.Namespace) -> int:
    letter = _find(store.letters, options.match_id)
    if letter.status == VOIDED:
        store.letters.close(letter.match_id, _now_ms())
        print(f"match {letter.match_id} is off the list")
        return 0
    if letter.status != HELD:
        raise Problem("LETTER_PASSED", f"match {letter.match_id} is {letter.status}: {_NEXT[letter.status]}")
    if not options.yes:
        print(
            f"would give match {letter.match_id} up: its number is used up and both accounts get back what they "
            "gave. This cannot be undone. Nothing was changed: repeat with --yes"
        )
        return 1
    store.letters.decide(letter.match_id, DROP, _now_ms())
    print(f"the settler gives match {letter.match_id} up within seconds; see `show`")
    return 0


def _find(letters: DeadLetters, match_id: int) -> DeadLetter:
    letter = letters.find(match_id)
    if letter is None:
        raise Problem("LETTER_UNKNOWN", f"the contract has not refused match {match_id}", allowed="`list` names them")
    return letter


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")


def _now_ms() -> int:
    return time.time_ns() // 10**6


def _refuse(reason: str) -> int:
    print(f"deadletter: {reason}", file=sys.stderr, flush=True)
    return 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m relayer deadletter", description="Fills that the contract refuses, and what to do about them."
    )
    commands = parser.add_subparsers(required=True, metavar="list|show|retry|drop")
    url = os.environ.get("CXDEX_DATABASE_URL", f"sqlite:///{os.environ.get('CXDEX_STATE', '.state')}/exchange.db")
    parts = {}
    for name, run, text in (
        ("list", list_letters, "fills that are held or were given up"),
        ("show", show, "one of them, with both orders, as JSON"),
        ("retry", retry, "ask the contract again now"),
        ("drop", drop, "give a held fill up now, or take one that was given up off the list"),
    ):
        part = parts[name] = commands.add_parser(name, help=text, description=text)
        part.set_defaults(run=run)
        part.add_argument("--database", default=url)
        if name != "list":
            part.add_argument("match_id", type=int, metavar="MATCH_ID")
    parts["list"].add_argument("--all", action="store_true", help="closed and released ones too")
    parts["drop"].add_argument("--yes", action="store_true", help="do it; without, only say what would be done")
    return parser.parse_args(argv)
