"""What parts of the recipe of the face identity transformer are for, after the ablations of Gu, Luo, Ryoo, Lee (ECCV
2020): the network that ships is trained on, once with all of the recipe and once more without each part:

    python benchmarks/ablations.py --data LFW.zip --portraits PACK --teacher edgeface-xs=FILE --out FILE

All begin with the same weights and see the same pictures in the same order, for as many steps; critics and other
rivals begin anew. Faces are 64 px wide, so that this is a matter of hours of one core. So short a time shows which
way a part pulls, not where a network would end that never had it. ``as published`` is another network, by
``recipes/transformer-gu.toml``, from random weights. Each result is written as soon as it is there, with its commit;
those that are not named are kept as they were.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from PIL import Image

import common
import gu2020
import gu_learnt
import turning
from incog.train.loop import Run
from incog.train.recipe import Recipe
from incog.train.tasks import make_task
from incog.train.transformer_net import Network, TransformerNet
from incog.types import Bytes, Floats
from tables_ablations import PUBLISHED, WHOLE
from turning import Portraits

LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    WHOLE: {},
    "no distance between results": {"apart": [0.0, 0.0, 0.0]},
    "no wrong recoveries": {"wrong": False},
    "no predictor of the key": {"key": 0.0},
    "no recogniser for the way back": {"recognise": 0.0},
    PUBLISHED: {},
}
"""By name what the recipe's options are changed to."""

SIDE = 64
BATCH = 16
RATE = 1.5e-4
"""Learning rate of the network that is trained on: the recipe's is for batches three times as large."""

SHOWN = 8
"""Faces on a sheet."""

RECIPES = common.ROOT / "recipes"


def recipe_of(name: str) -> Recipe:
    """Return the recipe of an ablation."""
    small = {"resolutions": ((0.0, SIDE),), "batch": BATCH}
    if name == PUBLISHED:
        return replace(Recipe.load(RECIPES / "transformer-gu.toml"), **small)
    plan = Recipe.load(RECIPES / "transformer-laid.toml")
    return replace(plan, options={**plan.options, **LEFT_OUT[name]}, rate=RATE, **small)


def taught(name: str, data: Mapping[str, Path], steps: int, folder: Path) -> tuple[TransformerNet, Recipe]:
    """Return the averaged network after so many steps, whatever time they took, and its recipe."""
    plan = recipe_of(name)
    torch.manual_seed(plan.seed)
    device = torch.device("cpu")
    run = Run(plan, make_task(plan, data, device, folder / "cache"), folder, device=device)
    if name != PUBLISHED:
        run.start(RECIPES / "weights" / "transformer.npz")
    for step in range(steps):
        # Schedules follow the steps, and not the clock: a loss that is left out saves time.
        run.elapsed = plan.budget * step / steps
        losses = run.step()
        if step % 20 == 0:
            told = "  ".join(f"{key} {value:.3f}" for key, value in losses.items())
            print(f"{name}, {step} of {steps}: {told}", flush=True)
    assert isinstance(run.average, TransformerNet)
    return run.average, plan


class Turner:
    """A network that is no file yet, as ``turning.Turner``, on faces of any size."""

    def __init__(self, network: TransformerNet, options: Network) -> None:
        self._network, self._scale, self.width = network.eval(), options.size_of_a_sign, options.key

    @torch.inference_mode()
    def __call__(self, pixels: Bytes, signs: Floats, masks: Floats | None = None) -> Bytes:
        """Return (N, S, S, 3) uint8: see ``turning.Turner``."""
        result = np.empty_like(pixels)
        for start in range(0, len(pixels), BATCH):
            some = slice(start, start + BATCH)
            values = np.ascontiguousarray(pixels[some].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
            keys = torch.from_numpy(signs[some] * np.float32(self._scale))
            made = self._network(torch.from_numpy(values), keys).numpy()
            if masks is not None:
                made = values + (made - values) * masks[some, None]
            result[some] = np.rint(np.clip(made, 0, 1) * 255).transpose(0, 2, 3, 1)
        return result


def small(portraits: Portraits) -> Portraits:
    """Return the faces at the side that is trained on."""
    share = np.float32(SIDE / turning.SIDE)
    return replace(
        portraits,
        pixels=turning.shrunk(portraits.pixels, SIDE),
        points=(portraits.points + 0.5) * share - 0.5,
        dense=(portraits.dense + 0.5) * share - 0.5,
        masks=np.stack(
            [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in portraits.masks]
        ),
    )


def measured(turner: Turner, faces: Portraits, laid: bool) -> tuple[dict[str, Any], Bytes]:
    """Return what recognisers take for whom, how near the way back comes, and a sheet: I, two A, R and WR."""
    masks = faces.masks if laid else np.ones_like(faces.masks)
    turned = turning.turned_of(turner, faces.pixels, masks)
    verified = {}
    for judge in turning.judges():
        untouched = judge(faces.pixels, faces.points)
        pictures = {"a": turned.first, "b": turned.other, "r": turned.right, "wr": turned.wrong}
        stages = {name: judge(pixels, faces.points) for name, pixels in pictures.items()}
        threshold = turning.told_apart_at(untouched, faces.people)
        verified[judge.name] = gu2020.verification(untouched, stages, faces.people, threshold)
    columns = (faces.pixels, turned.first, turned.other, turned.right, turned.wrong)
    sheet = np.concatenate([np.concatenate(list(column[:SHOWN]), 1) for column in columns])
    return {
        "verification": verified,
        "right": gu_learnt.nearness(turned.right, faces.pixels, faces.people),
        "wrong": gu_learnt.nearness(turned.wrong, faces.pixels, faces.people),
    }, sheet


def main() -> None:
    """Train, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="LFW.zip")
    parser.add_argument("--portraits", type=Path, required=True, help="a file of incog.train.portraits")
    parser.add_argument("--teacher", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--faces", type=int, default=400, help="held-out faces")
    parser.add_argument("--only", action="append", choices=LEFT_OUT, help="by default all")
    parser.add_argument("--sheets", type=Path, help="folder for pictures")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = {"portraits": given.portraits}
    data |= {name: Path(path) for name, _, path in (item.partition("=") for item in given.teacher)}
    faces = small(turning.portraits_of(given.data, "test", given.faces))
    for name in given.only or LEFT_OUT:
        origin = common.record()
        network, plan = taught(name, data, given.steps, given.out.parent)
        options = plan.section("network", Network)
        found, sheet = measured(Turner(network, options), faces, plan.options.get("laid", False))
        if given.sheets:
            given.sheets.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sheet).save(given.sheets / f"{name.replace(' ', '-')}.png")
        about = {"changed": LEFT_OUT[name], "steps": given.steps, "batch": BATCH, "side": SIDE}
        result = json.loads(given.out.read_text("utf-8")) if given.out.exists() else {}
        result[name] = origin | about | {"faces": len(faces), "people": len(set(faces.people))} | found
        common.save(given.out, result)
        print(json.dumps({name: found}, indent=1), flush=True)


if __name__ == "__main__":
    main()
