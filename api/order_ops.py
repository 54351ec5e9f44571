"""Order entry over the WebSocket: the ops that place and cancel, for one connection.

Owns:     this connection's requests on their way, and their number.
Promises: each is answered by its id; `data` is what HTTP would answer with, an error the same problem. Requests reach
          the engine in the order in which they came; answers come as they are ready. What comes while signatures are
          checked goes to the engine in one message, and so to the disk in one sync. How much may wait is bounded, and
          cancels have room of their own.
Never:    waits for the client, or sends anything for it once `close` was called.

The order of requests: one worker takes them from a queue, checks the signatures of those that place, and starts a task
for each group. Tasks start in the order of their making, and a task has handed its message over when it first waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.cancelling import SIGNED_CANCEL_FIELDS, cancel_all, cancel_each, cancel_one, cancel_signed
from api.context import Context
from api.fields import read_list, read_object, read_text, type_name
from api.placing import (
    ENVELOPE_FIELDS,
    MAX_BATCH,
    SIGNED_FIELDS,
    Outcome,
    batch_entry,
    check_signatures,
    place,
    read_entries,
    read_signed_order,
)
from api.problems import CODES, new_trace_id
from api.steps import (
    Draft,
    Read,
    asks_first,
    entry_json,
    one_json,
    prepare,
    read_amend,
    read_cancel_and_place,
    read_replace,
    read_steps,
    send,
)
from cxdex.order import Side
from cxdex.problem import Problem
from relayer.wire import AnyStep

MOST_ORDERS = 2_000  # of one connection, read and not answered
MOST_CANCELS = 200  # requests; apart from the orders, so that cancels always find room
ORDERS_AT_ONCE = 200  # in one message to the engine
OK, OTHER = "OK", "OTHER"  # as a measure's label, beside the known codes
STEP_OPS = ("amend", "replace", "cancelAndPlace", "steps")
OPS = ("place", "placeBatch", "cancel", "cancelBatch", "cancelAll", "cancelSigned", *STEP_OPS)

log = logging.getLogger("api")

Reply = Callable[[dict[str, Any], Any], None]
Refuse = Callable[..., None]
Answered = Callable[[str, str, float], None]
"""(op, code or "OK", seconds since it came)"""


@dataclass(slots=True)
class _Request:
    """Places `outcomes`, or does `work` (a cancel), or takes `drafts`. orders: how many it places.

    alone: it asks the engine more than once, so what came before it is answered first, and what came after it waits.
    """

    op: str
    id: Any
    outcomes: list[Outcome] = field(default_factory=list)
    work: Callable[[], Awaitable[dict[str, Any] | Problem]] | None = None
    drafts: list[Read] = field(default_factory=list)
    orders: int = 0
    alone: bool = False
    came: float = field(default_factory=time.perf_counter)
    is_answered: bool = False


class OrderOps:
    """`reply` and `refuse` answer the client; `charge` is called for what was refused before it reached the engine."""

    def __init__(
        self,
        context: Context,
        reply: Reply,
        refuse: Refuse,
        charge: Callable[[], None],
        answered: Answered | None = None,
    ) -> None:
        self._context = context
        self._reply = reply
        self._refuse = refuse
        self._charge = charge
        self._answered = answered
        self._queue: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders = 0
        self._cancels = 0

    def take(self, op: str, message: dict[str, Any], account: Callable[[], bytes]) -> None:
        """`account`: whose connection it is; raises AUTH_REQUIRED. Raises Problem when the request is not taken."""
        request_id = _read_id(message)
        if op in ("place", "placeBatch"):
            self._enqueue(self._read_place(op, request_id, message))
        elif op in STEP_OPS:
            self._enqueue(self._read_steps(op, request_id, message, account))
        else:
            self._enqueue(self._read_cancel(op, request_id, message, account))

    async def close(self) -> None:
        """The client is gone. What the engine has been told goes on there."""
        tasks = [task for task in (self._worker, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Reading ----------------------------------------------------------------------------------------------

    def _read_place(self, op: str, request_id: Any, message: dict[str, Any]) -> _Request:
        if op == "place":
            self._require_room(1)
            read_object(message, ("op", "id", *SIGNED_FIELDS), ENVELOPE_FIELDS, op)
            entry = {name: value for name, value in message.items() if name not in ("op", "id")}
            return _Request(op, request_id, [read_signed_order(self._context, entry)], orders=1)
        read_object(message, ("op", "id", "orders"), (), op)
        entries = read_list(message["orders"], "orders", MAX_BATCH)
        self._require_room(len(entries))
        return _Request(op, request_id, read_entries(self._context, entries), orders=len(entries))

    def _read_steps(self, op: str, request_id: Any, message: dict[str, Any], account: Callable[[], bytes]) -> _Request:
        context = self._context
        fields = {name: value for name, value in message.items() if name not in ("op", "id")}
        if op == "steps":
            read_object(fields, ("steps",), (), op)
            drafts = read_steps(context, read_list(fields["steps"], "steps", MAX_BATCH), account)
        elif op == "cancelAndPlace":
            drafts = [read_cancel_and_place(context, fields, account)]
        elif op == "replace":
            read_object(fields, ("orderId", *SIGNED_FIELDS), ENVELOPE_FIELDS, op)
            drafts = [read_replace(context, read_text(fields.pop("orderId"), "orderId"), fields)]
        else:
            owner = account()
            read_object(fields, ("orderId", "quantity"), (), op)
            drafts = [read_amend(read_text(fields["orderId"], "orderId"), fields["quantity"], owner)]
        orders = sum(isinstance(draft, Draft) and draft.order is not None for draft in drafts)
        self._require_room(orders)
        return _Request(op, request_id, drafts=drafts, orders=orders, alone=any(map(asks_first, drafts)))

    def _read_cancel(self, op: str, request_id: Any, message: dict[str, Any], account: Callable[[], bytes]) -> _Request:
        self._require_room(0)
        context = self._context
        if op == "cancelSigned":
            read_object(message, ("op", "id", *SIGNED_CANCEL_FIELDS), (), op)
            body = {name: message[name] for name in SIGNED_CANCEL_FIELDS}
            # It names nonces, which the engine finds among the open orders: those before it must be there.
            return _Request(op, request_id, work=lambda: cancel_signed(context, body), alone=True)
        owner = account()
        if op == "cancel":
            read_object(message, ("op", "id", "orderId"), (), op)
            order_id = read_text(message["orderId"], "orderId")
            return _Request(op, request_id, work=lambda: cancel_one(context, owner, order_id))
        if op == "cancelBatch":
            read_object(message, ("op", "id"), ("ids", "clientOrderIds"), op)
            ids, names = (_read_texts(message, name) for name in ("ids", "clientOrderIds"))
            return _Request(op, request_id, work=lambda: cancel_each(context, owner, ids, names))
        read_object(message, ("op", "id"), ("market", "side"), op)
        market = read_text(message["market"], "market") if message.get("market") is not None else None
        side = _read_side(message.get("side"))
        return _Request(op, request_id, work=lambda: cancel_all(context, owner, market, side))

    def _require_room(self, orders: int) -> None:
        """A request that places none counts as a cancel."""
        if orders and self._orders + orders > MOST_ORDERS:
            raise _too_many(f"{MOST_ORDERS} orders")
        if not orders and self._cancels >= MOST_CANCELS:
            raise _too_many(f"{MOST_CANCELS} cancels")

    def _enqueue(self, request: _Request) -> None:
        self._orders += request.orders
        self._cancels += not request.orders
        self._queue.append(request)
        self._wake.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    # Doing ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                if not self._queue[0].outcomes:
                    await self._work_off(self._queue.popleft())
                    continue
                group = self._take_group()
                outcomes = [outcome for request in group for outcome in request.outcomes]
                try:
                    checked = await check_signatures(self._context, outcomes)
                except Exception as error:
                    self._fail(group, error)
                    continue
                self._begin(self._place(group, checked), group)

    async def _work_off(self, request: _Request) -> None:
        if request.alone and self._tasks:
            await asyncio.wait(set(self._tasks))
        if request.drafts:
            try:
                steps = await prepare(self._context, request.drafts)
            except Exception as error:
                self._fail([request], error)
                return
            request.work = lambda: self._take(request, steps)
        self._begin(self._do(request), [request])
        if request.alone:
            await asyncio.wait(set(self._tasks))

    async def _take(self, request: _Request, steps: list[AnyStep | Problem]) -> dict[str, Any] | Problem:
        answers = await send(self._context, steps)
        if request.op == "steps":
            return {"results": [entry_json(answer) for answer in answers]}
        if isinstance(steps[0], Problem):
            self._charge()
        return one_json(request.op, answers[0])

    def _take_group(self) -> list[_Request]:
        """The requests at the head of the queue that place; together at most ORDERS_AT_ONCE, but at least one."""
        group: list[_Request] = []
        count = 0
        while self._queue and self._queue[0].outcomes:
            count += len(self._queue[0].outcomes)
            if group and count > ORDERS_AT_ONCE:
                break
            group.append(self._queue.popleft())
        return group

    def _begin(self, work: Coroutine[Any, Any, None], group: list[_Request]) -> None:
        task = asyncio.create_task(self._guarded(work, group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], group: list[_Request]) -> None:
        try:
            await work
        except Exception as error:
            self._fail(group, error)

    async def _place(self, group: list[_Request], checked: list[Outcome]) -> None:
        answers = await place(self._context, checked)
        start = 0
        for request in group:
            end = start + len(request.outcomes)
            mine, outcomes = answers[start:end], checked[start:end]
            start = end
            if request.op == "placeBatch":
                self._answer(request, {"results": [batch_entry(answer) for answer in mine]})
                continue
            if isinstance(outcomes[0], Problem):
                self._charge()
            self._answer(request, mine[0])

    async def _do(self, request: _Request) -> None:
        assert request.work is not None
        self._answer(request, await request.work())

    # Answering --------------------------------------------------------------------------------------------

    def _answer(self, request: _Request, answer: dict[str, Any] | Problem) -> None:
        self._leave(request, answer.code if isinstance(answer, Problem) else OK)
        if isinstance(answer, Problem):
            self._refuse(answer, request.id)
        else:
            self._reply({"op": request.op, "data": answer}, request.id)

    def _fail(self, group: Sequence[_Request], error: Exception) -> None:
        """Nothing of these was answered yet, or only the first ones."""
        trace_id = None
        if isinstance(error, Problem):
            problem = error
        else:
            trace_id = new_trace_id()
            log.error("traceId %s: WebSocket order entry failed", trace_id, exc_info=error)
            problem = Problem("INTERNAL", "something went wrong on our side")
        for request in group:
            if not request.is_answered:
                self._leave(request, problem.code)
                self._refuse(problem, request.id, trace_id)

    def _leave(self, request: _Request, code: str) -> None:
        self._orders -= request.orders
        self._cancels -= not request.orders
        if self._answered is not None:
            self._answered(
                request.op, code if code == OK or code in CODES else OTHER, time.perf_counter() - request.came
            )
        request.is_answered = True


def _read_id(message: dict[str, Any]) -> Any:
    """What the answer carries. Without it no answer could be told from another."""
    if "id" not in message:
        raise Problem("FIELD_MISSING", "name the request: its answer carries the same id", field="id")
    value = message["id"]
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Problem(
            "FIELD_INVALID", "an id is a string or a number", field="id", given=type_name(value), allowed='7, "a7"'
        )
    return value


def _read_texts(message: dict[str, Any], name: str) -> list[str]:
    entries = message.get(name, [])
    if not isinstance(entries, list):
        raise Problem("FIELD_INVALID", f"{name} must be a list", field=name, given=type_name(entries))
    return [read_text(entry, name) for entry in entries]


def _read_side(value: Any) -> Side | None:
    if value is None:
        return None
    if value in ("BUY", "SELL"):
        return Side[value]
    given = value[:80] if isinstance(value, str) else type_name(value)
    raise Problem("FIELD_INVALID", "side is a word", field="side", given=given, allowed="BUY, SELL")


def _too_many(allowed: str) -> Problem:
    return Problem("RATE_LIMITED", "too much of this connection waits for its answer", allowed=f"{allowed} at a time")
