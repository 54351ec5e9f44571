"""Every refusal as `application/problem+json` (RFC 9457): one table of codes, one way to render them.

Owns:     the map code -> HTTP status, title, retryable, meaning; the problem document; its media type; how often this
          process has told each code.
Promises: a code never changes its meaning; an unexpected error shows a trace id and nothing else.
Never:    decides whether a request is right.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from cxdex.problem import Problem
from relayer.wire import WireProblem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
GIVEN_LIMIT = 200

told: Counter[str] = Counter(INTERNAL=0)  # from the start on, so that an alert sees the first one as a rise

_json = msgspec.json.Encoder()


class CodeEntry(NamedTuple):
    """status: HTTP status. retryable: the same request may succeed later, unchanged."""

    status: int
    title: str
    retryable: bool
    meaning: str


def _entry(status: int, title: str, meaning: str, *, retryable: bool = False) -> CodeEntry:
    return CodeEntry(status, title, retryable, meaning)


CODES: Mapping[str, CodeEntry] = {
    "BODY_MALFORMED": _entry(400, "Malformed body", "The body is not JSON, or not the JSON object that is expected."),
    "BODY_TOO_LARGE": _entry(413, "Body too large", "The body is larger than 256 KiB; send orders in batches of 50."),
    "HEAD_TOO_LARGE": _entry(431, "Head too large", "Address and headers of the request are larger than 64 KiB."),
    "REQUEST_TIMEOUT": _entry(408, "Too slow", "The request was not here as a whole after 30 s.", retryable=True),
    "FIELD_MISSING": _entry(400, "Field missing", "A required field is absent."),
    "FIELD_UNKNOWN": _entry(400, "Unknown field", "A field that this exchange does not know; it would be ignored."),
    "FIELD_INVALID": _entry(400, "Invalid value", "A field, path part or query parameter has an impossible value."),
    "NUMBER_NOT_STRING": _entry(400, "Number instead of string", "Amounts are decimal strings; numbers lose digits."),
    "DECIMAL_INVALID": _entry(400, "Invalid decimal", "Not a plain decimal, or more decimal places than allowed."),
    "NOT_FOUND": _entry(404, "Not found", "There is nothing at this address."),
    "METHOD_NOT_ALLOWED": _entry(405, "Method not allowed", "The address exists, but not with this method."),
    "RATE_LIMITED": _entry(429, "Too many requests", "Slow down and try again.", retryable=True),
    "AUTH_REQUIRED": _entry(401, "Sign-in required", "Send a bearer token from POST /v1/auth/login."),
    "AUTH_INVALID": _entry(401, "Sign-in not valid", "The token or login is wrong, expired, or another account's."),
    "SIGNATURE_MALFORMED": _entry(
        400,
        "Malformed signature",
        "A signature is 0x and 130 hex digits: r, s (low), v. Only a contract wallet's may be of another length.",
    ),
    "SIGNATURE_MISMATCH": _entry(
        422,
        "Signature of another key or message",
        "Neither the account, nor a session key of it, nor the contract at its address has signed these bytes. Compare "
        "digest, domain and message with yours.",
    ),
    "SESSION_NOT_LIVE": _entry(422, "No such session", "The key's session has ended, was revoked, or never was."),
    "SESSION_MARKET_REFUSED": _entry(422, "Session for another market", "The session may not trade in this market."),
    "SESSION_ORDER_FOREIGN": _entry(
        422, "Another's order", "A session key replaces only orders that it has signed itself."
    ),
    "SESSION_TOO_SHORT": _entry(422, "Session ends first", "The order's expiry is after that of its session."),
    "SESSION_LIMIT_EXCEEDED": _entry(
        422, "Session limit", "What is left of the session's notional, less its open orders, does not cover the order."
    ),
    "ORDER_WRONG_CHAIN": _entry(422, "Wrong chain", "The order was signed for another chain than this exchange's."),
    "ORDER_FIELD_INVALID": _entry(400, "Invalid order field", "A field of the order is outside what it can hold."),
    "ORDER_LOT_INVALID": _entry(422, "Not a whole number of lots", "The quantity is not a multiple of the lot size."),
    "ORDER_TICK_INVALID": _entry(422, "Not a whole number of ticks", "The price is not a multiple of the tick size."),
    "ORDER_TOO_SMALL": _entry(422, "Order too small", "The quantity is below the market's minimum."),
    "ORDER_FEE_CAP_TOO_LOW": _entry(422, "Fee cap too low", "The order's maxFeeBps is below the market's fee."),
    "ORDER_EXPIRED": _entry(
        422, "Order expired", "The expiry is in the past, or so near that a fill could not settle in time (60 s)."
    ),
    "ORDER_DISPLAY_INVALID": _entry(
        422,
        "Display invalid",
        "displayQuantity must be whole fills, a hundredth of the quantity or more, on an order that may rest.",
    ),
    "ORDER_PAIR_REFUSED": _entry(
        422, "No pair", "Two open orders of one nonce are a pair: one market, one side, one of them conditional."
    ),
    "ORDER_NONCE_USED": _entry(
        409, "Nonce used", "Another order has used this nonce; `allowed` has the next free one."
    ),
    "ORDER_NAME_TAKEN": _entry(
        409,
        "Name taken",
        "The chain names an order by account, nonce and the last 32 bits of its id, and another order of this nonce "
        "has the same; sign another expiry.",
    ),
    "ORDER_NONCE_LANE_BUSY": _entry(
        409, "Nonce lane busy", "An order that is open or not yet settled holds this lane; `allowed` has a free nonce."
    ),
    "ORDER_EPOCH_STALE": _entry(409, "Nonce epoch stale", "The account cancelled all its older orders on chain."),
    "ORDER_POST_ONLY_WOULD_TRADE": _entry(422, "Would trade", "A POST_ONLY order would have met a resting order."),
    "ORDER_FOK_UNFILLABLE": _entry(422, "Cannot be filled whole", "A FOK order finds too little in the book now."),
    "ORDER_REDUCE_ONLY_UNSUPPORTED": _entry(422, "Reduce-only not supported", "A spot buyer has nothing to reduce."),
    "ORDER_MINT_UNSUPPORTED": _entry(422, "Minting not supported", "maxCollateral has to be 0 for now."),
    "ORDER_TOO_LARGE": _entry(
        422, "Order too large", "The order's notional is above what one order of the account may be; send it in parts."
    ),
    "ORDER_TOO_MANY_OPEN": _entry(
        422, "Too many open orders", "The account rests as many orders in the market as it may.", retryable=True
    ),
    "ORDER_DAILY_VOLUME": _entry(
        422,
        "Daily volume reached",
        "With this order the account would match more than it may a UTC day.",
        retryable=True,
    ),
    "ORDER_PRICE_OUT_OF_BAND": _entry(
        422, "Price too far from the index", "A limit price may be this far above (buyer) or below (seller) the index."
    ),
    "ORDER_TOO_LATE": _entry(422, "Order too late", "The order reached the engine after its rejectAfter."),
    "ORDER_CANCELLED_BEFORE": _entry(
        409, "Cancelled before it came", "A cancel of this order arrived before the order; that holds for two minutes."
    ),
    "PROTECTION_TRIPPED": _entry(
        422,
        "Quotes are protected",
        "The account's market-maker protection has cancelled its quotes and waits for its cooldown or a reset.",
        retryable=True,
    ),
    "PROTECTION_UNKNOWN": _entry(404, "No protection", "The account has set no market-maker protection in the market."),
    "ORDER_UNKNOWN": _entry(404, "Unknown order", "No order with this id (or nonce) was accepted."),
    "ORDER_AMEND_RAISES": _entry(
        422, "Amendment raises", "The quantity of an order can be lowered by word; more needs a signature: replace it."
    ),
    "ORDER_FILLED_BEFORE": _entry(
        409, "Filled before", "The orders that this one replaces have filled its quantity already; the chain adds up."
    ),
    "ORDER_REPLACE_DIFFERS": _entry(
        422, "Not a replacement", "An order replaces an open one of the same account, nonce, market and side."
    ),
    "ORDER_REPLACED_BEFORE": _entry(
        409, "Replaced before", "This very order was accepted before and does not come back; sign another expiry."
    ),
    "ORDER_REPLACED_TOO_OFTEN": _entry(
        422, "Replaced too often", "Too many orders have had this nonce: cancel and place with a fresh one."
    ),
    "ORDER_NOT_OPEN": _entry(409, "Order not open", "The order is already filled, cancelled or expired."),
    "ACCOUNT_UNKNOWN": _entry(404, "Unknown account", "The exchange has seen no deposit of this account."),
    "MARKET_UNKNOWN": _entry(404, "Unknown market", "No market with this symbol is listed."),
    "MARKET_NOT_ACTIVE": _entry(422, "Market not active", "The market is paused or delisted.", retryable=True),
    "BALANCE_INSUFFICIENT": _entry(
        422, "Balance insufficient", "The order or withdrawal needs more than is available."
    ),
    "WITHDRAWAL_UNSETTLED": _entry(
        409,
        "Fills come first",
        "What matched fills bring, and may need, stays until they have settled; `allowed` has what may leave now.",
        retryable=True,
    ),
    "WITHDRAWAL_NONCE_USED": _entry(409, "Nonce used", "The nonce is that of another withdrawal, or of a paid one."),
    "WITHDRAWAL_TOO_MANY": _entry(
        409, "Too many at once", "Co-signed withdrawals that were not sent have to run out first.", retryable=True
    ),
    "WITHDRAWAL_INSTANT_OFF": _entry(
        422, "No instant withdrawals", "This exchange co-signs none; Vault.requestWithdraw needs nobody's leave."
    ),
    "SETTLEMENT_BEHIND": _entry(
        503, "Settlement is behind", "New orders wait until the chain has caught up; cancels go on.", retryable=True
    ),
    "SETTLEMENT_UNKNOWN": _entry(
        503, "Settlement not known", "How far fills are cannot be told now; a snapshot follows.", retryable=True
    ),
    "ENGINE_UNAVAILABLE": _entry(503, "Engine unavailable", "The matching engine is restarting.", retryable=True),
    "NODE_UNAVAILABLE": _entry(503, "Node unavailable", "The Ethereum node does not answer.", retryable=True),
    "INTERNAL": _entry(500, "Internal error", "A fault of ours; quote the traceId when you report it.", retryable=True),
}
UNLISTED = _entry(422, "Refused", "The request was refused.")


class DetailedProblem(Problem):
    """A problem with members of its own beside the standard ones, e.g. the digest that we computed."""

    def __init__(self, code: str, detail: str, members: Mapping[str, Any], **rest: str | None) -> None:
        super().__init__(code, detail, **rest)
        self.members = members


def engine_problem(digest: bytes, problem: WireProblem | None) -> DetailedProblem:
    """What the engine said of one order, with the order's id."""
    members = {"orderId": "0x" + digest.hex()} if digest else {}
    if problem is None:
        return DetailedProblem("INTERNAL", "the engine gave no answer for this order", members)
    return DetailedProblem(
        problem.code, problem.detail, members, field=problem.field, given=problem.given, allowed=problem.allowed
    )


def problem_document(problem: Problem, trace_id: str | None = None) -> dict[str, Any]:
    """The problem+json object. Absent members are left out."""
    entry = CODES.get(problem.code, UNLISTED)
    told[problem.code] += 1
    document: dict[str, Any] = {
        "type": f"/docs/errors#{problem.code}",
        "title": entry.title,
        "status": entry.status,
        "detail": problem.detail,
        "code": problem.code,
        "retryable": entry.retryable,
    }
    for name in ("field", "given", "allowed"):
        value = getattr(problem, name)
        if value is not None:
            document[name] = printable(value)
    if isinstance(problem, DetailedProblem):
        document.update(problem.members)
    document["traceId"] = trace_id or new_trace_id()
    return document


def problem_response(problem: Problem, trace_id: str | None = None) -> Response:
    """The problem as an HTTP response with the status of its code."""
    document = problem_document(problem, trace_id)
    headers = {}
    if document["status"] in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    elif document["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif document["status"] == 413:
        headers["Connection"] = "close"  # the rest of the body is still on its way; nobody will read it
    return Response(_json.encode(document), document["status"], headers, MEDIA_TYPE)


def new_trace_id() -> str:
    return secrets.token_hex(8)


def printable(text: str) -> str:
    """Bounded text that encodes as UTF-8 whatever the sender wrote."""
    shown = text if len(text) <= GIVEN_LIMIT else text[:GIVEN_LIMIT] + "…"
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


_TYPES = {"int_parsing": "a whole number", "int_type": "a whole number", "bool_parsing": "true or false"}
_BOUNDS = {
    "expected": "{}",
    "ge": "{} or more",
    "gt": "more than {}",
    "le": "{} or less",
    "lt": "less than {}",
    "min_length": "a length of {} or more",
    "max_length": "a length of {} or less",
    "pattern": "{}",
}


def validation_problem(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The first of pydantic's complaints about a request, in our words."""
    error = errors[0]
    kind = str(error["type"])
    field = ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path", "header"))
    given = error.get("input")
    if kind == "missing":
        return Problem("FIELD_MISSING", f"{field} is missing", field=field)
    if kind == "extra_forbidden":
        return Problem("FIELD_UNKNOWN", f"{field} is not known here", field=field[:80], given=field[:80])
    if kind == "string_type" and isinstance(given, int | float) and not isinstance(given, bool):
        return Problem(
            "NUMBER_NOT_STRING", f"{field} must be a string: JSON numbers lose digits", field=field, given=str(given)
        )
    shown = given if isinstance(given, str) else type(given).__name__
    return Problem("FIELD_INVALID", str(error["msg"]), field=field, given=shown, allowed=_allowed(error))


def _allowed(error: Mapping[str, Any]) -> str | None:
    """What pydantic says that it expected: words, a bound, a pattern or a type."""
    if error["type"] in _TYPES:
        return _TYPES[error["type"]]
    for name, value in error.get("ctx", {}).items():
        if name in _BOUNDS:
            return _BOUNDS[name].format(value)
    return None
