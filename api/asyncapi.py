"""`/asyncapi.json`: every message of the WebSocket, for programs, from the shapes in `api.schemas.streams`.

Promises: AsyncAPI 3; the schemas are JSON Schema draft 7, which every reader of AsyncAPI knows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from api.feed import PRIVATE_CHANNELS, PUBLIC_CHANNELS
from api.schemas.streams import SENT, TAKEN, answer_name, feed_name, request_name

PATH = "/v1/ws"
_ANSWERED_BY = {
    "subscribe": "subscribed", "unsubscribe": "unsubscribed", "auth": "authenticated", "ping": "pong",
}  # fmt: skip
_SIGNED_IN = ("cancel", "cancelBatch", "cancelAll", "amend", "cancelOnDisconnect", "deadman")
_TEXTS = {
    "book": "The order book: a snapshot of up to 5,000 levels a side, then what changes.",
    "bbo": "The best bid and ask.",
    "ticker": "As GET /v1/tickers/{market}, at most once a second.",
    "trades": "Matches; the snapshot has those that this server saw last, newest last.",
    "settlements": "How far the market's fills are on their way to the chain. Numbers outlive restarts.",
    "markets": "The listing; a message when its status changes.",
    "orders": "Your open orders, then each order that changes.",
    "balances": "Your balances, then each that changes.",
    "protection": "Your market-maker protection.",
    "fills": "How far your fills are on their way to the chain: each change once. Numbers outlive restarts.",
}
_DESCRIPTION = (
    f"One connection to {PATH} carries everything; each message is one JSON object in one text frame. What this server "
    "receives has an `op`; what it sends has an `op` (an answer, with your `id`) or a `ch` (a feed). The rules of "
    "snapshots, sequence numbers and resuming are told with the HTTP API: /openapi.json, /docs."
)


@cache
def asyncapi_document(title: str, version: str) -> dict[str, Any]:
    models = [*SENT.values(), *(model for shapes in TAKEN.values() for model in shapes)]
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    names = [*SENT, *TAKEN]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "exchange": {
                "host": "{host}",
                "protocol": "ws",
                "description": "the address of the HTTP API; wss where that is https",
                "variables": {"host": {"default": "127.0.0.1:8000"}},
            }
        },
        "channels": {
            "socket": {
                "address": PATH,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {**_feeds(), **_requests(), "heartbeat": _heartbeat()},
        "components": {
            "messages": {name: _message(name) for name in names},
            "schemas": {name: _draft_7(schema) for name, schema in definitions["$defs"].items()},
        },
    }


def _message(name: str) -> dict[str, Any]:
    shapes = (SENT[name],) if name in SENT else TAKEN[name]
    references = [{"$ref": f"#/components/schemas/{shape.__name__}"} for shape in shapes]
    payload = references[0] if len(references) == 1 else {"oneOf": references}
    return {"name": name, "payload": payload}


def _feeds() -> dict[str, Any]:
    """One operation a channel: what this server sends once it is subscribed."""
    operations = {}
    for channel in (*PUBLIC_CHANNELS, *PRIVATE_CHANNELS):
        messages = [name for name in SENT if name.startswith(feed_name(channel, ""))]
        key = "your account, after `auth`" if channel in PRIVATE_CHANNELS else "the market"
        operations[channel] = {
            "action": "send",
            "channel": {"$ref": "#/channels/socket"},
            "summary": f"{_TEXTS[channel]} Key: {key}.",
            "messages": [_reference(name) for name in messages],
        }
    return operations


def _requests() -> dict[str, Any]:
    operations = {}
    for name in TAKEN:
        op = name.removeprefix(request_name(""))
        answers = [answer_name(_ANSWERED_BY.get(op, op)), answer_name("error")]
        operations[name] = {
            "action": "receive",
            "channel": {"$ref": "#/channels/socket"},
            "summary": f"`{op}`{' (signed in)' if op in _SIGNED_IN else ''}",
            "messages": [_reference(name)],
            "reply": {"channel": {"$ref": "#/channels/socket"}, "messages": [_reference(one) for one in answers]},
        }
    return operations


def _heartbeat() -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/socket"},
        "summary": "Every five seconds: the last number of each subscription.",
        "messages": [_reference(answer_name("heartbeat"))],
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{name}"}


def _draft_7(schema: Any) -> Any:
    """Without what draft 7 lacks: pairs become arrays with a list of `items`, discriminators go."""
    if isinstance(schema, list):
        return [_draft_7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _draft_7(value) for name, value in schema.items() if name != "discriminator"}
    if isinstance(kept.get("prefixItems"), list):
        kept["items"] = kept.pop("prefixItems")
    return kept
