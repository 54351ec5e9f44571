"""`python -m relayer COMMAND`: engine, settler, journal, deadletter, build or match. Each loads only what it needs."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {
    "engine": ("relayer.service", "takes orders over a local socket, matches and journals them"),
    "settler": ("relayer.settler.main", "sends matched fills to the chain in batches"),
    "journal": ("relayer.journal.command", "verifies, prints and repairs the engine's journal"),
    "deadletter": ("relayer.settler.deadletter_command", "lists fills that the contract refuses; retries or drops one"),
    "build": ("relayer.build", "says whether the engine runs compiled or from its Python sources"),
    "match": ("relayer.match", "plays a file of orders through a bare book, offline"),
}


def main(argv: list[str]) -> int:
    usage = "usage: python -m relayer COMMAND [OPTIONS]\n" + "".join(
        f"  {name:11}{purpose}\n" for name, (_, purpose) in COMMANDS.items()
    )
    if argv and argv[0] in ("-h", "--help"):
        print(usage, end="")
        return 0
    if not argv or argv[0] not in COMMANDS:
        wrong = f"unknown command {argv[0]!r}" if argv else "a command is needed"
        print(f"{wrong}\n{usage}", end="", file=sys.stderr)
        return 2
    module = import_module(COMMANDS[argv[0]][0])
    try:
        return int(module.main(argv[1:]) or 0)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
