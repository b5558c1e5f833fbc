"""How well pseudonyms hold together and apart: on a folder of people, through the very steps of the command.

    python benchmarks/pseudonyms.py --data lfw=PATH [--people 100] [--method appearance-replace]

People with three pictures or more, those of the test split first, are written to a folder for each, hidden with
``--pseudonyms``, and compared. clusters: purity, the share of pictures whose cluster is mostly of their person, and
completeness, the share of pictures that lie in their person's largest cluster, at several risks. faces: how often two
new faces match at the threshold of one false match in a thousand *real* pairs of different people of these pictures, by
each recogniser: of one person, of different people; beside the untouched pictures, and, for what surroundings alone do,
beside a release with a face of its own for every picture; and how often a new face matches the person's own other
picture. In "face only" all that lies outside of the mask is covered before the comparison. Pictures in which the face
was filled are counted, and left out of these pairs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from PIL import Image

from common import RESULTS, record, save
from incog import geometry, parallel, pseudonyms
from incog.casting import Casting, Sighting, cast, folder_of
from incog.data.faces import decode, split_of
from incog.data.readers import read
from incog.evaluate.recognisers import Recogniser, make_recognisers
from incog.evaluate.samples import face_only, frame_of
from incog.keys import Secret
from incog.methods import make
from incog.pipeline import Options
from incog.pseudonyms import File
from incog.types import Bytes, Floats

RISKS = (0.01, 0.05, 0.2, 0.5)
PICTURES = 4
RATE = 1e-3
METHODS = ("appearance-replace", "replace", "donor")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the folder: whose, before and after, and where its face is. filled: no new face was drawn."""

    person: str
    before: Bytes
    after: Bytes
    points: Floats
    hull: Floats
    filled: bool


def written(source: str, path: Path, folder: Path, count: int) -> int:
    """Write the pictures of people into a folder for each, and return how many there are."""
    of = defaultdict(list)
    for _, sample in read({source: path}):
        if sample.identity:
            of[sample.identity].append(sample)
    people = sorted(
        (name for name, some in of.items() if len(some) >= 3),
        key=lambda name: (split_of(name) != "test", name),
    )[:count]
    total = 0
    for name in people:
        place = folder / name.replace("/", "_")
        place.mkdir(parents=True)
        for number, sample in enumerate(sorted(of[name], key=lambda sample: sample.name)[:PICTURES]):
            Image.fromarray(decode(sample.read(), sample.name)).save(place / f"{number}.png")
            total += 1
    return total


def clusters(files: Sequence[File], found: dict[int, Hashable], risk: float) -> dict[str, Any]:
    """Return purity and completeness. found: the cluster of the largest face of each file, by its number."""
    of, by = defaultdict(list), defaultdict(list)
    for file in files:
        if file.job.number in found:
            person = folder_of(file.place)
            of[found[file.job.number]].append(person)
            by[person].append(found[file.job.number])
    total = sum(map(len, of.values()))
    return {
        "risk": risk,
        "pictures": total,
        "people": len(by),
        "clusters": len(of),
        "purity": round(sum(Counter(some).most_common(1)[0][1] for some in of.values()) / total, 4),
        "completeness": round(sum(Counter(some).most_common(1)[0][1] for some in by.values()) / total, 4),
        "people_whole": sum(len(set(some)) == 1 for some in by.values()),
        "clusters_of_several_people": sum(len(set(some)) > 1 for some in of.values()),
    }


def main_person(sighting: Sighting, casting: Casting, number: int) -> Hashable:
    """Return whose the largest face of a file is, None of no face."""
    boxes = {item.id: item.boxes[0] for item in sighting.plan.tracks}
    if not boxes:
        return None
    largest = max(
        boxes, key=lambda track: (boxes[track][2] - boxes[track][0]) * (boxes[track][3] - boxes[track][1])
    )
    return casting.subjects[number].person(largest)


def released(
    files: Sequence[File], sightings: dict[int, Sighting], settings: parallel.Settings,
    casting: Casting | None,
) -> list[Picture]:  # fmt: skip
    """Hide every file as the command does, with a person's key or, without a casting, with one of its own, and return
    the pictures."""
    perception = parallel.perception_of(settings)
    pictures = []
    for file in files:
        number = file.job.number
        if number not in sightings:
            continue
        job = replace(
            file.job,
            plan=sightings[number].plan,
            subjects=None if casting is None else casting.subjects[number],
        )
        outcome = parallel.work(job, settings)
        if outcome.target is None or outcome.report.status != "hidden":
            continue
        before = np.asarray(Image.open(file.job.path).convert("RGB"))
        after = np.asarray(Image.open(outcome.target).convert("RGB"))
        faces = perception.searcher.frame(frame_of(before))
        face = max(faces, key=lambda face: face.width * face.height)
        if face.points is None:
            continue
        hull = perception.hulls(frame_of(before), [face], geometry.MASK_SCALE)[0].outline
        filled = outcome.report.fallback > 0
        pictures.append(Picture(folder_of(file.place), before, after, face.points, hull, filled))
    return pictures


def rates(
    pictures: Sequence[Picture], own: Sequence[Picture], judge: Recogniser, *, only: bool
) -> dict[str, Any]:
    """Return how often pairs match, by one recogniser. own: the release in which every picture has a face of its own.
    only: without what lies outside of the mask."""

    def rows(some: Sequence[Picture], after: bool) -> Floats:
        shown = [picture.after if after else picture.before for picture in some]
        if only:
            shown = [face_only(one, picture.hull) for one, picture in zip(shown, some, strict=True)]
        return judge(shown, [picture.points for picture in some])

    drawn = [picture for picture in pictures if not picture.filled]
    apart = [picture for picture in own if not picture.filled]
    before, after, alone = rows(pictures, False), rows(drawn, True), rows(apart, True)
    whole = np.array([picture.person for picture in pictures])
    people, others = (np.array([picture.person for picture in some]) for some in (drawn, apart))
    same = whole[:, None] == whole[None]
    upper = np.triu(np.ones(same.shape, bool), 1)
    scores = before @ before.T
    level = float(np.quantile(scores[upper & ~same], 1 - RATE))

    def share(similar: Floats, mask: Any) -> dict[str, Any]:
        return {"pairs": int(mask.sum()), "share": round(float((similar[mask] >= level).mean()), 4)}

    def pairs(vectors: Floats, who: Any, alike: bool) -> dict[str, Any]:
        equal = (who[:, None] == who[None]) == alike
        return share(vectors @ vectors.T, equal & np.triu(np.ones(equal.shape, bool), 1))

    kept = np.array([not picture.filled for picture in pictures])
    to_own = (people[:, None] == whole[None]) & (np.flatnonzero(kept)[:, None] != np.arange(len(whole))[None])
    return {
        "level": round(level, 4),
        "untouched, one person": pairs(before, whole, True),
        "untouched, different people": pairs(before, whole, False),
        "pseudonyms, one person": pairs(after, people, True),
        "pseudonyms, different people": pairs(after, people, False),
        "a face for every picture, one person": pairs(alone, others, True),
        "a face for every picture, different people": pairs(alone, others, False),
        "new face and the person's other pictures": share(after @ before.T, to_own),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, metavar="NAME=PATH")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--recogniser", action="append", default=None)
    parser.add_argument("--keep", type=Path, help="folder for the pictures; default: thrown away")
    parser.add_argument("--out", type=Path, default=RESULTS / "pseudonyms.json")
    words = parser.parse_args()
    source, _, path = words.data.partition("=")
    judges = make_recognisers(words.recogniser or ["incog-b", "dlib"], files={}, threads=1)
    with tempfile.TemporaryDirectory() as scratch:
        root = words.keep or Path(scratch)
        total = written(source, Path(path), root / "people", words.people)
        settings = parallel.Settings(
            method=METHODS[0], parameters={}, secret=Secret.from_seed(7), detector="centerface", threshold=0.3,
            device="cpu", threads=1, seeded=False, options=Options(),
        )  # fmt: skip
        files, _ = pseudonyms.files_of(root / "people", root / "looked", settings.secret)
        places = {file.job.number: file.place for file in files}
        sightings = {}
        for file in files:
            outcome = pseudonyms.look(file.job, settings, lambda *told: None)
            if outcome.found is not None:
                sightings[file.job.number] = outcome.found
        print(f"{total} pictures, {len(sightings)} looked at", flush=True)
        calibration = parallel.perception_of(settings).recogniser.calibration
        result = record() | {"people": words.people, "pictures": total, "clusters": [], "faces": {}}
        first = pseudonyms.usable(make(METHODS[0], {}))
        for risk in RISKS:
            casting = cast(places, sightings, first, settings.secret, calibration, by="clusters", risk=risk)
            marks = {
                number: mark
                for number, sighting in sightings.items()
                if (mark := main_person(sighting, casting, number)) is not None
            }
            result["clusters"].append(clusters(files, marks, risk))
            print(result["clusters"][-1], flush=True)
        for name in words.method or METHODS:
            mine = replace(settings, method=name)
            method = pseudonyms.usable(make(name, {}))
            casting = cast(places, sightings, method, mine.secret, calibration, by="folders")
            releases = []
            for kind, how in (("together", casting), ("apart", None)):
                there, _ = pseudonyms.files_of(root / "people", root / f"{name} {kind}", mine.secret)
                releases.append(released(there, sightings, mine, how))
            found = {
                "people": casting.record.people,
                "redrawn": casting.record.redrawn,
                "alike": casting.record.alike,
                "pictures": len(releases[0]),
                "filled": sum(picture.filled for picture in releases[0]),
            }
            for judge in judges:
                found[judge.name] = {
                    kind: rates(releases[0], releases[1], judge, only=kind == "face only")
                    for kind in ("whole crop", "face only")
                }
            result["faces"][name] = found
            save(words.out, result)
            print(name, found, flush=True)


if __name__ == "__main__":
    main()
