"""Placing: from the JSON of a signed order to the engine's answer. One code path for HTTP and for the WebSocket.

Owns:     the three steps, so that a caller can put several requests into one: read, check signatures, place.
Promises: every order is answered on its own, in order, also when its neighbours are refused. The answer to an accepted
          order is made after the engine's journal is on disk. The curve arithmetic of many signatures runs in threads,
          without the interpreter's lock; how many may wait for it is bounded.
Never:    decides what only the engine can know (balances, nonces, the book), or retries an order by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from api.context import Context
from api.fields import read_object, read_signature, read_small_integer
from api.order_json import TermsLookup, read_chain_id, read_client_order_id, read_display, read_order
from api.plain_order import read_plain_order
from api.problems import engine_problem, problem_document
from api.signers import Recovered, recover_key
from cxdex.eip712 import Domain, order_digest, order_message
from cxdex.market import MarketTerms
from cxdex.problem import Problem
from cxdex.units import format_price, format_quantity, format_usdc
from relayer.public_order import order_state_json
from relayer.wire import PlaceResult, WireFill, WireOrder

MAX_BATCH = 50
SIGNED_FIELDS = ("order", "signature", "chainId")
ENVELOPE_FIELDS = ("clientOrderId", "rejectAfter", "displayQuantity")
RECOVERY_THREADS = 2
RECOVERY_CHUNK = 25  # signatures a thread takes at once: below that, handing over costs more than it saves
RECOVERED_HERE = 2  # so few are done before a thread would have begun
HERE_AT_ONCE = 10  # where no thread is used: then everybody else has a turn
CORES_FOR_THREADS = 3  # with fewer, the engine and this process's own thread need them all
MOST_RECOVERING = 20_000  # signatures that wait for a thread: more than a second's work

Outcome = WireOrder | Problem
"""An order that is well so far, or why it is not."""

_Wanted = tuple[int, bytes, bytes]
"""(place, digest, signature)"""

_uses_threads = (os.cpu_count() or 1) >= CORES_FOR_THREADS
_threads = ThreadPoolExecutor(RECOVERY_THREADS, thread_name_prefix="recover")
_recovering = 0


def read_signed_order(context: Context, value: Any) -> WireOrder:
    """{"order","signature","chainId"} and perhaps some of ENVELOPE_FIELDS, checked but for the signature itself."""
    plain = read_plain_order(value, context.domain, context.markets.terms_of)
    return read_carefully(context.domain, context.markets.terms_of, value) if plain is None else plain


def read_carefully(domain: Domain, terms_of: TermsLookup, value: Any) -> WireOrder:
    """The same for any order at all, with a refusal for everything that is wrong with it."""
    entry = read_object(value, SIGNED_FIELDS, ENVELOPE_FIELDS, "the body")
    read_chain_id(entry["chainId"], domain.chain_id)
    order, terms = read_order(entry["order"], terms_of)
    signature = read_signature(entry["signature"])
    reject_after = entry.get("rejectAfter")
    shown = entry.get("displayQuantity")
    return WireOrder(
        order,
        signature,
        order_digest(domain, order),
        read_client_order_id(entry.get("clientOrderId")),
        reject_after_ms=0 if reject_after is None else read_small_integer(reject_after, "rejectAfter", least=1),
        display_quantity=0 if shown is None else read_display(terms, shown),
    )


def read_entries(context: Context, entries: Sequence[Any]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for entry in entries:
        try:
            outcomes.append(read_signed_order(context, entry))
        except Problem as problem:
            outcomes.append(problem)
    return outcomes


async def check_signatures(context: Context, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The orders with their kind of signature, or SIGNATURE_MISMATCH when nobody who may sign for the account did."""
    checked = list(outcomes)
    asked: list[tuple[int, Recovered]] = []
    for place, found in await _recover(checked):
        signed = checked[place]
        assert isinstance(signed, WireOrder)
        signer = context.signers.recognise(signed.order.account, found)
        if signer is None:
            asked.append((place, found))
        elif signer.session or signer.signature != signed.signature:
            checked[place] = msgspec.structs.replace(
                signed, signature=signer.signature, kind=signer.kind, signer=signer.session
            )
    if asked:  # others have to be asked: they are asked at once
        judged = await asyncio.gather(*(_judge(context, checked[place], found) for place, found in asked))
        for (place, _), outcome in zip(asked, judged, strict=True):
            checked[place] = outcome
    return checked


async def check_signature(context: Context, signed: WireOrder, found: Recovered) -> WireOrder:
    """The order with its kind of signature. Raises SIGNATURE_MISMATCH when nobody who may sign for the account did."""
    account = signed.order.account
    signer = await context.signers.judge(
        account, signed.digest, signed.signature, found, lambda: order_message(signed.order)
    )
    return msgspec.structs.replace(signed, signature=signer.signature, kind=signer.kind, signer=signer.session)


async def place(context: Context, outcomes: Sequence[Outcome]) -> list[dict[str, Any] | Problem]:
    """For each the order's state with the fills of this placement, or why there is none. Raises ENGINE_UNAVAILABLE.

    The orders are on their way to the engine, in one message, when this first waits.
    """
    signed = [outcome for outcome in outcomes if isinstance(outcome, WireOrder)]
    results = iter(await context.engine.place(signed) if signed else [])
    return [
        outcome if isinstance(outcome, Problem) else place_result_json(context, next(results)) for outcome in outcomes
    ]


def place_result_json(context: Context, result: PlaceResult) -> dict[str, Any] | Problem:
    """The order's state with the fills of this placement, or the engine's problem."""
    if result.state is None:
        return engine_problem(result.digest, result.problem)
    terms = context.markets.terms_of(result.state.order.market)
    return {**order_state_json(result.state, terms), "fills": fills_json(result.fills, terms)}


def fills_json(fills: Sequence[WireFill], terms: MarketTerms) -> list[dict[str, Any]]:
    return [_fill_json(fill, terms) for fill in fills]


def batch_entry(answer: dict[str, Any] | Problem) -> dict[str, Any]:
    """{"order"} or {"problem"}."""
    return {"problem": problem_document(answer)} if isinstance(answer, Problem) else {"order": answer}


async def _recover(outcomes: list[Outcome]) -> list[tuple[int, Recovered]]:
    """(place in `outcomes`, whose signature it is) of every order among them."""
    global _recovering
    wanted = [
        (place, order.digest, order.signature) for place, order in enumerate(outcomes) if isinstance(order, WireOrder)
    ]
    if len(wanted) <= RECOVERED_HERE:
        return _recover_chunk(wanted)
    if _recovering + len(wanted) > MOST_RECOVERING:
        raise Problem("RATE_LIMITED", "more signatures wait to be checked than this process can take")
    _recovering += len(wanted)
    try:
        return await (_recover_in_threads(wanted) if _uses_threads else _recover_by_turns(wanted))
    finally:
        _recovering -= len(wanted)


async def _recover_in_threads(wanted: list[_Wanted]) -> list[tuple[int, Recovered]]:
    loop = asyncio.get_running_loop()
    chunks = [wanted[start : start + RECOVERY_CHUNK] for start in range(0, len(wanted), RECOVERY_CHUNK)]
    done = await asyncio.gather(*(loop.run_in_executor(_threads, _recover_chunk, chunk) for chunk in chunks))
    return [one for chunk in done for one in chunk]


async def _recover_by_turns(wanted: list[_Wanted]) -> list[tuple[int, Recovered]]:
    done = _recover_chunk(wanted[:HERE_AT_ONCE])
    for start in range(HERE_AT_ONCE, len(wanted), HERE_AT_ONCE):
        await asyncio.sleep(0)
        done += _recover_chunk(wanted[start : start + HERE_AT_ONCE])
    return done


def _recover_chunk(chunk: list[_Wanted]) -> list[tuple[int, Recovered]]:
    return [(place, recover_key(digest, signature)) for place, digest, signature in chunk]


async def _judge(context: Context, signed: Outcome, found: Recovered) -> Outcome:
    assert isinstance(signed, WireOrder)
    try:
        return await check_signature(context, signed, found)
    except Problem as problem:
        return problem


def _fill_json(fill: WireFill, terms: MarketTerms) -> dict[str, Any]:
    return {
        "matchId": str(fill.match_id),
        "sequence": str(fill.sequence),
        "price": format_price(terms, fill.price),
        "quantity": format_quantity(terms, fill.quantity),
        "role": "MAKER" if fill.is_maker else "TAKER",
        "fee": format_usdc(fill.fee),
        "time": fill.time_ms,
    }
