"""The page for operators names what the processes have."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
MEASURED = ("api/metrics.py", "relayer/metrics.py", "relayer/settler/metrics.py", "indexer/metrics.py")


def test_every_metric_is_explained_and_every_explained_one_exists() -> None:
    served = {name for path in MEASURED for name in re.findall(r'"(cxdex_[a-z_]+)"', (ROOT / path).read_text())}
    explained = {name.removesuffix("_total") for name in re.findall(r"cxdex_[a-z_]+", PAGE)}
    assert explained == served


def test_every_flag_on_the_page_exists() -> None:
    sources = "".join(
        (ROOT / path).read_text()
        for path in (
            "api/__main__.py", "relayer/service.py", "relayer/settler/main.py", "indexer/__main__.py",
            "relayer/journal/command.py", "relayer/settler/deadletter_command.py", "cxdex/metrics.py",
            "cxdex/logs.py",
            "scripts/deploy.py",
        )
    )  # fmt: skip
    for flag in set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--network"}:  # which is ape's own
        assert f'"{flag}"' in sources, flag
