"""Charts: coordinates of an SVG picture, with a description and a table of the same values.

`charts.html` draws them. Coordinates are whole numbers on a fixed canvas that the stylesheet stretches to any width.
Values are only compared, placed and written: they are never added to anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from app.domain import money
from app.services.portfolio import Share
from app.views.pages.formatters import write_short_time

Point = tuple[datetime, Decimal]

WIDTH, HEIGHT, MARGIN = 6000, 2000, 100
# A chart is rarely wider than twice as many pixels: the lowest and the highest point of each bucket suffice.
BUCKETS = 150
TABLE_ROWS = 25
BAR_WIDTH = 1000
# How many colours the stylesheet has for the parts of a bar.
COLOURS = 8


@dataclass(frozen=True)
class LineChart:
    """A line over time; `line` is empty when there is nothing to draw.

    `rows` are points at even distances for the table, `points` all those that the picture shows.
    """

    id: str
    title: str
    description: str
    line: str
    area: str
    highest: str
    lowest: str
    times: list[str]
    rows: list[tuple[datetime, str]]
    points: dict[str, Any]


def line_chart(id_: str, title: str, points: Sequence[Point], *, write: Callable[[Decimal], str]) -> LineChart:
    """A chart of points in order of time. `write` turns a value into text."""
    if not points:
        return LineChart(id_, title, "There is nothing to show just now.", "", "", "", "", [], [], {})
    lowest, highest = min(points, key=_value), max(points, key=_value)
    thinned = thin(points)
    line = _draw(thinned, lowest[1], highest[1])
    return LineChart(
        id_,
        title,
        _describe(points, lowest, highest, write),
        line=f"M{line}" if len(points) > 1 else f"M{line}H{WIDTH}",
        area=f"M{line}V{HEIGHT}H0Z" if len(points) > 1 else "",
        highest=write(highest[1]),
        lowest=write(lowest[1]),
        times=_write_times([points[place][0] for place in _even_places(len(points), 3)]),
        rows=[(points[place][0], write(points[place][1])) for place in _even_places(len(points), TABLE_ROWS)],
        points={
            "times": [int(time.timestamp()) for time, _ in thinned],
            "values": [money.plain(value) for _, value in thinned],
        },
    )


def thin(points: Sequence[Point]) -> list[Point]:
    """The lowest and the highest point of each bucket of consecutive points, and always the first and last."""
    if len(points) <= 2 * BUCKETS:
        return list(points)
    kept = {0, len(points) - 1}
    for bucket in range(BUCKETS):
        places = range(bucket * len(points) // BUCKETS, (bucket + 1) * len(points) // BUCKETS)
        kept |= {min(places, key=lambda place: points[place][1]), max(places, key=lambda place: points[place][1])}
    return [points[place] for place in sorted(kept)]


def _value(point: Point) -> Decimal:
    return point[1]


def _even_places(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` places, at even distances, with the first and the last."""
    if count <= wanted:
        return list(range(count))
    return [place * (count - 1) // (wanted - 1) for place in range(wanted)]


def _draw(points: Sequence[Point], lowest: Decimal, highest: Decimal) -> str:
    start, span = points[0][0], points[-1][0] - points[0][0]
    return "L".join(
        f"{(time - start) * WIDTH // span if span else 0} {_height(value, lowest, highest)}" for time, value in points
    )


def _height(value: Decimal, lowest: Decimal, highest: Decimal) -> int:
    """From the top of the canvas, in the middle of it when all values are the same."""
    if highest == lowest:
        return HEIGHT // 2
    return MARGIN + int((highest - value) * (HEIGHT - 2 * MARGIN) / (highest - lowest))


def _write_times(times: list[datetime]) -> list[str]:
    """Labels short enough for the space below the picture: months, or for a few days the time of day without a year."""
    if times[-1] - times[0] > timedelta(days=3):
        return [f"{time.day} {time:%b %Y}" for time in times]
    return [f"{time.day} {time:%b, %H:%M}" for time in times]


def _describe(points: Sequence[Point], lowest: Point, highest: Point, write: Callable[[Decimal], str]) -> str:
    (start, first), (end, last) = points[0], points[-1]
    if len(points) == 1:
        return f"{write(first)} on {write_short_time(start)}: the only value so far."
    moved = "no change" if first == last else "a rise" if last > first else "a fall"
    return (
        f"From {write(first)} on {write_short_time(start)} to {write(last)} on {write_short_time(end)}, {moved}. "
        f"Lowest {write(lowest[1])} on {write_short_time(lowest[0])}, "
        f"highest {write(highest[1])} on {write_short_time(highest[0])}."
    )


@dataclass(frozen=True)
class BarPart:
    """One share as a part of the bar."""

    share: Share
    colour: int
    x: int
    width: int


def share_bar(shares: Sequence[Share]) -> list[BarPart]:
    """A bar of all shares, side by side, each at least one unit wide.

    Each asset has its own colour until they run out; cash and reserves have colour 0.
    """
    edges = [0, *(int(sum_ * BAR_WIDTH / 100) for sum_ in accumulate(share.percentage for share in shares))]
    return [
        BarPart(share, min(number, COLOURS) if share.asset_id else 0, edges[number - 1], width)
        for number, share in enumerate(shares, start=1)
        for width in [max(1, edges[number] - edges[number - 1])]
    ]
