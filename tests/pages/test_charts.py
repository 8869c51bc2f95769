"""Charts: right with nothing, one point and very many, and the words and tables that say the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.services.portfolio import Share
from app.views.pages.charts import BAR_WIDTH, BUCKETS, COLOURS, HEIGHT, MARGIN, WIDTH, line_chart, share_bar, thin
from app.views.pages.formatters import write_money
from tests.support.page_client import Browser
from tests.support.usage import usage_of

START = datetime(2026, 11, 1, tzinfo=UTC)


def points(*values: str, step: timedelta = timedelta(hours=1)) -> list[tuple[datetime, Decimal]]:
    return [(START + number * step, Decimal(value)) for number, value in enumerate(values)]


def chart(*values: str, step: timedelta = timedelta(hours=1)):
    return line_chart("chart", "A chart", points(*values, step=step), write=write_money)


def places(line: str) -> list[tuple[int, int]]:
    assert re.fullmatch(r"M\d+ \d+(L\d+ \d+)*(H6000)?", line)
    return [(int(x), int(y)) for x, y in re.findall(r"(\d+) (\d+)", line)]


def test_nothing_to_show() -> None:
    empty = chart()
    assert not empty.line and not empty.rows and empty.description == "There is nothing to show just now."


def test_one_point_is_a_line_across() -> None:
    one = chart("5.00")
    assert one.line == f"M0 {HEIGHT // 2}H{WIDTH}" and not one.beside
    assert one.description == "$5.00 on 1 Nov 2026, 00:00 UTC: the only value so far."
    assert one.rows == [(START, ["$5.00"])]


def test_no_change_is_a_line_in_the_middle() -> None:
    assert {y for _, y in places(chart("5.00", "5.00", "5.00").line)} == {HEIGHT // 2}


def test_small_values_are_written_without_an_exponent() -> None:
    points = [
        (datetime(2026, 1, 1, tzinfo=UTC), Decimal("4.2E-7")),
        (datetime(2026, 1, 2, tzinfo=UTC), Decimal("1E+3")),
    ]
    assert line_chart("c", "A chart", points, write=str).points["values"] == [["0.00000042", "1000"]]


def test_the_extremes_touch_the_margins() -> None:
    drawn = places(chart("10.00", "20.00", "15.00").line)
    assert drawn == [(0, HEIGHT - MARGIN), (WIDTH // 2, MARGIN), (WIDTH, HEIGHT // 2)]


def test_the_words_say_what_the_picture_shows() -> None:
    assert chart("10.00", "20.00", "15.00").description == (
        "From $10.00 on 1 Nov 2026, 00:00 UTC to $15.00 on 1 Nov 2026, 02:00 UTC, a rise. "
        "Lowest $10.00 on 1 Nov 2026, 00:00 UTC, highest $20.00 on 1 Nov 2026, 01:00 UTC."
    )


def test_a_second_line_has_the_scale_of_the_first() -> None:
    two = line_chart("c", "A chart", points("10.00", "20.00"), write=write_money, beside=[Decimal(5), Decimal("12.50")])
    assert (two.lowest, two.highest) == ("$5.00", "$20.00")
    assert places(two.line)[1] == (WIDTH, MARGIN) and places(two.beside) == [(0, HEIGHT - MARGIN), (WIDTH, HEIGHT // 2)]
    assert [values for _, values in two.rows] == [["$10.00", "$5.00"], ["$20.00", "$12.50"]]
    assert two.points["values"] == [["10", "20"], ["5", "12.5"]]


def test_very_many_points_keep_both_ends_and_every_extreme() -> None:
    values = [str(1000 + (number * 7919) % 997) for number in range(10_000)]
    values[1234], values[8765] = "1", "9999"
    many = chart(*values, step=timedelta(minutes=1))
    drawn = places(many.line)
    assert 300 <= len(drawn) <= 2 * BUCKETS + 2
    assert drawn == sorted(drawn) and drawn[0][0] == 0 and drawn[-1][0] == WIDTH
    assert {min(y for _, y in drawn), max(y for _, y in drawn)} == {MARGIN, HEIGHT - MARGIN}
    (shown,) = many.points["values"]
    assert shown.count("1") == shown.count("9999") == 1
    assert len(many.rows) == 25 and many.rows[-1][0] == START + timedelta(minutes=9_999)


def test_few_points_are_all_kept() -> None:
    few = points(*["1", "2"] * BUCKETS)
    assert thin(few) == few


@pytest.mark.parametrize(
    ("step", "first"), [(timedelta(hours=1), "1 Nov, 00:00 UTC"), (timedelta(days=9), "1 Nov 2026")]
)
def test_the_times_below_a_picture_are_short(step: timedelta, first: str) -> None:
    assert chart("1", "2", "3", step=step).times[0] == first


def test_a_bar_has_a_place_for_every_share() -> None:
    shares = [Share("A", "A", Decimal("99.99"), Decimal("99.99")), Share("B", "B", Decimal("0.01"), Decimal("0.01"))]
    parts = share_bar([*shares, Share("Cash", None, Decimal("0.00"), Decimal("0.00"))])
    assert [(part.x, part.width) for part in parts] == [(0, BAR_WIDTH - 1), (BAR_WIDTH - 1, 1), (BAR_WIDTH, 1)]
    assert [part.colour for part in parts] == [1, 2, 0]


def test_colours_that_run_out_are_repeated() -> None:
    parts = share_bar([Share(str(number), "X", Decimal(1), Decimal(5)) for number in range(20)])
    assert {part.colour for part in parts[COLOURS:]} == {COLOURS}


def test_marks_lie_where_the_line_is() -> None:
    """One beyond the line's values is marked at its edge, one beyond its time not at all."""
    line = points("10.00", "20.00", "15.00")
    step = timedelta(hours=1)
    marks = [(START - step, Decimal(15)), (START + step, Decimal(15)), (START + 2 * step, Decimal(25))]
    marked = line_chart("c", "A chart", line, write=write_money, marked={"Bought": marks, "Sold": []})
    assert marked.marks == {"Bought": f"M{WIDTH // 2} {HEIGHT // 2}h0M{WIDTH} {MARGIN}h0", "Sold": ""}
    assert marked.line == chart("10.00", "20.00", "15.00").line


def test_the_chart_of_an_asset_marks_ones_own_trades_when_asked(rich: Browser, stranger: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    rich.done("/assets/BTC", order_type="market_sell", quantity="1")
    rich.done("/assets/ETH", quantity="1")
    plain = rich.get("/assets/BTC?days=7")
    assert "Marked" not in plain.text and "/assets/BTC?days=7&trades=true" in plain.shown.links
    answer = rich.get("/assets/BTC?days=7&trades=true")
    assert "Marked: 1 bought, 1 sold." in answer.text
    assert {"/assets/BTC?days=7", "/assets/BTC?days=30&trades=true"} <= set(answer.shown.links)
    assert usage_of(answer.response).calls == usage_of(plain.response).calls + 1
    assert "You did not trade SOL in this time." in rich.get("/assets/SOL?trades=true").text
    public = stranger.get("/assets/BTC?trades=true")
    assert "Mark" not in public.text.replace("Market", "") and usage_of(public.response).calls == 0
