"""Sequences seen through a window: each item with those just before and after it, held no longer than that takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def windows(items: Iterable[Item], reach: int) -> Iterator[tuple[Sequence[Item], int]]:
    """Yield for each item the items at most ``reach`` before and after it, and its place among these.

    The sequence is reused: what is yielded holds until the next.
    """
    window: deque[Item] = deque()
    due = 0
    for item in items:
        window.append(item)
        if len(window) > reach + due:
            yield window, due
            due += 1
            if due > reach:
                window.popleft()
                due -= 1
    while due < len(window):
        yield window, due
        due += 1
        if due > reach:
            window.popleft()
            due -= 1
