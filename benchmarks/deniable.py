"""What deniable recovery brings back, and whether right passphrases can be told from wrong ones:
``python benchmarks/deniable.py --data NAME=PATH --out benchmarks/results/deniable.json``.

Faces of held-out people go through hiding, JPEG and restoring, under the right key and under wrong ones, which are
drawn at random: what a wrong passphrase gives is what a random key gives. Thresholds are those at which one in a
thousand pairs of pictures of different people is accepted. Attackers have the file, the package and all its models.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import common
from deniable_ways import LEAST, WAYS, Way
from incog import compose, geometry, track
from incog.appearance import grain, light, surround
from incog.data.faces import Sample, decode, split_of
from incog.data.readers import read as read_sources
from incog.deniable import cipher, prior, restoring
from incog.deniable.coding import Deniable
from incog.deniable.payload import Payload
from incog.deniable.prior import Doubles
from incog.evaluate import quality
from incog.evaluate.recognisers import Recogniser, make_recognisers
from incog.evaluate.samples import frame_of
from incog.evaluate.verification import threshold_at
from incog.keys import Secret, derive
from incog.methods.base import Rendered
from incog.methods.looking import look_of
from incog.perceive.attributes import LOOK
from incog.perceive.hulls import FaceHulls, make_hulls
from incog.perceive.recogniser import around_points
from incog.pipeline import Perception
from incog.types import Bytes, Crops, Face, Floats, Frame, Key
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

QUALITY = 90
"""Of the JPEG file that is published."""

RATE = 1e-3
CHEAP = Deniable(Passphrase("right"), Cost(1, 8, 1))
JUDGES = ("incog", "incog-b", "dlib")


@dataclass(frozen=True, eq=False)
class Trial:
    """One face. points: (5, 2). face: where it is. original, shown, full, right, wrong: pictures (H, W, 3) uint8; full
    has the face as the whole model draws it without any code. oracles: how likely each recovery looks, the right one
    first. features: of each recovery's picture. inner: the box of the mask."""

    points: Floats
    face: Face
    original: Bytes
    shown: Bytes
    full: Bytes
    right: Bytes
    wrong: list[Bytes]
    oracles: dict[str, list[float]]
    features: list[Floats]
    inner: tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Fixed:
    """Lays a crop that is there already: a method for ``incog.compose``."""

    pixels: Floats
    mask: Floats
    name: str = "fixed"
    granularity: str = "image"
    weak: str = ""

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        laid = np.where((self.mask > 0)[..., None], np.clip(self.pixels, 0, 1), crops.pixels[0])
        return Rendered(laid[None].astype(np.float32), np.zeros(1, np.bool_))


def samples_of(sources: Mapping[str, Path]) -> list[Sample]:
    """Return one picture of each held-out person, in an order that depends on names alone."""
    first: dict[str, Sample] = {}
    for _, sample in read_sources(sources):
        if sample.points is not None and not sample.fault and split_of(sample.identity) == "test":
            first.setdefault(sample.identity, sample)
    people = sorted(first)
    return [first[people[place]] for place in np.random.default_rng(0).permutation(len(people))]


def crop_of(picture: Bytes, face: Face, hulls: FaceHulls) -> Crops:
    """Return the crop of a face with its look, which is NaN where its points are unknown."""
    crop = compose.crop_of(frame_of(picture), face, mask_scale=geometry.MASK_SCALE, hulls=hulls)
    look = look_of(crop) if np.isfinite(crop.dense[0]).all() else np.full(len(LOOK), np.nan, np.float32)
    return replace(crop, looks=look[None])


def jpeg(frame: Frame) -> Bytes:
    """Return a frame as it comes out of a JPEG file."""
    rgb = np.asarray(frame.planes[0], np.uint8)
    _, coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return decode(coded.tobytes(), "published")


def trial_of(way: Way, sample: Sample, hulls: FaceHulls, wrong: int) -> Trial | None:
    """Return what becomes of a face under the right key and ``wrong`` others; None where it cannot be read."""
    picture = decode(sample.read(), sample.name)
    assert sample.points is not None
    face = around_points(Face((0, 0, 0, 0), points=sample.points))
    crop, codes = crop_of(picture, face, hulls), way.reader({})
    codes.look(crop, 1)
    if 1 not in codes.best:
        return None
    key = derive(Secret.fresh(), "benchmark")
    hider = way.hider(way.method, codes, CHEAP, {key: 1})
    (seen,) = hulls(frame_of(picture), [face], geometry.MASK_SCALE)
    frame, job = frame_of(picture), compose.Job(track.single([face])[0], face, hider, key)
    drawn_faces, _ = compose.draw(frame, [job], [seen])
    shown = compose.lay(frame, drawn_faces)
    hider.witness(frame, shown, drawn_faces)
    published = jpeg(shown)
    payload = hider.payload(1, lambda track, frame: False)
    secrets = [cipher.secret_of(CHEAP.passphrase, payload.salt, CHEAP.cost)]
    secrets += [Secret.fresh() for _ in range(wrong)]
    found, told = [], []
    for secret in secrets:
        redrawing = restoring.Redrawing(payload, restoring.draws(payload, secret))
        drawn = np.asarray(redrawing(frame_of(published)).planes[0], np.uint8)
        found.append(drawn)
        told.append(attacked(way, drawn, published, face, payload, secret, hulls))
    full = jpeg(_hidden(picture, face, Fixed(way.whole(crop), crop.masks[0]), key, hulls))
    low, high = np.maximum(seen.outline.min(0).astype(int), 0), seen.outline.max(0).astype(int) + 1
    return Trial(
        sample.points, face, picture, published, full, found[0], found[1:],
        {name: [oracles[name] for oracles, _ in told] for name in told[0][0]},
        [features for _, features in told],
        (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))),
    )  # fmt: skip


def _hidden(picture: Bytes, face: Face, method: Any, key: Key, hulls: FaceHulls) -> Frame:
    job = compose.Job(track.single([face])[0], face, method, key)
    return compose.hide(
        frame_of(picture), [job], mask_scale=geometry.MASK_SCALE, safest=method.name, hulls=hulls
    )[0]


def attacked(
    way: Way, picture: Bytes, published: Bytes, face: Face, payload: Payload, secret: Secret, hulls: FaceHulls
) -> tuple[dict[str, float], Floats]:
    """Return how likely a recovery looks to each oracle, more is likelier, and the features of its picture."""
    subject = payload.subjects[0]
    words = cipher.deciphered(subject.words, 0, subject.nonce, secret)
    shown = compose.crop_of(frame_of(published), face, mask_scale=geometry.MASK_SCALE)
    after = crop_of(picture, face, hulls)
    plain = compose.crop_of(frame_of(picture), face, mask_scale=geometry.MASK_SCALE)
    luma, inner = plain.pixels[0] @ light.LUMA, (plain.masks[0] >= 1).astype(np.uint8)
    steep = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    rim = (plain.masks[0] > 0) & (cv2.erode(inner, np.ones((9, 9), np.uint8)) == 0)
    around = surround.filled(plain.pixels[0], plain.masks[0])
    bands = [float(np.std(band[inner > 0])) for band in grain.octaves(luma)[: grain.OCTAVES]]
    assert after.looks is not None
    apart = np.abs(after.looks[0] - subject.look).sum()
    oracles = {
        "likelihood under the prior": -float(np.square(prior.dequantised(words)).sum()),
        "sharpness": bands[0],
        "seam": -float(steep[rim].mean()),
        "colours of face and surroundings": -float(np.abs(around - plain.pixels[0])[rim].mean()),
        "look": -float(apart) if np.isfinite(apart) else LEAST,
        "cycle": way.cycle(after, subject, words),
        "unlikeness to the shown face": float(np.abs(plain.pixels[0] - shown.pixels[0])[inner > 0].mean()),
    }
    small = cv2.resize(plain.pixels[0] * plain.masks[0][..., None], (12, 12), interpolation=cv2.INTER_AREA)
    values = [max(oracles[name], -1e3) for name in sorted(oracles)]
    return oracles, np.concatenate([small.ravel(), np.log(np.array(bands) + 1e-4), values]).astype(np.float32)


def likeness(judge: Recogniser, trials: Sequence[Trial], threshold: float) -> dict[str, float]:
    """Return how often a recogniser takes what for whom, at a threshold."""

    def of(pictures: Sequence[Bytes]) -> Floats:
        return judge(pictures, [one.points for one in trials])

    original, shown, right, full = (
        of([getattr(one, name) for one in trials]) for name in ("original", "shown", "right", "full")
    )
    wrong = [of([one.wrong[n] for one in trials]) for n in range(len(trials[0].wrong))]

    def share(pairs: Sequence[tuple[Floats, Floats]], *, below: bool = False) -> float:
        scores = np.concatenate([(a * b).sum(1) for a, b in pairs])
        return round(float(np.mean(scores < threshold if below else scores >= threshold)), 4)

    return {
        "threshold": round(threshold, 4),
        "right_is_original": share([(right, original)]),
        "full_is_original": share([(full, original)]),
        "right_cosine": round(float((right * original).sum(1).mean()), 3),
        "full_cosine": round(float((full * original).sum(1).mean()), 3),
        "wrong_is_not_original": share([(one, original) for one in wrong], below=True),
        "wrong_is_not_shown": share([(one, shown) for one in wrong], below=True),
        "shown_is_not_original": share([(shown, original)], below=True),
        "wrong_is_not_another_wrong": share(list(pairwise(wrong)), below=True),
    }


def ranks(told: Sequence[Mapping[str, Sequence[float]]], seed: int = 0) -> dict[str, dict[str, float]]:
    """Return by oracle the mean rank of the right passphrase, 0 the likeliest and 0.5 by chance, and the p value of
    the Kolmogorov-Smirnov test that ranks are uniform. Ties and the width of ranks are filled at random.

    told: of each face what every oracle says of its recoveries, the right one first."""
    generator = np.random.default_rng(seed)
    found = {}
    for name in told[0]:
        places = []
        for oracles in told:
            right, *wrong = oracles[name]
            better = sum(one > right for one in wrong) + generator.integers(
                1 + sum(one == right for one in wrong)
            )
            places.append((better + generator.uniform()) / (len(wrong) + 1))
        found[name] = {
            "mean_rank": round(float(np.mean(places)), 3),
            "p": float(f"{stats.kstest(places, 'uniform').pvalue:.2g}"),
        }
    return found


def told_apart(right: Floats, wrong: Floats, people: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return how well classifiers tell right from wrong on people that they were not trained on: accuracy, and by how
    many standard deviations it is above chance. right, wrong: (N, F) features. people: (N,), 0 to train on, 1 to
    test."""
    test = np.array(people) == 1
    known, unknown = (np.concatenate([right[rows], wrong[rows]]) for rows in (~test, test))
    labels, answers = (np.repeat([1, 0], rows.sum()) for rows in (~test, test))
    makers = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)),
        "boosted trees": HistGradientBoostingClassifier(max_iter=100, random_state=0),
    }
    found = {}
    for name, machine in makers.items():
        machine.fit(known, labels)
        rate = float((machine.predict(unknown) == answers).mean())
        sigma = (rate - 0.5) / (0.5 / np.sqrt(len(answers)))
        found[name] = {"accuracy": round(rate, 4), "sigma": round(float(sigma), 2), "tested": len(answers)}
    return found


def spread_out(codes: Doubles) -> Floats:
    """Return features of codes (N, D): themselves, their size, squares, and the length of the whole."""
    length = np.square(codes).sum(1, keepdims=True)
    return np.concatenate([codes, np.abs(codes), np.square(codes), length, np.log(length)], 1).astype(
        np.float32
    )


def on_codes(way: Way, sources: Mapping[str, Path], most: int | None = None) -> dict[str, Any]:
    """Return how well right codes are told from wrong ones without a picture."""
    real, drawn, persons, others, people = way.tables(sources, most)
    half = [hash_of(name) for name in people]
    better = stats.mannwhitneyu(np.square(real).sum(1), np.square(drawn).sum(1))
    return {
        "faces": len(real),
        "codes": told_apart(spread_out(real), spread_out(drawn), half),
        "persons": told_apart(spread_out(persons), spread_out(others), half),
        "likelihood_auc": round(float(1 - better.statistic / len(real) / len(drawn)), 4),
    }


def hash_of(name: str) -> int:
    """Return 0 or 1 by a name."""
    return hashlib.sha256(name.encode()).digest()[0] % 2


def pictures(trials: Sequence[Trial]) -> dict[str, float]:
    """Return how near recoveries come to the original inside the mask's box, 0..1: mean DSSIM and mean L1."""
    found: dict[str, float] = {}
    for name in ("right", "full"):
        pairs = [(getattr(one, name)[one.inner], one.original[one.inner]) for one in trials]
        found[f"{name}_dssim"] = round(float(np.mean([quality.dssim(a, b) for a, b in pairs])), 4)
        found[f"{name}_l1"] = round(float(np.mean([np.abs(a / 255 - b / 255).mean() for a, b in pairs])), 4)
    return found


def detected(trials: Sequence[Trial]) -> dict[str, float]:
    """Return in what share of the pictures a face is found where it was: of the originals, the shown, the right and a
    wrong one each."""
    searcher = Perception().searcher
    found = {}
    for name in ("original", "shown", "right", "wrong"):
        hits = 0
        for one in trials:
            picture = one.wrong[0] if name == "wrong" else getattr(one, name)
            faces = searcher.frame(frame_of(picture))
            near = [
                np.hypot(*np.subtract(face.centre, one.face.centre)) < 0.3 * one.face.size for face in faces
            ]
            hits += any(near)
        found[name] = round(hits / len(trials), 4)
    return found


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument(
        "--other", action="append", default=[], metavar="NAME=PATH", help="pictures of another kind"
    )
    parser.add_argument("--method", choices=WAYS, default="appearance-replace")
    parser.add_argument("--faces", type=int, default=120)
    parser.add_argument("--wrong", type=int, default=10)
    parser.add_argument(
        "--codes",
        type=int,
        help="held-out faces whose codes are told from drawn ones, by default all; 0: none",
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    sources = {name: Path(path) for name, _, path in (item.partition("=") for item in given.data)}
    others = {name: Path(path) for name, _, path in (item.partition("=") for item in given.other)}
    way, samples = WAYS[given.method], samples_of(sources)
    hulls, trials, unread = make_hulls(), list[Trial](), 0
    for sample in samples:
        trial = trial_of(way, sample, hulls, given.wrong)
        if trial is None:
            unread += 1
        else:
            trials.append(trial)
        if len(trials) >= given.faces:
            break
    known = [one for one in samples if one.points is not None][:700]
    known_pictures, points = [decode(one.read(), one.name) for one in known], [one.points for one in known]
    judged = {}
    for judge in make_recognisers(JUDGES, files={}):
        vectors = judge(known_pictures, points)  # type: ignore[arg-type]
        strangers = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        judged[judge.name] = likeness(judge, trials, threshold_at(strangers.astype(np.float64), RATE))
    half = [number % 2 for number in range(len(trials))]
    result = common.record() | {
        "method": given.method,
        "faces": len(trials),
        "wrong": given.wrong,
        "unread": unread,
        "judges": judged,
        "pictures": pictures(trials),
        "detected": detected(trials),
        "ranks": ranks([one.oracles for one in trials]),
        "told_apart_by_pictures": told_apart(
            np.stack([one.features[0] for one in trials]), np.stack([one.features[1] for one in trials]), half
        ),
    }
    if given.codes != 0:
        result["codes"] = on_codes(way, sources, given.codes)
        result["codes_of_others"] = {
            name: on_codes(way, {name: path}, given.codes or 400) for name, path in others.items()
        }
    text = json.dumps(result, indent=2) + "\n"
    if given.out:
        given.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
