"""The few pages outside `/v1`: the index, the description of the WebSocket, and the list of error codes that every
problem's `type` points at."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.asyncapi import asyncapi_document
from api.problems import CODES

router = APIRouter(include_in_schema=False)

_CODE, _AS_CODE = re.compile("`([^`]+)`"), r"<code>\1</code>"

_LINKS = {
    "name": "Cxmpute DEX",
    "status": "/v1/status",
    "markets": "/v1/markets",
    "webSocket": "/v1/ws",
    "documentation": "/docs",
    "openapi": "/openapi.json",
    "asyncapi": "/asyncapi.json",
    "errors": "/docs/errors",
}


@router.get("/")
async def get_index() -> dict[str, str]:
    return _LINKS


@router.get("/asyncapi.json")
async def get_asyncapi(request: Request) -> dict[str, Any]:
    return asyncapi_document(request.app.title, request.app.version)


@router.get("/docs/errors")
async def get_errors_page() -> HTMLResponse:
    rows = "".join(
        f'<tr id="{code}"><td><code>{code}</code><td>{entry.status}<td>{"yes" if entry.retryable else "no"}'
        f"<td>{_CODE.sub(_AS_CODE, escape(entry.meaning))}"
        for code, entry in CODES.items()
    )
    head = "<tr><th>Code<th>HTTP<th>Try again unchanged<th>Meaning"
    style = "body{font:16px sans-serif;margin:2em}td,th{text-align:left;padding:.3em 1em}:target{background:#fe9}"
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Error codes</title><style>{style}</style>'
        f"<h1>Error codes</h1><table>{head}{rows}</table></html>"
    )
