"""Which pairs are shown to people as judges.

Half of the pairs show one person, in two different pictures, half two people as alike as groups can make them. One
picture of a pair is an original, the other what a method made; control pairs, of two originals, show whether the
answerers can do it at all.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from incog.errors import InputError, must_be
from incog.evaluate.groups import AGES, TOLD
from incog.evaluate.samples import Item
from incog.perceive.attributes import CLASSES, Attributes

PAIRS = 40
"""Of each method."""


CONTROLS = 0.25
"""Control pairs, as a share of one method's pairs."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows of the items.

    original: shown as it was. other: shown as ``method`` left it, in a control pair, whose method is None, as it was.
    same: whether both are of one person. swapped: the original is on the right.
    """

    original: int
    other: int
    method: str | None
    same: bool
    swapped: bool


def draw(
    items: Sequence[Item],
    methods: Sequence[str],
    *,
    pairs: int = PAIRS,
    controls: float = CONTROLS,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
    seed: int = 0,
) -> list[Pair]:
    """Return the pairs in the order of the sheet, those of all methods mixed.

    methods: what they are called, each once. pairs: of each method, even. controls: as a share of these; at least two
    pairs. groups: of each person, see ``traits``; two people are matched by those that they share, the first counts
    most, else drawn. Only people with two pictures take part, each as seldom as can be. What is drawn also depends on
    the pictures' names, so that no sheet tells the answers to another. Raises UsageError for a number of pairs that
    cannot be halved, InputError when there are not people enough.
    """
    if pairs < 2 or pairs % 2:
        raise must_be("the number of pairs", "even and at least 2", pairs)
    if len(set(methods)) < len(methods):
        raise ValueError(f"methods must be called differently, got {list(methods)}")
    text = repr((seed, list(methods), [item.name for item in items]))
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()))
    pool = _Pool(items, groups, random)
    numbers: dict[str | None, int] = dict.fromkeys(methods, pairs // 2)
    numbers[None] = max(1, round(pairs * controls / 2))
    drawn: list[Pair] = []
    # Method by method, so that none has all the people who were not shown yet.
    for step in range(max(numbers.values())):
        for name, count in numbers.items():
            for same in (True, False) if step < count else ():
                drawn.append(Pair(*pool.rows(same=same), name, same, bool(random.integers(2))))
    return [drawn[row] for row in random.permutation(len(drawn))]


def traits(items: Sequence[Item], looks: Sequence[Attributes]) -> dict[str, list[str]]:
    """Return what each person looks like to a network, for matching: gender, ethnicity and age, the likeliest.

    looks: what the face of each item looks like, see ``utility.looks``.
    """
    of: dict[str, list[Attributes]] = defaultdict(list)
    for item, face in zip(items, looks, strict=True):
        of[item.person].append(face)
    found = {}
    for person, faces in of.items():
        shares = {name: np.mean([getattr(face, name) for face in faces], axis=0) for name in TOLD}
        age = float(np.mean([face.age for face in faces]))
        kinds = [f"{name} {CLASSES[name][int(values.argmax())]}" for name, values in shares.items()]
        found[person] = [*kinds, f"age {next(low for low, high in AGES if age < high)}"]
    return found


class _Pool:
    """People with two pictures and more; who was drawn often comes last."""

    def __init__(
        self, items: Sequence[Item], groups: Mapping[str, Sequence[str]], random: np.random.Generator
    ) -> None:
        of: dict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(items):
            of[item.person].append(row)
        self._of = {person: rows for person, rows in of.items() if len(rows) > 1}
        if len(self._of) < 2:
            raise InputError(
                f"at least two people must have two pictures for a sheet of pairs, got {len(self._of)}"
            )
        self._groups, self._random = groups, random
        self._shown: Counter[str] = Counter()
        self._taken: set[tuple[int, int]] = set()

    def rows(self, *, same: bool) -> tuple[int, int]:
        """Return an original and another picture, a pair that was not there before."""
        for first in self._ordered(lambda person: (self._shown[person],)):
            for second in [first] if same else self._alike(first):
                fresh = [
                    (a, b)
                    for a in self._of[first]
                    for b in self._of[second]
                    if a != b and (a, b) not in self._taken
                ]
                if fresh:
                    chosen = fresh[int(self._random.integers(len(fresh)))]
                    self._taken.add(chosen)
                    self._shown.update((first, second))
                    return chosen
        raise InputError(
            f"so many pairs cannot be drawn from {len(self._of)} people with two pictures",
            hint="ask for fewer pairs, or evaluate more people",
        )

    def _alike(self, first: str) -> list[str]:
        """Return the other people, those who share groups first."""
        own = self._groups.get(first, ())

        def rank(person: str) -> tuple[int, ...]:
            shared = self._groups.get(person, ())
            return *(group not in shared for group in own), self._shown[person]

        return [person for person in self._ordered(rank) if person != first]

    def _ordered(self, rank: Callable[[str], tuple[int, ...]]) -> list[str]:
        people = sorted(self._of)
        return sorted((people[row] for row in self._random.permutation(len(people))), key=rank)


def affordable(items: Sequence[Item], methods: int) -> int:
    """Return how many pairs of each method there may be, at most ``PAIRS``: with few people pairs of one run out."""
    of = Counter(item.person for item in items)
    ones = sum(count * (count - 1) for count in of.values())
    for pairs in range(PAIRS, 2, -2):
        if methods * pairs // 2 + max(1, round(pairs * CONTROLS / 2)) <= ones:
            return pairs
    return 2
