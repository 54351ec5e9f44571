"""Where each contract keeps its storage, checked in so that an upgrade cannot move what is already written.

Owns:     tests/contracts/layouts, one file for each deployable contract.
Promises: variables may be added behind the others and nothing else; whatever moved, vanished, was renamed or has
          another type is named in a sentence, and is not written over.
Never:    sees inside a packed word or a struct: those are guarded by the tests of the module that packs them.

python -m scripts.storage_layout            writes the files; refuses when a variable moved
python -m scripts.storage_layout --check    exits 1 and says what differs
python -m scripts.storage_layout --rewrite  writes whatever there is: only for contracts that hold nothing yet
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.artifacts import CONTRACTS, EVM_VERSION, ROOT

FOLDER = ROOT / "tests" / "contracts" / "layouts"

Layout = list[dict[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="storage_layout", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="compare instead of writing")
    choice.add_argument("--rewrite", action="store_true", help="write even where a variable moved")
    arguments = parser.parse_args()

    known, found = checked_in(FOLDER), compiled_layouts()
    faults = list(moved(known, found))
    if arguments.check:
        faults += [f"{name}: {fault}" for name, fault in stale(known, found)]
    if faults and not arguments.rewrite:
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    if not arguments.check:
        write(FOLDER, found)
    return 0


def compiled_layouts() -> dict[str, Layout]:
    """Contract name to its variables in the order of their slots, as the compiler places them now."""
    return {path.stem: layout_of(path) for path in sorted(CONTRACTS.glob("*.vy"))}


def layout_of(path: Path) -> Layout:
    """Variables of one source file. A module's are named `module.variable`; `slots` counts what they take up."""
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import Settings

    bundle = FilesystemInputBundle([ROOT])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the gaps of the Proxy are large on purpose
        output = compile_from_file_input(
            bundle.load_file(path),
            input_bundle=bundle,
            settings=Settings(evm_version=EVM_VERSION),
            output_formats=["layout"],
        )
    return sorted(_flat("", output["layout"].get("storage_layout", {})), key=lambda one: int(one["slot"], 16))


def moved(known: Mapping[str, Layout], found: Mapping[str, Layout]) -> Iterator[str]:
    """What breaks storage that is already written: each checked-in variable must be where it was, as it was."""
    for name, before in known.items():
        if name not in found:
            continue
        now = {one["name"]: one for one in found[name]}
        for one in before:
            if one["name"] not in now:
                yield f"{name}: `{one['name']}` was at slot {one['slot']} and is gone"
            elif now[one["name"]] != one:
                yield f"{name}: `{one['name']}` was {_place(one)} and is now {_place(now[one['name']])}"
        end = max((int(one["slot"], 16) + one["slots"] for one in before), default=0)
        names = {one["name"] for one in before}
        for one in found[name]:
            if one["name"] not in names and int(one["slot"], 16) < end:
                yield f"{name}: `{one['name']}` is new and at slot {one['slot']}, but the first free one is {end:#x}"


def stale(known: Mapping[str, Layout], found: Mapping[str, Layout]) -> Iterator[tuple[str, str]]:
    """Contracts whose checked-in file is not the layout of now, moved or not."""
    for name in sorted(known.keys() | found.keys()):
        if name not in found:
            yield name, "has a layout file but no contract"
        elif known.get(name) != found[name]:
            yield name, "the layout file is missing or stale: run `python -m scripts.storage_layout`"


def checked_in(folder: Path) -> dict[str, Layout]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def write(folder: Path, layouts: Mapping[str, Layout]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.stem not in layouts:
            path.unlink()
    for name, layout in layouts.items():
        (folder / f"{name}.json").write_text(json.dumps(layout, indent=1) + "\n")


def _flat(prefix: str, layout: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, one in layout.items():
        if "slot" in one:
            yield {"name": prefix + name, "slot": hex(one["slot"]), "slots": one["n_slots"], "type": one["type"]}
        else:
            yield from _flat(f"{prefix}{name}.", one)


def _place(one: Mapping[str, Any]) -> str:
    return f"{one['type']} at slot {one['slot']}"


if __name__ == "__main__":
    sys.exit(main())
