"""Groups: who is in them, what is told of each, and when a difference is no chance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from incog.evaluate.groups import by_group, predicted, uneven
from incog.evaluate.intervals import Figure
from incog.perceive.attributes import Attributes


def looks(age: float, male: float, white: float) -> Attributes:
    rest = (1 - white) / 4
    return Attributes(
        age,
        3.0,
        np.array([male, 1 - male], np.float32),
        np.array([white, rest, rest, rest, rest], np.float32),
        np.array([1, 0, 0], np.float32),
    )


def test_a_person_is_what_the_pictures_say_together_or_nothing() -> None:
    answers = [looks(20, 0.99, 0.95), looks(44, 0.85, 0.4), looks(60, 0.3, 0.1), looks(64, 0.9, 0.1)]
    items = [SimpleNamespace(person=name) for name in ("a", "a", "b", "b")]
    found = predicted(cast("Any", items), answers)
    assert found == {"a": ["gender male", "age 30 to 50"], "b": ["age 50 and above"]}


def test_rates_are_those_of_the_members() -> None:
    people = [f"p{n // 2}" for n in range(120)]
    groups = {f"p{n}": ["one"] if n < 30 else ["two"] if n < 55 else ["three"] for n in range(60)}
    hits = np.array([1.0 if n < 60 else 0.0 for n in range(120)])
    figures = by_group(cast("Any", SimpleNamespace(hits=hits)), people, groups)
    assert set(figures) == {"one", "two"}, "five people are too few"
    assert (figures["one"].value, figures["two"].value) == (1, 0)
    assert figures["two"].high > 0.1, "what never happened to 25 people may happen to the next"
    assert (figures["one"].people, figures["one"].count) == (30, 60)


def test_only_large_groups_apart_are_ranked() -> None:
    high, low = Figure(0.5, 0.4, 0.6, 900, 300), Figure(0.1, 0.05, 0.15, 600, 200)
    assert uneven({"a": high, "b": low}) == ("a", "b")
    assert uneven({"a": high, "b": Figure(0.1, 0.05, 0.45, 600, 200)}) is None
    assert uneven({"a": high, "b": Figure(0.1, 0.05, 0.15, 99, 99)}) is None
