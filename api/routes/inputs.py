"""What many routes take: paging, an account in the path, a bearer token, a JSON body of a known shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from api.context import Context, context_of
from api.cursors import DEFAULT_LIMIT, MAX_LIMIT
from api.fields import decode_json, read_address
from api.problems import validation_problem
from cxdex.problem import Problem

Shared = Annotated[Context, Depends(context_of)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
LIMIT_DEFAULT = DEFAULT_LIMIT

Body = TypeVar("Body", bound=BaseModel)


def path_account(account: Annotated[str, Path(description="0x and 40 hexadecimal digits")]) -> bytes:
    return read_address(account, "account")


Account = Annotated[bytes, Depends(path_account)]


def signed_in(context: Shared, authorization: Annotated[str | None, Header()] = None) -> bytes:
    """The account of the bearer token. Raises AUTH_REQUIRED or AUTH_INVALID."""
    return context.authenticator.account_of_header(authorization)


SignedIn = Annotated[bytes, Depends(signed_in)]


def known_query(request: Request) -> None:
    """A misspelt filter would be ignored, and a cancel of one market would be a cancel of all.

    Raises FIELD_UNKNOWN, and FIELD_INVALID for a parameter that is there twice."""
    given = request.query_params.multi_items()
    if not given:
        return
    known = _query_of(request.scope["route"])
    for name, _ in given:
        if name not in known:
            allowed = ", ".join(known) or "no query parameters"
            raise Problem("FIELD_UNKNOWN", "a query parameter that is not known here", field=name[:80], allowed=allowed)
    if len(given) > len(request.query_params):
        names = [name for name, _ in given]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("FIELD_INVALID", f"{twice} is given more than once", field=twice, allowed="one value")


def _query_of(route: APIRoute) -> tuple[str, ...]:
    """What the handler takes, and what its dependencies take."""
    names: list[str] = []
    waiting = [route.dependant]
    for dependant in waiting:
        names += [parameter.alias for parameter in dependant.query_params]
        waiting += dependant.dependencies
    return tuple(names)


def own_account(account: Account, session: SignedIn) -> bytes:
    """The account of the path, when the token is its own."""
    return require_own(account, session)


OwnAccount = Annotated[bytes, Depends(own_account)]


def require_own(account: bytes, session: bytes) -> bytes:
    if account != session:
        raise Problem("AUTH_INVALID", "the token belongs to another account", field="account")
    return account


def body_of(shape: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads the body whatever its content type says, with our own refusals."""

    async def read(request: Request) -> Body:
        value: Any = decode_json(await request.body())
        if not isinstance(value, dict):
            raise Problem("BODY_MALFORMED", "the body must be a JSON object", allowed="an object {...}")
        try:
            return shape.model_validate(value)
        except ValidationError as error:
            raise validation_problem(error.errors()) from None

    return read


def body_schema(shape: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body comes through `body_of`."""
    schema = shape.model_json_schema(by_alias=True)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}
