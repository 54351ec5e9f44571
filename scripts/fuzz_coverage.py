"""What a fuzzing run did: rules that fired, calls by function, reverts by code.

Owns:     `Coverage`, and `watched`, which makes a state machine count its rules.
Promises: a watched machine behaves as the one it was made from; a rule that calls another rule counts once.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis.stateful import INITIALIZE_RULE_MARKER, RULE_MARKER, Rule, RuleBasedStateMachine

MARKERS = (RULE_MARKER, INITIALIZE_RULE_MARKER)


@dataclass
class Coverage:
    """Counts of one run. `quiet` are rules that are not meant to call a contract."""

    rounds: int = 0
    rules: list[str] = field(default_factory=list)
    quiet: set[str] = field(default_factory=set)
    fired: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    reverts: Counter[str] = field(default_factory=Counter)
    inside_rule: bool = False

    def run_rule(self, name: str, rule: Any, machine: Any, values: dict[str, Any]) -> Any:
        if self.inside_rule:
            return rule(machine, **values)
        self.inside_rule = True
        before = sum(self.calls.values())
        try:
            return rule(machine, **values)
        finally:
            self.inside_rule = False
            self.fired[name] += 1
            self.acted[name] += sum(self.calls.values()) > before


def watched(machine: type[RuleBasedStateMachine], coverage: Coverage) -> type[RuleBasedStateMachine]:
    """A subclass whose rules are counted."""
    members = {}
    for name, member in inspect.getmembers(machine):
        for marker in MARKERS:
            rule = getattr(member, marker, None)
            if rule is not None:
                members[name] = _counted(f"{machine.__name__}.{name}", member, marker, rule, coverage)
    return type(machine.__name__, (machine,), members)


def _counted(title: str, function: Any, marker: str, rule: Rule, coverage: Coverage) -> Any:
    coverage.rules.append(title)
    names = list(inspect.signature(function).parameters)[1:]

    @functools.wraps(function)
    def counted(self: Any, *values: Any, **named: Any) -> Any:
        arguments = dict(zip(names, values, strict=False)) | named
        return coverage.run_rule(title, function, self, arguments)

    setattr(counted, marker, Rule(rule.targets, counted, rule.arguments, rule.preconditions))
    return counted
