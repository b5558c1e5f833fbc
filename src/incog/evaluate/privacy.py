"""All attacks on what one method made of a cast, with every recogniser, of the face alone and of the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from incog.evaluate.attacks import Outcome, Pairs, best_head, judge, learn_inversion
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.samples import Cast, Item, face_only
from incog.perceive.embedder import TEMPLATE, align
from incog.types import Bytes, Face, Floats

Shown = Literal["face", "picture"]
SHOWN: tuple[Shown, ...] = ("face", "picture")
"""What an attacker looks at: the face alone, its surroundings covered, or the whole picture with hair and clothes."""

ATTACKS = {
    "untouched": "Originals against originals: how well the recogniser works at all.",
    "plain": "Anonymised pictures against a gallery of originals.",
    "retrained": "The same, with a head that was trained on originals and anonymised pictures of other people.",
    "parrot": "Anonymised pictures against anonymised ones, with a head that was trained on anonymised pictures of "
    "other people.",
    "inversion": "Anonymised pictures, brought back by what was learnt from other people, against originals.",
    "linkage": "Anonymised pictures against anonymised ones: are two results of one person?",
}
"""Name -> what it does, in words."""

HEADLINE = ("plain", "retrained", "parrot", "inversion", "linkage")
"""Attacks of which the worst counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Attacked:
    """One attack by one recogniser on what it was shown."""

    attack: str
    recogniser: str
    kind: str
    shown: Shown
    outcome: Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Originals:
    """What recognisers say of the originals, by (recogniser, shown): embeddings of the judged and of the known."""

    judged: dict[tuple[str, Shown], Floats]
    known: dict[tuple[str, Shown], Floats]


def pictures(items: Sequence[Item], views: Sequence[Bytes], shown: Shown) -> list[Bytes]:
    """Return what an attacker sees of pictures (H, W, 3)."""
    if shown == "picture":
        return list(views)
    return [face_only(view, item.hull) for item, view in zip(items, views, strict=True)]


def embed_originals(
    cast: Cast, recognisers: Sequence[Recogniser], *, tell: Callable[[str], None] = lambda text: None
) -> Originals:
    """Return what every recogniser says of the originals; once for all methods."""
    found = Originals({}, {})
    for recogniser in recognisers:
        for shown in SHOWN:
            tell(f"{recogniser.name}: originals, {shown}")
            for items, rows in ((cast.judged, found.judged), (cast.known, found.known)):
                views = pictures(items, [item.picture for item in items], shown)
                rows[recogniser.name, shown] = recogniser(views, [item.points for item in items])
    return found


def pairs_of(cast: Cast) -> Pairs:
    """Return who is compared with whom."""
    gallery, probes = cast.gallery()
    return Pairs([item.person for item in cast.judged], gallery, probes)


def untouched(
    cast: Cast, recognisers: Sequence[Recogniser], originals: Originals, *, seed: int
) -> list[Attacked]:
    """Return how well the recognisers know the originals."""
    pairs = pairs_of(cast)
    found = []
    for recogniser in recognisers:
        for shown in SHOWN:
            rows = originals.judged[recogniser.name, shown]
            outcome = judge(rows, rows, pairs, pairs.thresholds(rows), seed=seed)
            found.append(Attacked("untouched", recogniser.name, recogniser.kind, shown, outcome))
    return found


def attack(
    cast: Cast,
    judged: Sequence[Bytes],
    known: Sequence[Bytes],
    recognisers: Sequence[Recogniser],
    originals: Originals,
    *,
    seed: int,
    sights: Sequence[Shown] = SHOWN,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Attacked]:
    """Return every attack on the anonymised pictures.

    judged, known: what the method made of the cast's pictures, in order. sights: what attackers are shown.
    """
    pairs = pairs_of(cast)
    names = [item.person for item in cast.known]
    found: list[Attacked] = []
    for shown in sights:
        seen = pictures(cast.judged, judged, shown)
        learnt = pictures(cast.known, known, shown)
        restored = _restored(cast, seen, learnt, shown)
        for recogniser in recognisers:
            tell(f"{recogniser.name}: attacks, {shown}")
            before = originals.judged[recogniser.name, shown]
            known_before = originals.known[recogniser.name, shown]
            after = recogniser(seen, [item.points for item in cast.judged])
            known_after = recogniser(learnt, [item.points for item in cast.known])
            inverted = recogniser(restored, [TEMPLATE] * len(restored))
            levels = pairs.thresholds(before)
            parrot = best_head(known_after, known_after, names)
            both = best_head(known_after, known_before, names)
            parroted = parrot(after)
            outcomes = {
                "plain": judge(after, before, pairs, levels, seed=seed),
                "retrained": judge(both(after), both(before), pairs, seed=seed),
                "parrot": judge(parroted, parroted, pairs, seed=seed),
                "inversion": judge(inverted, before, pairs, levels, seed=seed),
                "linkage": judge(after, after, pairs, levels, seed=seed),
            }
            found += [
                Attacked(name, recogniser.name, recogniser.kind, shown, outcome)
                for name, outcome in outcomes.items()
            ]
    return found


def _restored(cast: Cast, seen: Sequence[Bytes], learnt: Sequence[Bytes], shown: Shown) -> list[Bytes]:
    """Return aligned crops of the judged pictures, brought back by an inversion learnt on the known ones."""

    def crops(items: Sequence[Item], views: Sequence[Bytes]) -> Bytes:
        aligned = [
            align(view, Face(box=(0, 0, 1, 1), points=item.points))
            for item, view in zip(items, views, strict=True)
        ]
        return np.stack(aligned)

    before = pictures(cast.known, [item.picture for item in cast.known], shown)
    way_back = learn_inversion(crops(cast.known, learnt), crops(cast.known, before))
    return list(way_back(crops(cast.judged, seen)))


def worst(found: Sequence[Attacked], shown: Shown) -> Attacked:
    """Return the attack by a black box with the highest upper end of rank-1 hits; of equal ones, the one whose AUC is
    furthest from one half. Raises ValueError without one."""
    counted = [
        item for item in found if item.kind == "black box" and item.shown == shown and item.attack in HEADLINE
    ]
    if not counted:
        raise ValueError("there must be a black-box recogniser for a headline, got none")
    return max(counted, key=lambda item: (item.outcome.rank1.high, abs(item.outcome.auc.value - 0.5)))


def telling(found: Sequence[Attacked], shown: Shown) -> list[Attacked]:
    """Return the attacks by black boxes whose AUC is not one half, as far as its interval can tell."""
    return [
        item
        for item in found
        if item.kind == "black box"
        and item.shown == shown
        and item.attack in HEADLINE
        and not item.outcome.auc.low <= 0.5 <= item.outcome.auc.high
    ]
