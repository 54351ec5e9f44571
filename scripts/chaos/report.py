"""What a run prints at its end, and writes beside the state as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from cxdex.batch import SkipReason
from scripts.chaos.plan import DEPTHS
from scripts.chaos.tally import Tally
from scripts.chaos.told import Told, percentile
from scripts.chaos.verdict import Question

SHARES = (0.5, 0.95, 0.99)


def summary(tally: Tally, told: Told, seconds: float, figures: dict[str, int], skips: Counter[int]) -> list[str]:
    """Lines for people."""
    latency = [f"p{share * 100:g} {1000 * percentile(told.seconds, share):.0f} ms" for share in SHARES]
    unavailable = max(tally.recovery.items(), key=lambda item: item[1], default=("nothing", 0.0))
    return [
        f"{seconds:.0f} s under load",
        f"kills {sum(tally.kills.values())}: {counted(tally.kills)}",
        f"frozen {sum(tally.freezes.values())}: {counted(tally.freezes)}",
        f"node: {tally.node_restarts} restarts, {tally.node_hangs} times without an answer, "
        f"{sum(tally.rollbacks.values())} times without its last blocks (at most {max(tally.rollbacks, default=0)})",
        f"reorgs {sum(tally.reorgs.values())}: {depths(tally.reorgs)}; deepest {max(tally.reorgs, default=0)} blocks; "
        f"{tally.reorg_transactions} transactions mined again"
        + (f"; not done: {counted(tally.refused_reorgs)}" if tally.refused_reorgs else ""),
        f"orders {len(told.orders)} acknowledged, {len(told.cancelled)} cancels, {figures['trades']} fills, "
        f"{figures['batches']} batches",
        f"skipped by the contract: {sum(skips.values())} ({counted(named(skips))}); voided {figures['voided']}",
        f"outcomes unknown to the trader {told.unknown_ever}, all asked for later: {len(told.unknown)} still open",
        f"WebSocket: {figures['reconnects']} reconnections, {figures['gaps']} gaps noticed and healed",
        f"checks after a restart {tally.checks}, {tally.orders_checked} orders asked for",
        f"longest start after a kill {unavailable[1]:.1f} s ({unavailable[0]}); "
        f"longest time without an acknowledged order {told.longest_silence:.1f} s",
        f"placing, with all retries: {', '.join(latency)}, longest {max(told.seconds, default=0):.1f} s",
        f"answers: {counted(told.answers)}",
    ]


def named(skips: Counter[int]) -> Counter[str]:
    return Counter({SkipReason(reason).name: count for reason, count in skips.items()})


def counted(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def depths(reorgs: Counter[int]) -> str:
    spans = [(low, high, sum(n for depth, n in reorgs.items() if low <= depth <= high)) for low, high in DEPTHS]
    return ", ".join(f"{low}-{high} blocks {count}" for low, high, count in spans)


def verdicts(questions: list[Question]) -> tuple[list[str], bool]:
    """A line a question with what is wrong below it, and whether all is well."""
    lines: list[str] = []
    for title, wrong in questions:
        lines.append(f"  {'ok' if not wrong else 'NO'}  {title}")
        lines += [f"        {line}" for line in wrong[:10]]
        if len(wrong) > 10:
            lines.append(f"        and {len(wrong) - 10} more")
    return lines, all(not wrong for _, wrong in questions)


def write(path: Path, seed: int, lines: list[str], questions: list[Question]) -> None:
    path.write_text(json.dumps({"seed": seed, "summary": lines, "questions": dict(questions)}, indent=2) + "\n")
