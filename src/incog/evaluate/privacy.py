"""All attacks on what one method made of a cast, with every recogniser, of the face alone and of the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from incog.alignment import crop
from incog.evaluate.attacks import Outcome, Pairs, best_head, judge, learn_inversion
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.samples import Cast, Item, face_only
from incog.evaluate.treatments import Extra
from incog.perceive.embedder import SIZE, TEMPLATE
from incog.types import Bytes, Floats

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
    "trained inversion": "As inversion, by a small U-Net instead of ridge regression.",
    "restoration": "Anonymised pictures, brought back by deconvolution, resampling or denoising that knows the "
    "method's settings, against originals.",
    "averaging": "The mean of sixteen frames of a still scene, with new noise in each, against originals.",
    "one key": "Linkage of pictures that were all hidden with the same key.",
}
"""Name -> what it does, in words."""

HEADLINE = tuple(name for name in ATTACKS if name != "untouched")
"""Attacks of which the worst counts."""

ALIKE = {"trained inversion": "inversion", "restoration": "plain", "averaging": "plain", "one key": "linkage"}
"""For attacks that only some methods allow, the one that comes nearest and that all allow."""


class Learner(Protocol):
    """Learns to bring crops back."""

    def __call__(self, hidden: Bytes, originals: Bytes, *, people: Sequence[str]) -> Callable[[Bytes], Bytes]:
        """Return what restores crops (B, S, S, 3) uint8, learnt from such of known people: (N, S, S, 3), N people."""


def _ridge(hidden: Bytes, originals: Bytes, *, people: Sequence[str]) -> Callable[[Bytes], Bytes]:
    return learn_inversion(hidden, originals)


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
    extras: Sequence[Extra] = (),
    learner: Learner | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[list[Attacked], dict[str, Bytes]]:
    """Return every attack on the anonymised pictures, and what inversions brought back of the faces alone, by attack:
    (N, 112, 112, 3) uint8 of the judged.

    judged, known: what the method made of the cast's pictures, in order. extras: further attacks. learner: of the
    trained inversion, which is left out without one. Both are tried on the face alone, since they cost most.
    """
    pairs = pairs_of(cast)
    names = [item.person for item in cast.known]
    points = [item.points for item in cast.judged]
    found: list[Attacked] = []
    recovered: dict[str, Bytes] = {}
    for shown in SHOWN:
        seen = pictures(cast.judged, judged, shown)
        learnt = pictures(cast.known, known, shown)
        inversions: dict[str, Learner] = {"inversion": _ridge}
        if shown == "face" and learner is not None:
            inversions["trained inversion"] = learner
        restored: dict[str, Bytes] = {}
        for name, way in inversions.items():
            tell(f"learning the {name}, {shown}")
            way_back = way(crops(cast.known, learnt), originals_of(cast.known, shown), people=names)
            restored[name] = way_back(crops(cast.judged, seen))
        if shown == "face":
            recovered = restored
        for recogniser in recognisers:
            tell(f"{recogniser.name}: attacks, {shown}")
            before = originals.judged[recogniser.name, shown]
            known_before = originals.known[recogniser.name, shown]
            after = recogniser(seen, points)
            known_after = recogniser(learnt, [item.points for item in cast.known])
            levels = pairs.thresholds(before)
            parrot = best_head(known_after, known_after, names)
            both = best_head(known_after, known_before, names)
            parroted = parrot(after)
            outcomes = {
                "plain": judge(after, before, pairs, levels, seed=seed),
                "retrained": judge(both(after), both(before), pairs, seed=seed),
                "parrot": judge(parroted, parroted, pairs, seed=seed),
                "linkage": judge(after, after, pairs, levels, seed=seed),
            }
            for name, back in restored.items():
                inverted = recogniser(list(back), [TEMPLATE] * len(back))
                outcomes[name] = judge(inverted, before, pairs, levels, seed=seed)
            for extra in extras if shown == "face" else ():
                rows = recogniser(pictures(cast.judged, extra.views, shown), points)
                outcomes[extra.attack] = judge(
                    rows, rows if extra.hidden else before, pairs, levels, seed=seed
                )
            found += [
                Attacked(name, recogniser.name, recogniser.kind, shown, outcome)
                for name, outcome in outcomes.items()
            ]
    return found, recovered


def crops(items: Sequence[Item], views: Sequence[Bytes]) -> Bytes:
    """Return the aligned faces of pictures, (N, 112, 112, 3) uint8."""
    aligned = [crop(view, item.points, TEMPLATE, SIZE) for item, view in zip(items, views, strict=True)]
    return np.stack(aligned)


def originals_of(items: Sequence[Item], shown: Shown) -> Bytes:
    """Return what an attacker would like to have: the aligned faces as they were."""
    return crops(items, pictures(items, [item.picture for item in items], shown))


def worst(found: Sequence[Attacked], shown: Shown) -> Attacked:
    """Return the attack by a black box with the highest upper end of rank-1 hits; of equal ones, the one whose AUC is
    furthest from one half. Raises ValueError without one."""
    counted = [
        item for item in found if item.kind == "black box" and item.shown == shown and item.attack in HEADLINE
    ]
    if not counted:
        raise ValueError("there must be a black-box recogniser for a headline, got none")
    return max(counted, key=lambda item: (item.outcome.rank1.high, abs(item.outcome.auc.value - 0.5)))
