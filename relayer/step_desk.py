"""Several steps in one request: orders placed, replaced, lowered and cancelled, one after the other.

Owns:     how a step becomes a command, and what is answered about it.
Promises: the steps of a request are applied in their order, with nobody's commands in between. Each is answered on its
          own; a refused one stops no other. Sent again, a step whose order is known does nothing and answers with its
          state. New orders may have to wait for the exchange, cancels never do.
Never:    checks who asks (the gateway did).
"""

from __future__ import annotations

import asyncio
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

    number: of the command among those of the request.
    """

    step: wire.AnyStep
    command: AnyCommand | None = None
    number: int = -1
    is_known: bool = False
    on_its_way: OnItsWay | None = None
    problem: Problem | None = None


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
                plan = fresh.get(step.order.digest) or self._plan_order(step, refusal)
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

    def _plan_order(self, step: _OrderStep, refusal: Problem | None) -> _Plan:
        order, now = step.order, self._sequencer.now_ms()
        if self._placements.knows(order.digest):
            return _Plan(step, is_known=True, on_its_way=self._placements.on_their_way.get(order.digest))
        if refusal is not None:
            return self._refused_plan(step, refusal, now)
        command = _signed_command(step, now)
        problem = self._placements.at_the_door(command)
        return _Plan(step, command) if problem is None else self._refused_plan(step, problem, now)

    def _refused_plan(self, step: _OrderStep, refusal: Problem, now: int) -> _Plan:
        account = step.order.order.account
        if isinstance(step, wire.CancelAndPlaceStep) and not step.keep_if_refused and self._engine.knows(account):
            names = [step.cancels_name] if step.cancels_name is not None else []
            digests = [step.cancels] if step.cancels_name is None else []
            return _Plan(step, Cancel(now, account, digests, names), problem=refusal)
        return _Plan(step, problem=refusal)

    def _plan_other(self, step: wire.CancelStep | wire.ReduceStep, fresh: dict[bytes, _Plan]) -> _Plan:
        """No command for what is known to be closed, or of an account that the exchange has never seen."""
        view = self._engine.order_state(step.digest)
        if not self._engine.knows(step.account) or (view is not None and view.status not in LIVE):
            return _Plan(step)
        now = self._sequencer.now_ms()
        if isinstance(step, wire.CancelStep):
            if step.client_order_id is not None:
                return _Plan(step, Cancel(now, step.account, [], [step.client_order_id]))
            return _Plan(step, Cancel(now, step.account, [step.digest]))
        if view is None and step.digest not in fresh and step.digest not in self._placements.on_their_way:
            return _Plan(step)
        limited = self._placements.refusals.refusal(step.account)
        if limited is not None:
            return _Plan(step, problem=limited)
        return _Plan(step, Reduce(now, step.account, step.digest, step.quantity))

    async def _result(self, plan: _Plan, applied: Applied | None) -> wire.StepResult:
        match plan.step:
            case wire.CancelStep() as step:
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
            problem: wire.WireProblem | None = wire_problem(plan.problem)
            state = None
            if problem is not None and problem.code == "RATE_LIMITED":
                found = await self._placements.unless_known(step.order, problem)
                state, problem = found.state, found.problem
            return wire.StepResult(digest, state, problem, cancelled=_ended(applied))
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
        state = await self._placements.find(digest) if digest else None
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
        return wire.StepResult(step.digest, state or await self._placements.find(step.digest))


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
