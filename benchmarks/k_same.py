"""How often k-Same faces are told, with whole pictures shared by a group and with faces laid back into their pictures.

    python benchmarks/k_same.py --data lfw=PATH [--k 5] [--method k-same-pixel] [--laid-back]

Everybody with two pictures gives one of them to the release and the other to the gallery. Attacks:

same picture: shared results against the very originals that were averaged, the case of the proof. plain: against the
other original of each person. parrot: against results of the other picture, which is in the same release, so that a
person is a unit of two. parrot of another release: against results of the other pictures, grouped on their own. With
--laid-back also plain and parrot on whole pictures with the face laid back. The worst recogniser counts.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import RESULTS, record, save
from incog import compose, dataset, geometry
from incog.data.readers import read
from incog.evaluate import samples
from incog.evaluate.identification import by_person, rank_shares
from incog.evaluate.recognisers import Recogniser, make_recognisers
from incog.evaluate.samples import Item
from incog.keys import Secret
from incog.methods import METHODS, make
from incog.methods.aligned import goal
from incog.methods.base import SetMethod
from incog.perceive.hulls import FaceHulls
from incog.pipeline import Perception
from incog.types import Bytes, Floats

FAMILY = [name for name, kind in METHODS.items() if kind.granularity == "set"]
SIDE = 150
"""Of shared pictures, px: LFW's own."""


def rank1(probes: Floats, gallery: Floats, people: Sequence[str]) -> float:
    """Return the share of probes that are told at the first guess, ties split."""
    similar, order = by_person(np.round(probes @ gallery.T, 6), people)
    columns = np.array([order.index(person) for person in people], np.intp)
    return float(rank_shares(similar, columns, 1)[:, 0].mean())


class Shared:
    """The pictures of a release, one per group, and which each item got. A face without a group is refused."""

    def __init__(self, method: SetMethod, items: Sequence[Item], hulls: FaceHulls) -> None:
        fitted = cast("SetMethod", samples.fitted(method, items, hulls))
        self.pictures = [dataset.shared_picture(face, SIDE, SIDE) for face in fitted.faces]
        self.groups = []
        for item in items:
            crop = compose.crop_of(
                samples.frame_of(item.picture), item.faces[0], mask_scale=geometry.MASK_SCALE, hulls=hulls
            )
            number = fitted.group(crop)
            assert number is not None
            self.groups.append(number)
        people: dict[bytes, set[str]] = {}
        for item, number in zip(items, self.groups, strict=True):
            mark = hashlib.sha256(self.pictures[number].tobytes()).digest()
            people.setdefault(mark, set()).add(item.person)
        self.fewest = min(map(len, people.values()))
        self.distinct = len(people)

    def rows(self, recogniser: Recogniser) -> Floats:
        """Return the embedding of what became of each item. The attacker knows where faces lie in shared pictures."""
        found = recogniser(self.pictures, [goal(SIDE)] * len(self.pictures))
        return found[self.groups]


def usable(item: Item, methods: Sequence[SetMethod], hulls: FaceHulls) -> bool:
    """Whether an item has a face that all these methods can do."""
    if not item.faces or item.faces[0].points is None:
        return False
    crop = compose.crop_of(
        samples.frame_of(item.picture), item.faces[0], mask_scale=geometry.MASK_SCALE, hulls=hulls
    )
    return all(method.reduced(crop) is not None for method in methods)


def measure(
    name: str, k: int, first: list[Item], other: list[Item], judges: Sequence[Recogniser],
    originals: dict[str, tuple[Floats, Floats]], hulls: FaceHulls, laid_back: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return the rank-1 rates of one method and k, by attack and recogniser."""
    people = [item.person for item in first]
    method = cast("SetMethod", make(name, {"k": str(k)}))
    alone, apart = Shared(method, first, hulls), Shared(method, other, hulls)
    both = Shared(method, [*first, *other], hulls)
    rates: dict[str, dict[str, float]] = {}
    for judge in judges:
        before, gallery = originals[judge.name]
        rows = alone.rows(judge)
        pair = both.rows(judge)
        half = len(first)
        rates[judge.name] = {
            "same picture": rank1(rows, before, people),
            "plain": rank1(rows, gallery, people),
            "parrot": rank1(pair[:half], pair[half:], people),
            "parrot of another release": rank1(rows, apart.rows(judge), people),
        }
    if laid_back:
        fitted = samples.fitted(method, [*first, *other], hulls)
        views: list[list[Bytes]] = [
            samples.protect(items, fitted, Secret.from_seed(0), hulls) for items in (first, other)
        ]
        for judge in judges:
            rows, back = (
                judge(pictures, [item.points for item in items])
                for pictures, items in zip(views, (first, other), strict=True)
            )
            rates[judge.name] |= {
                "laid back, plain": rank1(rows, originals[judge.name][1], people),
                "laid back, parrot": rank1(rows, back, people),
            }
    chance = 1 / k
    bound = chance + 3 * float(np.sqrt(chance * (1 - chance) / len(first)))
    shared = ("same picture", "plain", "parrot", "parrot of another release")
    worst = max(found[attack] for found in rates.values() for attack in shared)
    return {
        "method": name,
        "people": len(first),
        "k": k,
        "bound": round(bound, 4),
        "worst_shared": round(worst, 4),
        "kept": worst <= bound,
        "fewest_people": min(alone.fewest, both.fewest),
        "pictures": alone.distinct,
        "rank1": {
            judge: {attack: round(rate, 4) for attack, rate in found.items()}
            for judge, found in rates.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, metavar="NAME=PATH")
    parser.add_argument("--method", action="append", choices=FAMILY)
    parser.add_argument("--k", action="append", type=int)
    parser.add_argument("--people", type=int, help="at most so many; default: all")
    parser.add_argument("--laid-back", action="append", metavar="METHOD:K", default=[])
    parser.add_argument("--recogniser", action="append", default=None)
    parser.add_argument("--out", type=Path, default=RESULTS / "k-same.json")
    words = parser.parse_args()
    source, _, path = words.data.partition("=")
    perception = Perception(threads=1)
    chosen = samples.choose(
        read({source: Path(path)}), ["test", "dev", "train"], people=words.people, pictures=2
    )
    items, _ = samples.load(chosen, perception.searcher, perception.hulls)
    methods = [cast("SetMethod", make(name, {})) for name in words.method or FAMILY]
    of: dict[str, list[Item]] = {}
    for item in items:
        if usable(item, methods, perception.hulls):
            of.setdefault(item.person, []).append(item)
    pairs = [(some[0], some[1]) for some in of.values() if len(some) > 1]
    first, other = [one for one, _ in pairs], [two for _, two in pairs]
    print(f"{len(pairs)} people with two usable pictures", flush=True)
    judges = make_recognisers(words.recogniser or ["incog", "dlib"], files={}, threads=1)
    originals = {
        judge.name: (
            judge([item.picture for item in first], [item.points for item in first]),
            judge([item.picture for item in other], [item.points for item in other]),
        )
        for judge in judges
    }
    people = [item.person for item in first]
    untouched = {name: round(rank1(*rows, people), 4) for name, rows in originals.items()}
    print("untouched", untouched, flush=True)
    result = record() | {"people": len(pairs), "untouched": untouched, "figures": []}
    for name in words.method or FAMILY:
        for k in words.k or (2, 5, 10):
            laid_back = f"{name}:{k}" in words.laid_back
            found = measure(name, k, first, other, judges, originals, perception.hulls, laid_back)
            result["figures"].append(found)
            save(words.out, result)
            print(found, flush=True)


if __name__ == "__main__":
    main()
