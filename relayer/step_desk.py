"""Several steps in one request: orders placed, replaced, lowered and cancelled, one after the other.

Owns:     how a step becomes a command, and what is answered about it.
Promises: the steps of a request are applied in their order, with nobody's commands in between. Each is answered on its
          own; a refused one stops no other. Sent again, a step whose order is known does nothing and answers with its
          state. New orders may have to wait for the exchange, cancels never do.
Never:    checks who asks (the gateway did).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from cxdex.problem import Problem
from relayer import wire
from relayer.engine.commands import AnyCommand, Cancel, CancelAndPlace, Place, Reduce, Replace
from relayer.engine.events import OrderAccepted, OrderClosed, ReduceRefused
from relayer.engine.orders import LIVE
from relayer.framing import wire_problem
from relayer.placements import OnItsWay, Placements, signed_fields
from relayer.sequencer import Applied, Sequencer

_ENDED = ("USER", "REPLACED")  # reasons of orders that a step itself has ended

_OrderStep = wire.PlaceStep | wire.ReplaceStep | wire.CancelAndPlaceStep


@dataclass(slots=True)
class _Plan:
    """What one step comes to: a command, an order that is known, a refusal, or nothing to do.

    number: of the command among those of the request. at_the_door: the order may have been accepted once all the same.
    """

    step: wire.AnyStep
    command: AnyCommand | None = None
    number: int = -1
    is_known: bool = False
    on_its_way: OnItsWay | None = None
    problem: Problem | None = None
    at_the_door: bool = False


class StepDesk:
    """`refusal` says why no new orders are taken now."""

    def __init__(self, sequencer: Sequencer, placements: Placements, refusal: Callable[[], Problem | None]) -> None:
        self._sequencer = sequencer
        self._engine = sequencer.engine
        self._placements = placements
        self._refusal = refusal

    async def answer(self, request: wire.TakeSteps) -> wire.StepsReply:
        plans: list[_Plan] = []
        fresh: dict[bytes, _Plan] = {}
        refusal = self._refusal()
        for step in request.steps:
            if isinstance(step, _OrderStep):
                plan = fresh.get(step.order.digest) or self._plan_order(step, refusal, fresh)
                fresh[step.order.digest] = plan
            else:
                plan = self._plan_other(step, fresh)
            plans.append(plan)
        commands: list[AnyCommand] = []
        for plan in plans:
            if plan.command is not None and plan.number < 0:
                plan.number = len(commands)
                commands.append(plan.command)
        applied = await self._placements.run(commands) if commands else []
        answers = (self._result(plan, applied[plan.number] if plan.number >= 0 else None) for plan in plans)
        return wire.StepsReply(request.id, await asyncio.gather(*answers))

    def _plan_order(self, step: _OrderStep, refusal: Problem | None, fresh: dict[bytes, _Plan]) -> _Plan:
        order, now = step.order, self._sequencer.now_ms()
        if self._placements.knows(order.digest):
            return _Plan(step, is_known=True, on_its_way=self._placements.on_their_way.get(order.digest))
        if refusal is not None:
            return self._refused_plan(step, refusal, now, fresh)
        command = _signed_command(step, now)
        problem = self._placements.at_the_door(command)
        if problem is None:
            return _Plan(step, command)
        plan = self._refused_plan(step, problem, now, fresh)
        plan.at_the_door = True
        return plan

    def _refused_plan(self, step: _OrderStep, refusal: Problem, now: int, fresh: dict[bytes, _Plan]) -> _Plan:
        plan = _Plan(step, problem=refusal)
        if isinstance(step, wire.CancelAndPlaceStep) and not step.keep_if_refused:
            with contextlib.suppress(Problem):  # the refusal of the order says enough
                plan.command = self._cancel(_account_of(step), step.cancels, step.cancels_name, now, fresh)
        return plan

    def _cancel(
        self, account: bytes, digest: bytes, name: str | None, now: int, fresh: dict[bytes, _Plan]
    ) -> Cancel | None:
        """None when there is nothing to cancel. Raises RATE_LIMITED (see `Placements.cancel`).

        fresh: orders of the same request, before this.
        """
        if not self._engine.knows(account):
            return None
        if name is not None:  # only orders that are there, or before this, can have it
            ours = [plan for plan in fresh.values() if plan.command is not None and _account_of(plan.step) == account]
            there = ours or self._placements.has_coming(account) or self._engine.has_open(account, name)
            return Cancel(now, account, [], [name]) if there else None
        if digest in fresh and fresh[digest].command is not None:
            return Cancel(now, account, [digest])
        view = self._engine.order_state(digest)
        if view is not None and (view.status not in LIVE or view.order.account != account):
            return None
        return self._placements.cancel(account, digest, now)

    def _plan_other(self, step: wire.CancelStep | wire.ReduceStep, fresh: dict[bytes, _Plan]) -> _Plan:
        """No command for what is known to be closed, or of an account that the exchange has never seen."""
        now = self._sequencer.now_ms()
        if isinstance(step, wire.CancelStep):
            try:
                return _Plan(step, self._cancel(step.account, step.digest, step.client_order_id, now, fresh))
            except Problem as problem:
                return _Plan(step, problem=problem)
        view = self._engine.order_state(step.digest)
        if not self._engine.knows(step.account) or (view is not None and view.status not in LIVE):
            return _Plan(step)
        if view is None and step.digest not in fresh and step.digest not in self._placements.on_their_way:
            return _Plan(step)
        limited = self._placements.refusals.refusal(step.account)
        if limited is not None:
            return _Plan(step, problem=limited)
        return _Plan(step, Reduce(now, step.account, step.digest, step.quantity))

    async def _result(self, plan: _Plan, applied: Applied | None) -> wire.StepResult:
        match plan.step:
            case wire.CancelStep() as step:
                if plan.problem is not None:
                    return wire.StepResult(step.digest, problem=wire_problem(plan.problem))
                return await self._cancelled(step, applied)
            case wire.ReduceStep() as step:
                if plan.problem is not None:
                    return wire.StepResult(step.digest, problem=wire_problem(plan.problem))
                return await self._reduced(step, applied)
            case step:
                return await self._entered(step, plan, applied)

    async def _entered(self, step: _OrderStep, plan: _Plan, applied: Applied | None) -> wire.StepResult:
        digest = step.order.digest
        if plan.problem is not None:
            found = wire.PlaceResult(digest, None, wire_problem(plan.problem))
            if plan.at_the_door:
                found = await self._placements.unless_known(step.order, plan.problem)
            ended = _ended(applied)
            if found.state is not None and not isinstance(step, wire.PlaceStep):
                ended = ended or await self._ended_before(step)
            return wire.StepResult(digest, found.state, found.problem, cancelled=ended)
        if applied is not None:
            done = await self._placements.result(digest, applied)
            ended = _ended(applied)
        else:
            done = await self._placements.known(digest, plan.on_its_way)
            ended = []
        is_new = applied is not None and any(isinstance(event, OrderAccepted) for event in applied.events)
        if not is_new and done.state is not None and not isinstance(step, wire.PlaceStep):
            ended = await self._ended_before(step)
        return wire.StepResult(digest, done.state, done.problem, done.fills, ended)

    async def _ended_before(self, step: wire.ReplaceStep | wire.CancelAndPlaceStep) -> list[wire.OrderState]:
        """What the step ended when it was first sent."""
        digest = step.replaces if isinstance(step, wire.ReplaceStep) else step.cancels
        state = None
        with contextlib.suppress(Problem):  # without the database it is not said again
            state = await self._placements.look(digest) if digest else None
        is_ours = state is not None and state.order.account == step.order.order.account and state.reason in _ENDED
        return [state] if state is not None and is_ours else []

    async def _cancelled(self, step: wire.CancelStep, applied: Applied | None) -> wire.StepResult:
        ended = _ended(applied)
        if ended:
            return wire.StepResult(step.digest, cancelled=ended)
        if step.client_order_id is not None:
            detail = "no open order of the account has this name"
            problem = wire.WireProblem("ORDER_UNKNOWN", detail, "clientOrderId", step.client_order_id)
            return wire.StepResult(problem=problem)
        return wire.StepResult(
            step.digest, problem=(await self._placements.not_cancelled(step.account, step.digest)).problem
        )

    async def _reduced(self, step: wire.ReduceStep, applied: Applied | None) -> wire.StepResult:
        refused = None if applied is None else next((e for e in applied.events if isinstance(e, ReduceRefused)), None)
        if refused is not None and refused.code not in ("ORDER_UNKNOWN", "ORDER_NOT_OPEN"):
            problem = wire.WireProblem(refused.code, refused.detail, refused.field, refused.given, refused.allowed)
            return wire.StepResult(step.digest, problem=problem)
        if refused is not None or applied is None:
            return wire.StepResult(
                step.digest, problem=(await self._placements.not_cancelled(step.account, step.digest)).problem
            )
        state = next((state for state in applied.states if state.digest == step.digest), None)
        try:
            return wire.StepResult(step.digest, state or await self._placements.look(step.digest))
        except Problem as problem:
            return wire.StepResult(step.digest, problem=wire_problem(problem))


def _account_of(step: wire.AnyStep) -> bytes:
    return step.order.order.account if isinstance(step, _OrderStep) else step.account


def _signed_command(step: _OrderStep, now: int) -> Place | Replace | CancelAndPlace:
    fields = signed_fields(step.order)
    match step:
        case wire.PlaceStep():
            return Place(now, *fields)
        case wire.ReplaceStep():
            return Replace(now, *fields, step.replaces)
        case wire.CancelAndPlaceStep():
            modes = (step.cancels, step.cancels_name, step.place_anyway, step.keep_if_refused)
            return CancelAndPlace(now, *fields, *modes)


def _ended(applied: Applied | None) -> list[wire.OrderState]:
    if applied is None:
        return []
    digests = {event.digest for event in applied.events if isinstance(event, OrderClosed) and event.reason in _ENDED}
    return [state for state in applied.states if state.digest in digests]
