"""Verdicts go by the upper end, allow for the number of attacks, and compare with the outline of the mask."""

from __future__ import annotations

import pytest

from incog.evaluate.document import AttackRecord, Headline, Value
from incog.evaluate.privacy import HEADLINE
from incog.evaluate.verdict import above, telling, verdict


def value(low: float, middle: float, high: float) -> Value:
    return Value(value=middle, low=low, high=high, count=100, people=100)


def attack(name: str, auc: Value, *, kind: str = "black box", shown: str = "face") -> AttackRecord:
    return AttackRecord(
        attack=name,
        recogniser="dlib",
        kind=kind,
        shown=shown,  # type: ignore[arg-type]
        rank1=value(0, 0.01, 0.03),
        tar={},
        calibrated={},
        eer=value(0.4, 0.5, 0.6),
        auc=auc,
        roc=[],
        cmc=[],
        genuine=100,
        impostor=1000,
    )


CHANCE = value(0.47, 0.5, 0.53)
NOTHING = [attack(name, CHANCE) for name in HEADLINE]


def headline(rank1: Value, floor: Value | None = None) -> Headline:
    return Headline(
        shown="face",
        attack="parrot",
        recogniser="dlib",
        rank1=rank1,
        auc=CHANCE,
        untouched=value(0.9, 1.0, 1.0),
        floor=floor or value(0, 0, 0.005),
        groups={},
        uneven=None,
        chance=0.001,
    )


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.0, 0.002, "At chance"),
        (0.0, 0.3, "Not told from chance"),
        (0.01, 0.06, "Leaks a little"),
        (0.1, 0.2, "Leaks:"),
        (0.2, 0.6, "Weak"),
    ],
)
def test_the_upper_end_decides(low: float, high: float, word: str) -> None:
    told = verdict(headline(value(low, (low + high) / 2, high)), NOTHING, NOTHING)
    assert told.startswith(word)
    assert f"at most {100 * high:.1f} %" in told


def test_pairs_that_are_told_apart_leak_a_little() -> None:
    rows = [
        attack("plain", CHANCE),
        attack("parrot", value(0.55, 0.6, 0.65)),
        attack("linkage", value(0.1, 0.2, 0.3)),
    ]
    assert [row.attack for row in telling(rows, "face")] == ["linkage", "parrot"]
    told = verdict(headline(value(0, 0.001, 0.002)), rows, NOTHING)
    assert told.startswith("Leaks a little")
    assert "dlib, parrot (AUC 0.60)" in told, "what is above the outline's AUC is named"


def test_white_boxes_and_whole_pictures_do_not_count() -> None:
    strong = value(0.8, 0.9, 1.0)
    rows = [attack("plain", strong, kind="white box"), attack("plain", strong, shown="picture")]
    assert not telling(rows, "face")
    assert verdict(headline(value(0, 0.001, 0.002)), [*NOTHING, *rows], NOTHING).startswith("At chance")


def test_one_of_many_intervals_misses_by_chance() -> None:
    barely = value(0.505, 0.55, 0.595)
    assert telling([attack("plain", barely)], "face")
    assert not telling([*NOTHING, attack("plain", barely)], "face")
    assert above(value(0.7, 0.8, 0.9), value(0.4, 0.5, 0.6), 10)
    assert not above(value(0.58, 0.68, 0.78), value(0.4, 0.5, 0.57), 10)


def test_what_the_outline_tells_is_not_laid_to_the_method() -> None:
    told_by_outline = [attack(name, value(0.58, 0.62, 0.66)) for name in HEADLINE]
    rows = [attack(name, value(0.6, 0.65, 0.7)) for name in HEADLINE]
    same = verdict(headline(value(0.02, 0.04, 0.07), value(0.013, 0.035, 0.068)), rows, told_by_outline)
    assert same.startswith("No more than the outline of the mask tells")
    more = verdict(headline(value(0.2, 0.25, 0.3), value(0.013, 0.035, 0.068)), rows, told_by_outline)
    assert more.startswith("Leaks:")
    pairs = [attack(name, value(0.8, 0.85, 0.9)) for name in HEADLINE]
    beyond = verdict(headline(value(0.02, 0.04, 0.07), value(0.013, 0.035, 0.068)), pairs, told_by_outline)
    assert beyond.startswith("Leaks a little")


def test_attacks_that_blackout_has_not_are_held_against_the_nearest() -> None:
    rows = [attack("one key", value(0.8, 0.85, 0.9))]
    assert verdict(headline(value(0.02, 0.04, 0.07)), rows, NOTHING).startswith("Leaks a little")
