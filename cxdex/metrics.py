"""Serves a process's measures to Prometheus, on a port of their own and only when asked.

Owns:     the options --metrics-port and --metrics-host, the registry that a process starts with, its HTTP server.
Promises: off by default and bound to this machine by default, because measures tell about everybody's business.
          A scrape runs in a thread of its own and never waits for the process's work.
Never:    measures anything itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from cxdex.problem import Problem

MAX_PORT = 65_535
LOCAL = "127.0.0.1"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics-port", type=_port, metavar="PORT", help="serve /metrics there (default: do not)")
    parser.add_argument("--metrics-host", default=LOCAL, metavar="HOST", help="address of it (default %(default)s)")


def new_registry() -> CollectorRegistry:
    """Holds what every process has: memory, processor time, open files, start time."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def serve(registry: CollectorRegistry, host: str, port: int) -> None:
    """Serves GET /metrics until the process ends. Raises Problem PORT_UNAVAILABLE."""
    try:
        start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Problem(
            "PORT_UNAVAILABLE",
            f"cannot serve metrics on {host}:{port}: {reason}",
            allowed="choose another one with --metrics-port",
        ) from None


def counter(name: str, text: str, value: float) -> Metric:
    """A running total that is read when it is asked for. The name comes out with `_total`."""
    return CounterMetricFamily(name, text, value)


def counter_by(name: str, text: str, label: str, values: Sequence[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def counter_by_two(
    name: str, text: str, labels: tuple[str, str], values: Sequence[tuple[tuple[str, str], float]]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for keys, value in values:
        family.add_metric(keys, value)
    return family


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def histogram(name: str, text: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    """`counts`: of each bound those up to it and above the one before, and last those above all. `total`: their sum."""
    buckets, below = [], 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    return HistogramMetricFamily(name, text, buckets, total)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 1 to {MAX_PORT}")
    return int(text)
