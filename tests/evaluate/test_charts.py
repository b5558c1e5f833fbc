"""Axes have round numbers, and no two lines of a chart look alike."""

from __future__ import annotations

import pytest

from incog.evaluate.charts import COLOURS, MARKS, Axis, Series, chart


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (1, 20, [5, 10, 15, 20]),
        (0, 0.428, [0, 0.1, 0.2, 0.3, 0.4]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 7, [0, 2, 4, 6]),
        (1, 2, [1, 1.2, 1.4, 1.6, 1.8, 2]),
    ],
)
def test_ticks_are_round_and_within(low: float, high: float, ticks: list[float]) -> None:
    assert Axis("", low, high).ticks() == pytest.approx(ticks)


def test_logarithmic_ticks_are_powers_of_ten() -> None:
    assert Axis("", 1e-3, 1, logarithmic=True).ticks() == pytest.approx([1e-3, 1e-2, 0.1, 1])


def test_no_two_of_many_lines_look_alike() -> None:
    looks = {(COLOURS[n % len(COLOURS)], MARKS[n % len(MARKS)]) for n in range(20)}
    assert len(looks) == 20
    text = chart(
        Axis("x", 0, 1), Axis("y", 0, 1), [Series(f"<{n}>", [(0, 0), (1, 1)]) for n in range(9)], "A & b"
    )
    assert "<b>A &amp; b</b>" in text
    assert "&lt;8&gt;" in text
    assert text.count("<polyline") == 9
