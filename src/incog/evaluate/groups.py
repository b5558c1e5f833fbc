"""Who is protected less? Groups of people, as a network sees them in the originals, where the data do not say.

Predicted groups are what pictures look like to a network, not what people are. They show whether protection is even.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from incog.evaluate.attacks import Outcome
from incog.evaluate.intervals import Figure, mean_over_people
from incog.evaluate.samples import Item
from incog.perceive.attributes import CLASSES, Attributes

SURE = 0.9
"""Mean probability over a person's pictures from which a person counts as one of a group."""

LEAST = 20
"""People that a group must have to be told; from 100 on groups may be ranked."""

RANKED = 100

TOLD = ("gender", "ethnicity")
"""Classes that groups are made of."""

AGES = ((0, 30), (30, 50), (50, 120))
"""Years, by the mean over a person's pictures."""


def predicted(items: Sequence[Item], looks: Sequence[Attributes]) -> dict[str, list[str]]:
    """Return the groups of each person, such as ``gender female``; none where the network is not sure.

    looks: what the face of each item looks like.
    """
    of: dict[str, list[Attributes]] = defaultdict(list)
    for item, face in zip(items, looks, strict=True):
        of[item.person].append(face)
    found: dict[str, list[str]] = {}
    for person, faces in of.items():
        groups = []
        for name in TOLD:
            shares = np.mean([getattr(face, name) for face in faces], axis=0)
            if shares.max() >= SURE:
                groups.append(f"{name} {CLASSES[name][int(shares.argmax())]}")
        age = float(np.mean([face.age for face in faces]))
        low, high = next(span for span in AGES if age < span[1])
        groups.append(f"age {low} to {high}" if high < 120 else f"age {low} and above")
        found[person] = groups
    return found


def by_group(
    outcome: Outcome, probe_people: Sequence[str], groups: Mapping[str, Sequence[str]], *, seed: int = 0
) -> dict[str, Figure]:
    """Return the rank-1 hit rate of an attack for each group with people enough, by name.

    probe_people: whom each probe shows, in the order of ``outcome.hits``.
    """
    names = sorted({group for person in set(probe_people) for group in groups.get(person, ())})
    figures: dict[str, Figure] = {}
    for name in names:
        rows = [row for row, person in enumerate(probe_people) if name in groups.get(person, ())]
        people = [probe_people[row] for row in rows]
        if len(set(people)) >= LEAST:
            figures[name] = mean_over_people(outcome.hits[rows], people, hits=True, seed=seed)
    return figures


def uneven(figures: Mapping[str, Figure]) -> tuple[str, str] | None:
    """Return the groups with the highest and the lowest rate, where both have people enough to be ranked and their
    intervals do not meet; None otherwise."""
    ranked = {
        name: figure
        for name, figure in figures.items()
        if figure.people is not None and figure.people >= RANKED
    }
    if len(ranked) < 2:
        return None
    high = max(ranked, key=lambda name: ranked[name].value)
    low = min(ranked, key=lambda name: ranked[name].value)
    return (high, low) if ranked[high].low > ranked[low].high else None
