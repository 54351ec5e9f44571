"""What a run did to the exchange, and how long it took to recover."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """kills, freezes: by process. reorgs, rollbacks: by depth. recovery: longest start after a kill, by process."""

    kills: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    reorgs: Counter[int] = field(default_factory=Counter)
    rollbacks: Counter[int] = field(default_factory=Counter)
    refused_reorgs: Counter[str] = field(default_factory=Counter)
    reorg_transactions: int = 0
    node_hangs: int = 0
    node_restarts: int = 0
    recovery: dict[str, float] = field(default_factory=dict)
    checks: int = 0
    orders_checked: int = 0
    wrong: list[str] = field(default_factory=list)

    def recovered(self, name: str, seconds: float) -> None:
        self.recovery[name] = max(seconds, self.recovery.get(name, 0.0))
