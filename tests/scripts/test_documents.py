"""What the pages name exists: links, commands, settings, codes, routes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.context import Settings
from cxdex.deployment import CONTRACTS, Deployment
from scripts.readme_gas import renewed

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
CODE = re.compile(r"^```\w*\n(.*?)^```$|`([^`\n]+)`", re.DOTALL | re.MULTILINE)


@cache
def sources() -> str:
    parts = ("api", "relayer", "indexer", "cxdex", "scripts", "contracts")
    files = [path for part in parts for ending in ("py", "vy") for path in sorted((ROOT / part).rglob(f"*.{ending}"))]
    return "\n".join(path.read_text() for path in files)


def code(page: Path) -> str:
    """The page's examples and what it shows as code in its sentences."""
    return "\n".join("".join(found.groups("")) for found in CODE.finditer(page.read_text()))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page: Path) -> None:
    text, targets = code(page), set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    for module in re.findall(r"python -m ((?:scripts|relayer|indexer|api|cxdex)[\w.]*)", text):
        place = ROOT / module.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").exists(), module
    for path in re.findall(r"\b((?:benchmarks|scripts|tests|contracts|requirements)/[\w./-]*\w)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_settings_codes_and_words_exist(page: Path) -> None:
    words = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{1,2}:[A-Z_]+)`", page.read_text()))
    words |= set(re.findall(r"\bCXDEX_[A-Z_]+\b", page.read_text()))
    assert {word for word in words if word not in sources()} == set()


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    deployment = Deployment(1, 1, {name: bytes([index + 1]) * 20 for index, name in enumerate(CONTRACTS)})
    folder = tmp_path_factory.mktemp("api")
    app = create_app(Settings(folder, f"sqlite:///{folder / 'x.db'}", "http://127.0.0.1:1", deployment))

    async def described() -> list[str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return list((await client.get("/openapi.json")).json()["paths"])

    return {without_names(path) for path in [*asyncio.run(described()), "/v1/ws"]}


def without_names(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_routes_exist(page: Path, routes: set[str]) -> None:
    named = set(re.findall(r"`(?:(?:GET|POST|PUT|DELETE) )?(/v1/[^`?\s]+)", page.read_text()))
    assert {without_names(path) for path in named} <= routes


def test_the_readmes_gas_is_that_of_the_gas_page() -> None:
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs/gas.md").read_text()
    other = renewed(readme, page.replace("| A: 1 taker x 1 maker | ", "| A: 1 taker x 1 maker | 1"))
    assert other != readme, "it writes"
    assert renewed(readme, page) == readme


def flags(sources: str) -> Iterator[str]:
    """Those that a program takes, by its argparse."""
    for call in re.findall(r'add_argument\(\s*((?:"[^"]+",?\s*)+)', sources):
        yield from re.findall(r'"(--[a-z-]+)"', call)


def test_operators_find_every_flag() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    programs = (
        "api/__main__.py", "relayer/service.py", "relayer/settler/main.py", "indexer/__main__.py", "scripts/deploy.py",
        "relayer/journal/command.py", "relayer/settler/deadletter_command.py", "cxdex/metrics.py", "cxdex/logs.py",
    )  # fmt: skip
    taken = {flag for path in programs for flag in flags((ROOT / path).read_text())}
    assert len(taken) > 25
    assert {flag for flag in taken if not re.search(rf"{flag}\b(?!-)", page)} == set()
