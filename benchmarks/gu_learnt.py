"""Networks that learn to undo the face identity transformer without a key, or to read the key, and the same for plain
obfuscation: a part of ``benchmarks/gu2020.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import turning
from incog.evaluate import quality
from incog.evaluate.intervals import clopper_pearson, mean_over_people
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.supplied import Lpips
from incog.evaluate.unet import learn_unet
from incog.keys import Secret, derive
from incog.methods import make
from incog.points import OUTLINE
from incog.train import keyed
from incog.train.transformer_net import KeyPredictor
from incog.types import Bytes, Crops, Floats
from turning import SIDE, Portraits, Turner

OBFUSCATIONS = ("superpixel", "edges", "blur", "gaussian-noise", "blackout")
"""Ours that come nearest to those of the paper, with their default settings, over the whole face."""

LOW = 64
"""Side of the pictures that U-Nets learn on, px."""

BATCH = 32
RATE = 1e-3


def obfuscated(name: str, portraits: Portraits) -> Bytes:
    """Return the pictures as a method shows them, (N, 128, 128, 3) uint8. Each face has a key of its own."""
    method = make(name, {})
    result = np.empty_like(portraits.pixels)
    for row, dense in enumerate(portraits.dense):
        crops = Crops(
            portraits.pixels[row : row + 1].astype(np.float32) / np.float32(255),
            keyed.painted(dense[None], SIDE).astype(np.float32) / np.float32(255),
            np.eye(2, 3, dtype=np.float32)[None],
            np.ptp(dense[OUTLINE], axis=0).max(keepdims=True).astype(np.float32),
            portraits.points[row : row + 1],
            np.zeros(1, np.int64),
            dense[None],
        )
        rendered = method(crops, [derive(Secret.from_seed(row), "benchmark")])
        result[row] = np.rint(rendered.pixels[0] * 255)
    return result


def nearness(
    found: Bytes, originals: Bytes, people: Sequence[str], lpips: Lpips | None = None
) -> dict[str, Any]:
    """Return mean DSSIM, L1 and L2 between pictures (N, S, S, 3), values 0..1, and LPIPS where there is a network."""
    measures = {"dssim": quality.dssim, "l1": quality.l1, "l2": quality.l2}
    if lpips is not None:
        measures["lpips"] = lpips
    return {
        name: turning.said(
            mean_over_people(np.array([measure(a, b) for a, b in zip(found, originals, strict=True)]), people)
        )
        for name, measure in measures.items()
    }


def recognised(
    judge: Recogniser,
    found: Bytes,
    untouched: Floats,
    points: Floats,
    people: Sequence[str],
    threshold: float,
) -> dict[str, Any]:
    """Return how often a recogniser takes pictures for the originals, whose embeddings are ``untouched``."""
    alike = turning.cosines(judge(found, points), untouched)
    figure = mean_over_people((alike > threshold).astype(np.float64), people, hits=True)
    return turning.said(figure) | {"cosine": round(float(alike.mean()), 4)}


def read_keys(
    before: Bytes,
    after: Bytes,
    keys: Floats,
    tested: tuple[Bytes, Bytes, Floats],
    *,
    rounds: int,
    seed: int = 0,
) -> Floats:
    """Return whether each sign is read rightly, (M, K) of 0 and 1, by a network that learnt to tell keys (N, K) from
    two pictures each, (N, 128, 128, 3). tested: two pictures and the keys of other people. With A for both pictures it
    sees A alone."""
    random = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = KeyPredictor(32, keys.shape[1])
        optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
        steps = rounds * max(1, len(keys) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(rounds):
            for rows in np.array_split(random.permutation(len(keys)), max(1, len(keys) // BATCH)):
                answer = network(_tensor(before[rows]), _tensor(after[rows]))
                loss = keyed.misread(answer, torch.from_numpy(keys[rows]), chunks=False)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    one, two, truth = tested
    network.eval()
    with torch.inference_mode():
        told = [
            network(_tensor(one[rows]), _tensor(two[rows])).numpy()
            for rows in np.array_split(np.arange(len(truth)), max(1, len(truth) // BATCH))
        ]
    return ((np.concatenate(told) > 0) == (truth > 0)).astype(np.float32)


def _tensor(pixels: Bytes) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


def readings(right: Floats, people: Sequence[str]) -> dict[str, Any]:
    """Return the share of signs that were read rightly, with its interval, and the best sign's, with an interval that
    allows for its being the best of all. right: (M, K) of 0 and 1."""
    hits = right.sum(0)
    best = int(hits.argmax())
    low, high = clopper_pearson(int(hits[best]), len(right), level=1 - 0.05 / right.shape[1])
    return {
        "signs": turning.said(mean_over_people(right.mean(1), people)),
        "best": {
            "value": round(float(hits[best] / len(right)), 4),
            "low": round(low, 4),
            "high": round(high, 4),
        },
    }


def part(turner: Turner, given: argparse.Namespace) -> dict[str, Any]:
    """Return the recoveries and the readings."""
    known = turning.portraits_of(given.data, "train", given.train, whole=given.whole)
    test = turning.portraits_of(given.data, "test", given.faces, whole=given.whole)
    keys = turning.signs_of(7, len(known), turner.width)
    learnt_from = turner(known.pixels, keys, known.masks)
    turned = turning.turned_of(turner, test.pixels, test.masks)
    judge = turning.judges()[0]
    high = judge(test.pixels, test.points)
    goal, points = turning.shrunk(test.pixels, LOW), (test.points + 0.5) * np.float32(LOW / SIDE) - 0.5
    low = judge(goal, points)
    limits = {LOW: turning.told_apart_at(low, test.people), SIDE: turning.told_apart_at(high, test.people)}

    def row(found: Bytes) -> dict[str, Any]:
        small = found.shape[1] == LOW
        return nearness(found, goal if small else test.pixels, test.people, given.lpips) | {
            "recognised": recognised(
                judge, found, low if small else high, points if small else test.points, test.people,
                limits[found.shape[1]],
            )
        }  # fmt: skip

    after = turner(turning.jpeg(turned.first), -turned.keys, turning.covers(test.masks))
    full = {"right": turned.right, "right after JPEG": after, "wrong": turned.wrong, "none": turned.first}
    result: dict[str, Any] = {
        "faces": len(test),
        "people": len(set(test.people)),
        "train": len(known),
        "steps": given.steps,
        "full": {name: row(pixels) for name, pixels in full.items()},
        "low": {"negative key": {"learnt": row(turning.shrunk(turned.right, LOW))}},
    }
    originals = turning.shrunk(known.pixels, LOW)
    for name in ("transformer", *OBFUSCATIONS):
        hidden, tested = learnt_from, turned.first
        if name != "transformer":
            hidden, tested = obfuscated(name, known), obfuscated(name, test)
        seen = turning.shrunk(tested, LOW)
        undo = learn_unet(turning.shrunk(hidden, LOW), originals, people=known.people, steps=given.steps)
        result["low"][name] = {"as it is": row(seen), "learnt": row(undo(seen))}
    for name, before, first in (
        ("A alone", learnt_from, turned.first),
        ("I and A", known.pixels, test.pixels),
    ):
        tested_on = (first, turned.first, turned.keys)
        right = read_keys(before, learnt_from, keys, tested_on, rounds=given.rounds)
        result.setdefault("readings", {})[name] = readings(right, test.people)
    return result | {"rounds": given.rounds}
