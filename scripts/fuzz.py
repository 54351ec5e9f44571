"""Runs the contracts' state machines for as long as asked, and says what that covered.

python -m scripts.fuzz --seconds 600 --seed 1        (or `make fuzz SECONDS=600 SEED=1`)

Three machines take turns: the whole exchange among thieves against a model of its rules, synth debt against a reference
in fractions, and random batches against a second ledger. Each round has a seed of its own, the next after the one
before; after a violation that seed alone repeats the round.

Promises: a rule that never did anything is named. Exit code 0 without a violation, 1 with one.
Never:    needs a node or the network. Takes one core at low priority.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
import traceback
from collections import Counter

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from scripts.fuzz_coverage import Coverage, watched
from scripts.fuzz_machines import machines

EXAMPLES, STEPS = 10, 40  # a round


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default 600); the last round is finished")
    parser.add_argument("--seed", type=int, help="of the first round; without it, a new one each time")
    arguments = parser.parse_args()
    first = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**32)
    os.nice(10)
    print(f"seed {first}, {arguments.seconds:g} seconds", flush=True)
    coverage = Coverage()
    started = time.monotonic()
    failed = fuzz(coverage, first, started + arguments.seconds)
    print_coverage(coverage, time.monotonic() - started)
    return 1 if failed else 0


def fuzz(coverage: Coverage, first: int, deadline: float) -> bool:
    """Rounds until the deadline, Ctrl-C or a violation. Whether there was a violation."""
    watched_machines = [watched(machine, coverage) for machine in machines(coverage)]
    for number in itertools.count(first):
        for machine in watched_machines:
            try:
                play(machine, number)
            except KeyboardInterrupt:
                return False
            except Exception as error:
                print_violation(machine, number, error)
                return True
            coverage.rounds += 1
            if time.monotonic() >= deadline:
                return False
    return False


def play(machine: type[RuleBasedStateMachine], number: int) -> None:
    """One round. Raises what the machine raises."""
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.generate, Phase.shrink],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def print_violation(machine: type[RuleBasedStateMachine], number: int, error: Exception) -> None:
    print(f"\nVIOLATION in {machine.__name__}; repeat it with: make fuzz SECONDS=1 SEED={number}")
    print("".join(traceback.format_exception_only(error)))
    print("".join(traceback.format_tb(error.__traceback__)[-3:]))


def print_coverage(coverage: Coverage, seconds: float) -> None:
    calls, views = sum(coverage.calls.values()), sum(coverage.views.values())
    reverts = sum(coverage.reverts.values())
    print(f"\n{coverage.rounds} rounds, {sum(coverage.fired.values()):,} steps, {seconds:.0f} s")
    print(
        f"{calls:,} state-changing calls ({reverts:,} reverted) and {views:,} reads: {calls + views:,} contract calls"
    )
    print_counts("calls by kind", coverage.calls)
    print_counts("reverts by reason", coverage.reverts)
    print("\nrules (times fired, of these with a call)")
    for rule in coverage.rules:
        print(f"  {coverage.fired[rule]:>10,} {coverage.acted[rule]:>10,}  {rule}")
    silent = [rule for rule in coverage.rules if not coverage.acted[rule] and rule not in coverage.quiet]
    print("\n" + (f"NEVER DID ANYTHING: {', '.join(silent)}" if silent else "every rule did something"))


def print_counts(title: str, counts: Counter[str]) -> None:
    print(f"\n{title}")
    for name, count in counts.most_common():
        print(f"  {count:>10,}  {name}")


if __name__ == "__main__":
    sys.exit(main())
