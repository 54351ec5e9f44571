"""Reading what a process serves to Prometheus, as Prometheus does: over HTTP, by the text format."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 60.0


class Scrape:
    """All samples of one answer. `scrape["name"]` of a sample without labels, `scrape.of("name", label="x")` else."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __getitem__(self, name: str) -> float:
        return self._samples[name, frozenset()]

    def of(self, name: str, **labels: str) -> float:
        """0 for labels that have not been seen."""
        return self._samples.get((name, frozenset(labels.items())), 0.0)

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(labels)[label] for key, labels in self._samples if key == name}


def scrape(port: int) -> Scrape:
    reply = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert reply.status_code == 200
    return Scrape(reply.text)


def scrape_until(port: int, condition: Callable[[Scrape], bool]) -> Scrape:
    """For what a process counts a moment after it has done it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition(seen := scrape(port)):
        assert time.monotonic() < deadline, seen._samples
        time.sleep(0.05)
    return seen
