"""Sequences seen through a window."""

from __future__ import annotations

import pytest

from incog.windows import windows


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize("reach", [0, 1, 3])
def test_each_item_comes_once_with_those_around_it(count: int, reach: int) -> None:
    found = [(list(window), window[place]) for window, place in windows(iter(range(count)), reach)]
    assert [here for _, here in found] == list(range(count))
    for around, here in found:
        near = [other for other in around if abs(other - here) <= reach]
        assert near == list(range(max(here - reach, 0), min(here + reach, count - 1) + 1))


def test_no_more_is_held_than_the_window_takes() -> None:
    assert max(len(window) for window, _ in windows(iter(range(50)), 3)) == 7
