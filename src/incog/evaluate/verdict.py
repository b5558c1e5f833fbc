"""One line on what was found of a method: by the upper end of the worst attack, and only for what is no chance.

Many attacks are made, and the worst is picked: what is beyond chance is decided at a level that all of them share.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from incog.evaluate.document import AttackRecord, Headline, Value
from incog.evaluate.intervals import LEVEL
from incog.evaluate.privacy import ALIKE, HEADLINE

NEAR, NEAR_AT_LEAST = 4.0, 0.02
"""How far above chance the upper end of hits may be, as a factor and at least, for a verdict of chance."""

# Figures have five digits.
_ROUNDING = 1e-4


def verdict(headline: Headline, attacks: Sequence[AttackRecord], floor: Sequence[AttackRecord]) -> str:
    """Return the line on a method. attacks: all that were made on it. floor: those after ``blackout``."""
    share, low, high = headline.rank1.value or 0.0, headline.rank1.low or 0.0, ends(headline.rank1)[1]
    by, chance = f"{headline.recogniser}, {headline.attack}", headline.chance
    told = f"{100 * share:.1f} % (at most {100 * high:.1f} %) of faces are told by {by}"
    beside = (
        f"the outline of the mask alone tells {100 * (headline.floor.value or 0):.1f} %, untouched faces "
        f"{100 * (headline.untouched.value or 0):.1f} %"
    )
    others = telling(attacks, headline.shown)
    if low - _ROUNDING <= chance and not others:
        if high > max(NEAR * chance, chance + NEAR_AT_LEAST):
            return f"Not told from chance with so few people: {told}; guessing gives {100 * chance:.1f} %."
        return f"At chance: {told}; guessing gives {100 * chance:.1f} %."
    beyond = [
        row for row in others if above(row.auc, floor_of(floor, row).auc, len(counted(attacks, row.shown)))
    ]
    if low <= ends(headline.floor)[1] and not beyond:
        return f"No more than the outline of the mask tells, as far as can be told: {told}; {beside}."
    if low - _ROUNDING <= chance:
        first = (beyond or others)[0]
        return (
            f"Leaks a little: {told}, and pairs of one person can be told from others by {first.recogniser}, "
            f"{first.attack} (AUC {first.auc.value or 0:.2f}); {beside}."
        )
    kept = high / max(headline.untouched.value or 1.0, 1e-9)
    word = "Weak" if kept > 0.5 else "Leaks" if kept > 0.1 else "Leaks a little"
    return f"{word}: {told}; {beside}."


def counted(attacks: Sequence[AttackRecord], shown: str) -> list[AttackRecord]:
    """Return the attacks of which the worst counts."""
    return [
        row for row in attacks if row.kind == "black box" and row.shown == shown and row.attack in HEADLINE
    ]


def telling(attacks: Sequence[AttackRecord], shown: str) -> list[AttackRecord]:
    """Return the attacks that count and whose AUC is not one half, as far as can be told of so many; the furthest
    first."""
    rows = counted(attacks, shown)
    half = Value(value=0.5)
    found = [row for row in rows if above(row.auc, half, len(rows)) or above(half, row.auc, len(rows))]
    return sorted(found, key=lambda row: -abs((row.auc.value or 0.5) - 0.5))


def above(one: Value, other: Value, tries: int) -> bool:
    """Whether a figure is surely above another, when the best of so many is looked at.

    Intervals are widened to the level that ``tries`` share (Bonferroni), as if errors were normal.
    """
    wider = _normal(1 - (1 - LEVEL) / max(tries, 1)) / _normal(LEVEL)
    (value, low, _), (limit, _, high) = _known(one), _known(other)
    return value - wider * (value - low) > limit + wider * (high - limit)


def floor_of(rows: Sequence[AttackRecord], attack: AttackRecord) -> AttackRecord:
    """Return the attack after ``blackout`` that comes nearest to one."""
    name = ALIKE.get(attack.attack, attack.attack)
    return next(
        row
        for row in rows
        if (row.attack, row.recogniser, row.shown) == (name, attack.recogniser, attack.shown)
    )


def ends(value: Value) -> tuple[float, float]:
    """Return the ends of a figure's interval; where it has none, the widest of a share."""
    return value.low if value.low is not None else 0.0, value.high if value.high is not None else 1.0


def _known(value: Value) -> tuple[float, float, float]:
    """Return a figure and its interval, itself where it has none."""
    middle = value.value if value.value is not None else 0.5
    low = value.low if value.low is not None else middle
    return middle, low, value.high if value.high is not None else middle


def _normal(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
