"""Charts: coordinates of an SVG picture, with a description and a table of the same values.

`charts.html` draws them. Coordinates are whole numbers on a fixed canvas that the stylesheet stretches to any width.
Values are only compared, placed and written: they are never added to anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate, chain
from types import MappingProxyType
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
    """A line over time, and a second one `beside` it if there is one; `line` is empty when there is nothing to draw.

    `highest` and `lowest` are the values of both lines that the picture marks. `rows` are points at even distances for
    the table, each a time and its values; `points` are all those that the picture shows. `marks` are dots, by kind.
    """

    id: str
    title: str
    description: str
    line: str = ""
    beside: str = ""
    highest: str = ""
    lowest: str = ""
    times: list[str] = field(default_factory=list)
    rows: list[tuple[datetime, list[str]]] = field(default_factory=list)
    points: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)


def line_chart(
    id_: str,
    title: str,
    points: Sequence[Point],
    *,
    write: Callable[[Decimal], str],
    beside: Sequence[Decimal] = (),
    marked: Mapping[str, Sequence[Point]] = MappingProxyType({}),
) -> LineChart:
    """A chart of points in order of time, and of other values `beside` them. `write` turns a value into text.

    `marked` has points that are marked, by their kind. Those outside the time of the line are left out; one above or
    below the line's own values is marked at its edge.
    """
    if not points:
        return LineChart(id_, title, "There is nothing to show just now.")
    lines = [list(points)]
    if beside:
        lines.append([(time, value) for (time, _), value in zip(points, beside, strict=True)])
    shown = {time for time, _ in thin(points)}
    thinned = [[point for point in line if point[0] in shown] for line in lines]
    low, high = (extreme(map(_value, chain(*lines))) for extreme in (min, max))
    drawn = [_draw(line, low, high) for line in thinned]
    return LineChart(
        id_,
        title,
        _describe(points, min(points, key=_value), max(points, key=_value), write),
        line=drawn[0],
        beside=drawn[1] if beside else "",
        highest=write(high),
        lowest=write(low),
        times=_write_times([points[place][0] for place in _even_places(len(points), 3)]),
        rows=[
            (points[place][0], [write(line[place][1]) for line in lines])
            for place in _even_places(len(points), TABLE_ROWS)
        ],
        points={
            "times": [int(time.timestamp()) for time, _ in thinned[0]],
            "values": [[money.plain(value) for _, value in line] for line in thinned],
        },
        marks={kind: _mark(each, points, low, high) for kind, each in marked.items()},
    )


def _mark(marked: Sequence[Point], points: Sequence[Point], lowest: Decimal, highest: Decimal) -> str:
    """Dots: lines without a length, of which the stylesheet draws the ends."""
    start, end = points[0][0], points[-1][0]
    return "".join(
        f"M{_across(time, start, end)} {_height(min(max(value, lowest), highest), lowest, highest)}h0"
        for time, value in marked
        if start <= time <= end
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
    start, end = points[0][0], points[-1][0]
    line = "L".join(f"{_across(time, start, end)} {_height(value, lowest, highest)}" for time, value in points)
    return f"M{line}" if len(points) > 1 else f"M{line}H{WIDTH}"


def _across(time: datetime, start: datetime, end: datetime) -> int:
    """From the left of the canvas."""
    return (time - start) * WIDTH // (end - start) if end > start else 0


def _height(value: Decimal, lowest: Decimal, highest: Decimal) -> int:
    """From the top of the canvas, in the middle of it when all values are the same."""
    if highest == lowest:
        return HEIGHT // 2
    return MARGIN + int((highest - value) * (HEIGHT - 2 * MARGIN) / (highest - lowest))


def _write_times(times: list[datetime]) -> list[str]:
    """Labels short enough for the space below the picture: months, or for a few days the time of day without a year."""
    if times[-1] - times[0] > timedelta(days=3):
        return [f"{time.day} {time:%b %Y}" for time in times]
    return [f"{time.day} {time:%b, %H:%M} UTC" for time in times]


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
