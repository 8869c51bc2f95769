"""Reading `/metrics` as Prometheus does."""

from __future__ import annotations

from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

Counters = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read_counters(text: str) -> Counters:
    """Every sample by its name and labels; raises ValueError when the text is not in Prometheus' format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counters_of(app: Flask) -> Counters:
    response = app.test_client(use_cookies=False).get("/metrics")
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return read_counters(response.text)


def total(counters: Counters, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (each, its), value in counters.items() if each == name and wanted <= its)


class Moved:
    """What has moved since `before`."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.before = counters_of(app)

    def __call__(self, name: str, **labels: str) -> float:
        # Only the lines of this name: reading all of them takes longer than most tests.
        text = self._app.test_client(use_cookies=False).get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return total(read_counters("\n".join(lines) + "\n"), name, **labels) - total(self.before, name, **labels)
