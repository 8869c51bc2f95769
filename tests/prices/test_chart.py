"""The past prices of an asset, from CoinGecko."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from app.domain.errors import PriceUnavailable
from app.prices.coingecko import MAX_POINTS
from tests.prices.answers import CHART, SECOND, answer, chart_body
from tests.support.coingecko import NOW


class TestHistory:
    @pytest.mark.parametrize(
        "days, asked, points, step, expected",
        [
            (1, "1", 289, timedelta(minutes=5), 145),
            (2, "7", 169, timedelta(hours=1), 49),
            (7, "7", 169, timedelta(hours=1), 169),
            (8, "30", 721, timedelta(hours=1), 193),
            (30, "30", 721, timedelta(hours=1), 181),
            (31, "365", 366, timedelta(days=1), 32),
            (365, "365", 366, timedelta(days=1), 183),
        ],
    )
    def test_points_run_evenly_up_to_the_newest(self, api, source, days, asked, points, step, expected):
        answer(api, chart_body(points=points, step=step), url=CHART)
        history = source.history("btc", days=days)
        times = [point.time for point in history]
        assert api.calls[0].request.params == {"vs_currency": "usd", "days": asked}
        assert len(history) == expected <= MAX_POINTS and times[-1] == NOW
        assert len({after - before for before, after in pairwise(times)}) == 1
        assert times[0] - (NOW - timedelta(days=days)) < max(step, times[1] - times[0])
        assert str(history[-1].price) == f"{58000 + points - 1}.50"

    @pytest.mark.parametrize("days", [-1, 0, 366])
    def test_other_spans_are_refused_without_a_call(self, api, source, days):
        with pytest.raises(ValueError, match="1 to 365"):
            source.history("BTC", days=days)
        assert not api.calls

    def test_a_chart_is_kept_for_five_minutes_and_serves_several_spans(self, api, source, clock):
        answer(api, chart_body(points=721, step=timedelta(hours=1)), url=CHART)
        for days in (*range(8, 31), 30):
            source.history("BTC", days=days)
        clock.wait(299)
        source.history("BTC", days=30)
        assert len(api.calls) == 1
        clock.wait(1)
        source.history("BTC", days=30)
        assert len(api.calls) == 2

    def test_an_old_chart_stays_while_the_api_fails_until_its_span_is_over(self, api, source, clock):
        answer(api, chart_body(points=289, step=timedelta(minutes=5)), url=CHART)
        source.history("BTC", days=1)
        answer(api, {"status": 500}, url=CHART)
        clock.wait(3600)
        assert source.history("BTC", days=1)[-1].time == NOW
        clock.wait(24 * 3600)
        with pytest.raises(PriceUnavailable):
            source.history("BTC", days=1)

    def test_the_answer_is_the_callers_own(self, api, source):
        answer(api, chart_body(points=3, step=SECOND), url=CHART)
        source.history("BTC", days=1).clear()
        assert len(source.history("BTC", days=1)) == 3

    ROWS = [
        "1",
        "null",
        "[]",
        '{"time": 1}',
        "[1773500966000]",
        "[1773500966000, 1, 2]",
        "[1773500966000, null]",
        "[1773500966000, 0]",
        "[1773500966000, -1.5]",
        "[1773500966000, NaN]",
        '["now", 1]',
        "[null, 1]",
        "[true, 1]",
        "[1e17, 1]",
        "[-1e17, 1]",
        "[1e400, 1]",
    ]

    @pytest.mark.parametrize("row", ROWS)
    def test_unusable_points_are_left_out(self, api, source, row):
        answer(api, f'{{"prices": [{row}, [1773500965999.7, 1.2e-05], {row}]}}', url=CHART)
        (point,) = source.history("BTC", days=1)
        assert (point.time, str(point.price)) == (NOW, "0.000012")

    @pytest.mark.parametrize(
        "text", ["[]", "{}", "7", '{"prices": null}', '{"prices": {}}', '{"prices": []}', '{"prices": [[1, 0]]}']
    )
    def test_a_chart_of_another_shape_is_none(self, api, source, text):
        answer(api, text, url=CHART)
        with pytest.raises(PriceUnavailable):
            source.history("BTC", days=1)

    def test_points_out_of_order_are_sorted(self, api, source):
        answer(api, '{"prices": [[1773500966000, 2], [1773500960000, 1]]}', url=CHART)
        assert [point.price for point in source.history("BTC", days=1)] == [1, 2]
