"""What the face identity transformer brings back of pictures and films, and how often a wrong key does so too:
``python benchmarks/transformer.py --data NAME=PATH --out benchmarks/results/transformer.json``.

Faces of held-out people go through hiding and restoring, without loss and through JPEG, under the right key and under
random ones. Thresholds are those at which one in a thousand pairs of pictures of different people is accepted. Films
are two pictures in the public domain, under a camera that moves, coded as H.264 as incog does by default.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import av
import cv2
import numpy as np
from matplotlib import cbook
from PIL import Image
from skimage import data

import common
import deniable as codes
from incog import compose, geometry, pipeline, track
from incog.colour import rgb8
from incog.data.faces import Sample, decode
from incog.deniable import files, restoring, turning
from incog.deniable.payload import KEYS, Payload
from incog.deniable.turning import KeyHider
from incog.evaluate import quality
from incog.evaluate.recognisers import make_recognisers
from incog.evaluate.samples import frame_of
from incog.evaluate.verification import threshold_at
from incog.keys import Secret, derive
from incog.media import open_source
from incog.methods import transformer
from incog.methods.transformer import Transformer
from incog.perceive.hulls import FaceHulls, make_hulls
from incog.perceive.recogniser import around_points
from incog.pipeline import Options, Perception
from incog.types import Bytes, Face, Floats

FRAMES = 24


def trial_of(sample: Sample, hulls: FaceHulls, wrong: int) -> codes.Trial | None:
    """Return what becomes of a face: ``right`` is what comes back through JPEG, ``full`` what does without loss, and
    ``wrong`` are of the same file as ``full``. None where the face cannot be turned."""
    picture = decode(sample.read(), sample.name)
    assert sample.points is not None
    face = around_points(Face((0, 0, 0, 0), points=sample.points))
    key = derive(Secret.fresh(), "benchmark")
    hider = KeyHider(Transformer(), {1: 1}, codes.CHEAP, {key: 1})
    (seen,) = hulls(frame_of(picture), [face], geometry.MASK_SCALE)
    frame, job = frame_of(picture), compose.Job(track.single([face])[0], face, hider, key)
    drawn, unfit = compose.draw(frame, [job], [seen])
    if unfit:
        return None
    laid = compose.lay(frame, drawn)
    hider.witness(frame, laid, drawn)
    shown = np.asarray(laid.planes[0], np.uint8)
    payload = hider.payload(1, lambda number, index: False)
    secret = codes.cipher.secret_of(codes.CHEAP.passphrase, payload.salt, codes.CHEAP.cost)
    secrets = [secret, *(Secret.fresh() for _ in range(wrong))]
    back = [restored(payload, one, shown) for one in secrets]
    told = [oracles(payload, one, shown, picture) for one, picture in zip(secrets, back, strict=True)]
    low, high = np.maximum(seen.outline.min(0).astype(int), 0), seen.outline.max(0).astype(int) + 1
    return codes.Trial(
        sample.points, face, picture, shown, back[0], restored(payload, secret, codes.jpeg(laid)), back[1:],
        {name: [one[name] for one in told] for name in told[0]}, [],
        (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))),
    )  # fmt: skip


def restored(payload: Payload, secret: Secret, published: Bytes) -> Bytes:
    """Return what a secret brings back of a published picture."""
    redrawing = restoring.Redrawing(payload, restoring.draws(payload, secret))
    return np.asarray(redrawing(frame_of(published)).planes[0], np.uint8)


def oracles(payload: Payload, secret: Secret, shown: Bytes, back: Bytes) -> dict[str, float]:
    """Return by how it looks how likely a recovery is: more is likelier."""
    (seen,) = payload.faces
    signs = turning.signs(0, payload.subjects[0].nonce, secret)
    before, after = (_face(picture, seen.matrix) for picture in (shown, back))
    inside = geometry.mask([geometry.apply(seen.matrix, seen.outline)], (0, 0, len(after), len(after)), 0) > 0
    luma = after @ np.array([0.299, 0.587, 0.114], np.float32)
    fine = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.0))[inside].mean()
    again = transformer.shipped()(after, signs)
    colours = np.abs(after - cv2.GaussianBlur(after, (0, 0), 4.0)) @ np.array([1, -2, 1], np.float32)
    return {
        "few stripes": -float(fine),
        "cycle": -float(np.abs(again - before)[inside].mean()),
        "few colours": -float(np.abs(colours)[inside].mean()),
    }


def _face(picture: Bytes, matrix: Floats) -> Floats:
    return transformer.taken(picture.astype(np.float32) / 255, matrix, transformer.SIDE)


def renamed(found: dict[str, Any]) -> dict[str, Any]:
    """Return figures by what came back through what."""
    names = {"full": "lossless", "right": "jpeg"}
    return {
        "_".join(names.get(word, word) for word in name.split("_")): value for name, value in found.items()
    }


def film(picture: Bytes, path: Path) -> None:
    """Write a film of a picture (H, W, 3) uint8 under a camera that moves and nears."""
    side = min(picture.shape[:2]) - 80
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 400
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "12"}
        for number in range(FRAMES):
            edge = side - 1.5 * number
            box = (10 + 1.3 * number, 5 + 0.7 * number, 10 + 1.3 * number + edge, 5 + 0.7 * number + edge)
            view = Image.fromarray(picture).resize((400, 400), Image.Resampling.BICUBIC, box)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(view), "rgb24")))
        container.mux(stream.encode(None))


def filmed(picture: Bytes, perception: Perception, *, averaged: bool) -> dict[str, float]:
    """Return how near a film comes back, in the box of the mask: mean L1 and DSSIM over its frames."""
    mode = KEYS.__class__(KEYS.number, KEYS.networks, averaged)
    options = Options(deniable=codes.CHEAP, compare=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(KeyHider, "mode", mode),
    ):
        source, target, back = (Path(folder) / name for name in ("a.mp4", "b.mp4", "c.mp4"))
        film(picture, source)
        pipeline.hide(source, target, Transformer(), Secret.fresh(), perception, options=options)
        carried = files.find(target)
        assert carried is not None
        restoring.restore(carried, codes.CHEAP.passphrase, back)
        first, second = ([rgb8(one) for one in open_source(path).frames()] for path in (source, back))
        length = len(carried.data)
    far, unlike = [], []
    for seen in carried.payload.faces:
        low = np.maximum(seen.outline.min(0).astype(int), 0)
        high = seen.outline.max(0).astype(int) + 1
        part = (slice(low[1], high[1]), slice(low[0], high[0]))
        one, other = first[seen.frame][part], second[seen.frame][part]
        far.append(np.abs(one / 255 - other / 255).mean())
        unlike.append(quality.dssim(one, other))
    return {
        "l1": round(float(np.mean(far)), 4),
        "dssim": round(float(np.mean(unlike)), 4),
        "faces": len(far),
        "carried_bytes": length,
    }


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--faces", type=int, default=40)
    parser.add_argument("--wrong", type=int, default=16)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    samples = codes.samples_of(
        {name: Path(path) for name, _, path in (item.partition("=") for item in given.data)}
    )
    hulls = make_hulls()
    tried = [trial_of(sample, hulls, given.wrong) for sample in samples[: given.faces]]
    trials = [one for one in tried if one is not None]
    known = samples[:700]
    pictures, points = [decode(one.read(), one.name) for one in known], [one.points for one in known]
    judged = {}
    for judge in make_recognisers(codes.JUDGES, files={}):
        vectors = judge(pictures, points)  # type: ignore[arg-type]
        strangers = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        threshold = threshold_at(strangers.astype(np.float64), codes.RATE)
        judged[judge.name] = renamed(codes.likeness(judge, trials, threshold))
    admiral = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    perception, films = Perception(), {}
    for name, picture in (("collins", data.astronaut()), ("hopper", np.asarray(admiral))):
        films[name] = {
            words: filmed(picture, perception, averaged=averaged)
            for words, averaged in (("as_drawn", False), ("averaged", True))
        }
    network, face = transformer.shipped(), np.zeros((transformer.SIDE, transformer.SIDE, 3), np.float32)
    runs = []
    for _ in range(40):
        began = time.process_time()
        network(face, np.ones(transformer.SIGNS, np.float32))
        runs.append(time.process_time() - began)
    result = common.record() | {
        "faces": len(trials),
        "wrong": given.wrong,
        "unfit": len(tried) - len(trials),
        "judges": judged,
        "pictures": renamed(codes.pictures(trials)),
        "detected": renamed(codes.detected(trials)),
        "ranks": codes.ranks([one.oracles for one in trials]),
        "films": films,
        "seconds_per_run": round(min(runs), 4),
    }
    if given.out:
        common.save(given.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
