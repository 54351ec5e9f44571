"""The page for operators names what the processes have."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from relayer.settler.report import PROMISE_SECONDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
MEASURED = ("api/metrics.py", "relayer/metrics.py", "relayer/settler/metrics.py", "indexer/metrics.py")
ENDINGS = {"_total": "counter", "_bucket": "histogram"}


def kinds(source: Path) -> list[tuple[str, str]]:
    """Each measure that a source names, with its kind: `Gauge("cxdex_…`, `counter_by("cxdex_…`."""
    found = re.findall(r'\b([A-Za-z]+?)(?:_by(?:_two)?)?\(\s*"(cxdex_[a-z_]+)"', source.read_text())
    return [(name, kind.lower()) for kind, name in found]


def test_every_metric_is_explained_and_every_explained_one_exists() -> None:
    served = {name for path in MEASURED for name in re.findall(r'"(cxdex_[a-z_]+)"', (ROOT / path).read_text())}
    explained = {name.removesuffix("_total") for name in re.findall(r"cxdex_[a-z_]+", PAGE)}
    assert explained == served


def test_the_alert_rules_ask_for_what_is_served_and_page_for_the_promise() -> None:
    groups = yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    expressions = {rule["alert"]: rule["expr"] for rule in rules}
    assert len(expressions) == len(rules), "each has a name of its own"
    types = {name: kind for path in MEASURED for name, kind in kinds(ROOT / path)}
    for alert, expression in expressions.items():
        for name in re.findall(r"cxdex_[a-z_]+", expression):
            ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
            assert types.get(name.removesuffix(ending)) == ENDINGS.get(ending, "gauge"), (alert, name)
    assert expressions["FillOlderThanPromise"] == f"cxdex_settler_oldest_fill_seconds > {PROMISE_SECONDS}"
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}


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
