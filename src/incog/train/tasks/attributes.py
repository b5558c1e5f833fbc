"""Attributes: age, gender, ethnicity and expression as pictures were labelled, with calibrated probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.data.faces import Split, gather
from incog.data.readers import read
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.perceive.attributes import CLASSES
from incog.train import augment, calibration
from incog.train.attribute_labels import (
    AGES,
    Group,
    age_figures,
    age_targets,
    class_figures,
    class_targets,
    groups,
    labels,
    margins,
    moments,
)
from incog.train.calibration import Scaling
from incog.train.loop import Batch
from incog.train.nets_attributes import LEFT, SIDE, TOP, WINDOW, AttributesNet, Network, Shipped, judged, seen
from incog.train.opinions import crosswise
from incog.train.pixels import Pixels, middle, tiled
from incog.train.recipe import Recipe
from incog.types import Bytes, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Weights of the losses and what is learnt from.

    age: cross-entropy to a Gaussian of ``spread`` years, and ``years`` times the error of the mean in years.
    gender, ethnicity, expression: cross-entropy. smoothing: of the labels.
    distil: 1 - cosine of a linear map of the features to the data's teacher embedding. opinions: share that what
    classifiers over these embeddings say has in the targets of age, gender and ethnicity, and its weight where a label
    is missing. With both 0 there is no teacher.
    repeat: draws per epoch of a picture whose expression is known; rare: of one that is neither neutral nor happiness.
    strength: of the augmentation, which weakens from ``fade`` of the budget on, so that the network ends on pictures as
    they are. measured: the source whose held-out pictures measure age, gender and ethnicity.
    """

    age: float = 0.4
    spread: float = 3.0
    years: float = 0.05
    gender: float = 1.0
    ethnicity: float = 1.0
    expression: float = 2.0
    smoothing: float = 0.05
    distil: float = 1.0
    opinions: float = 0.0
    repeat: int = 1
    rare: int = 4
    strength: float = 0.8
    fade: float = 0.6
    measured: str = "utkface"


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a network says of some faces. rows: (N,) int64. logits: of ``age`` (N, 101) and ``CLASSES`` (N, K)."""

    rows: Integers
    logits: Mapping[str, Floats]


class Attributes:
    """The task: see ``incog.train.loop.Task``."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        self.side = recipe.resolutions[-1][1]
        self.faces = gather(read(data), name=recipe.template, size=recipe.size, cache=cache)
        self.labels = labels(self.faces)
        train = self.faces.rows("train").astype(np.int64)
        expression = self.labels.classes["expression"][train]
        rare = expression == CLASSES["expression"].index("other")
        times = np.where(expression < 0, 1, np.where(rare, self.options.rare, self.options.repeat))
        self.rows = np.repeat(train, times)
        self.items = len(self.rows)
        self.pixels = Pixels(self.faces.pixels, device)
        self.dev, self.test = (self._held(part) for part in ("dev", "test"))
        self.years = torch.from_numpy(self.labels.years).to(device)
        self.targets = {
            name: torch.from_numpy(codes).to(device) for name, codes in self.labels.classes.items()
        }
        network = recipe.section("network", Network)
        self.modules = nn.ModuleDict({"network": AttributesNet(network)})
        self.teacher = self._teacher()
        if self.teacher is not None and self.options.distil > 0:
            self.modules["teacher"] = nn.Linear(network.widths[-1], self.teacher.shape[1])
        self.targets, self.weights = self._targets(train)

    def _held(self, part: Split) -> Integers:
        rows = self.faces.rows(part).astype(np.int64)
        for name in ("age", *CLASSES):
            if not len(self._known(name, rows)):
                raise InputError(f"no {part} face of {self.options.measured} or LFW has a label of {name}")
        return rows

    def _known(self, name: str, rows: Integers) -> Integers:
        """Return the rows that measure an attribute: labelled, and of the source that stands for it."""
        values = self.labels.years if name == "age" else self.labels.classes[name]
        any_source = name == "expression"
        return rows[
            [
                values[row] >= 0 and (any_source or self.faces.sources[row] == self.options.measured)
                for row in rows
            ]
        ]

    def _teacher(self) -> Tensor | None:
        if self.options.distil <= 0 and self.options.opinions <= 0:
            return None
        if self.faces.embeddings is None:
            raise InputError("the data holds no teacher embeddings", hint="set distil = 0 and opinions = 0")
        return torch.from_numpy(self.faces.embeddings).to(self.device)

    def _targets(self, train: Integers) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what each face is taught, (N, K) by name, and how much that weighs, (N,)."""
        targets = {"age": age_targets(self.labels.years, self.options.spread)}
        targets |= {
            name: class_targets(self.labels.classes[name], name, self.options.smoothing) for name in CLASSES
        }
        known = {"age": self.labels.years >= 0}
        known |= {name: codes >= 0 for name, codes in self.labels.classes.items()}
        weights = {name: mask.astype(np.float32) for name, mask in known.items()}
        share = self.options.opinions
        if share > 0 and self.faces.embeddings is not None:
            embeddings = self.faces.embeddings.astype(np.float32)
            rows = train[~np.isnan(embeddings[train]).any(1)]
            told = ("age", "gender", "ethnicity")
            given = {name: (targets[name][rows], known[name][rows].astype(np.int64)) for name in told}
            for name, said in crosswise(embeddings[rows], given, seed=self.recipe.seed).items():
                keep = np.where(known[name][rows], 1 - share, 0).astype(np.float32)[:, None]
                targets[name][rows] = keep * targets[name][rows] + (1 - keep) * said
                weights[name][rows] = np.maximum(weights[name][rows], share)
        return tuple(  # type: ignore[return-value]
            {name: torch.from_numpy(values).to(self.device) for name, values in table.items()}
            for table in (targets, weights)
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        options, rows = self.options, self.rows[batch.items]
        index = torch.from_numpy(rows).to(self.device)
        images = self._augmented(rows, batch)
        with batch.quick:
            features, *logits = self.modules["network"](images.contiguous(memory_format=torch.channels_last))
        result: dict[str, Tensor] = {}
        for name, values in zip(("age", *CLASSES), logits, strict=True):
            entropy = -(self.targets[name][index] * functional.log_softmax(values.float(), 1)).sum(1)
            # Over all faces, so that a batch with few labels weighs little.
            result[name] = getattr(options, name) * (entropy * self.weights[name][index]).mean()
        scale = torch.arange(AGES, device=self.device, dtype=torch.float32)
        years = self.years[index]
        error = ((functional.softmax(logits[0].float(), 1) * scale).sum(1) - years).abs()
        result["years"] = options.years * torch.where(years >= 0, error, 0.0).mean()
        if "teacher" in self.modules and self.teacher is not None:
            target = self.teacher[index].float()
            cosine = functional.cosine_similarity(self.modules["teacher"](features.float()), target)
            result["distil"] = options.distil * torch.where(cosine.isnan(), 0.0, 1 - cosine).mean()
        return result

    def _augmented(self, rows: Integers, batch: Batch) -> Tensor:
        draws = batch.uniform(24)
        matrices = augment.turned(draws[:, 0:4], degrees=8, zoom=(0.96, 1.12), shift=0.05)
        # From half sides of the window to those of the stored picture, about the window's middle.
        matrices *= WINDOW / self.recipe.size
        matrices[:, 0, 2] += (2 * LEFT + WINDOW - SIDE) / self.recipe.size
        matrices[:, 1, 2] += (2 * TOP + WINDOW - SIDE) / self.recipe.size
        images = augment.warp(self.pixels.take(rows), matrices, batch.resolution)
        images = augment.mirror(images, draws[:, 4])
        left = 1 - 0.7 * max(0.0, batch.progress - self.options.fade) / max(1 - self.options.fade, 1e-9)
        images = augment.colour(images, draws[:, 5:13], strength=self.options.strength * left)
        images = augment.coarse(images, draws[:, 13:15], share=0.25 * left, least=0.25)
        return augment.erase(images, draws[:, 15:23], share=0.2 * left, most=0.35)

    @torch.no_grad()
    def look(self, network: nn.Module, rows: Integers) -> Held:
        """Return what the network says of these rows."""
        network.eval()
        parts = []
        for chunk in np.array_split(rows, max(1, len(rows) // 256)):
            images = seen(middle(self.pixels.take(chunk), SIDE), self.side)
            parts.append([values.float().cpu().numpy() for values in judged(network, images)])
        columns = (np.concatenate(values) for values in zip(*parts, strict=True))
        return Held(rows, dict(zip(("age", *CLASSES), columns, strict=True)))

    def scalings(self, network: nn.Module) -> dict[str, Scaling]:
        """Return the temperature of each head, and for the expression the shift, that fit the dev faces."""
        held = self.look(network, self.dev)
        result = {}
        for name, logits in held.logits.items():
            known = np.isin(held.rows, self._known(name, held.rows))
            truth = self._truth(name, held.rows[known]).astype(np.int64)
            result[name] = calibration.fit(logits[known], truth, bias=name == "expression")
        return result

    def _truth(self, name: str, rows: Integers) -> Integers | Floats:
        return self.labels.years[rows] if name == "age" else self.labels.classes[name][rows]

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Errors and calibration on test faces, whole and by group; temperatures are fitted to the dev faces."""
        scalings = self.scalings(network)
        held = self.look(network, self.test)
        figures: dict[str, float] = {}
        for name, logits in held.logits.items():
            known = np.isin(held.rows, self._known(name, held.rows))
            shares, rows = scalings[name](logits[known]), held.rows[known]
            if name == "age":
                figures |= age_figures(*moments(shares), self.labels.years[rows])
            else:
                dev = self.labels.classes[name][self._known(name, self.dev)]
                prior = (np.bincount(dev, minlength=len(CLASSES[name])) + 1).astype(np.float32)
                figures |= class_figures(name, shares, self.labels.classes[name][rows], prior / prior.sum())
            figures[f"{name}_temperature"] = scalings[name].temperature
        return figures | margins(self._groups(held, scalings))

    def groups(self, network: nn.Module) -> list[Group]:
        """Return errors on test faces by age group, gender and ethnicity together."""
        return self._groups(self.look(network, self.test), self.scalings(network))

    def _groups(self, held: Held, scalings: Mapping[str, Scaling]) -> list[Group]:
        known = np.isin(held.rows, self._known("age", held.rows))
        for name in ("gender", "ethnicity"):
            known &= np.isin(held.rows, self._known(name, held.rows))
        years, _ = moments(scalings["age"](held.logits["age"][known]))
        chosen = {name: held.logits[name][known].argmax(1) for name in ("gender", "ethnicity")}
        return groups(years, chosen, self.labels.of(held.rows[known]))

    def sheet(self, network: nn.Module) -> Bytes:
        """Thirty-two test faces, each with what the network says of it and, after the slash, how it was labelled."""
        rows = self.test[:: max(1, len(self.test) // 32)][:32]
        scalings, held = self.scalings(network), self.look(network, rows)
        shares = {name: scalings[name](logits) for name, logits in held.logits.items()}
        years, _ = moments(shares["age"])
        crops = middle(self.pixels.take(rows), SIDE).cpu()
        pictures = (crops.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        tiles = []
        for number, row in enumerate(rows):
            old = self.labels.years[row]
            lines = [f"age {years[number]:.0f}" + (f" / {old:.0f}" if old >= 0 else "")]
            for name, kinds in CLASSES.items():
                likely, code = shares[name][number], self.labels.classes[name][row]
                said = f"{kinds[int(likely.argmax())]} {likely.max():.2f}"
                lines.append(said + (f" / {kinds[code]}" if code >= 0 else ""))
            tiles.append(captioned(pictures[number], lines))
        return tiled(torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2) / 255, 8)

    def example(self) -> Tensor:
        return middle(self.pixels.take(self.test[:8]), SIDE) * 255

    def shipped(self, network: nn.Module) -> nn.Module:
        return Shipped(network, self.scalings(network), self.side)

    def card(self) -> dict[str, Any]:
        names = dict.fromkeys(self.faces.sources)
        return {
            "output_names": ["age", "spread", *CLASSES],
            "inputs": "(B, 3, 112, 112) float32, RGB 0..255, aligned by five points to the ArcFace template",
            "outputs": "age (B,) and spread (B,) in years, "
            + ", ".join(f"{name} (B, {len(kinds)}: {', '.join(kinds)})" for name, kinds in CLASSES.items())
            + "; float32, the last three are probabilities",
            "data": {name: self.faces.sources.count(name) for name in names},
        }


def captioned(picture: Bytes, lines: list[str]) -> Bytes:
    """Return the picture, (H, W, 3) uint8, over lines of small print."""
    height, width = picture.shape[:2]
    tile = np.full((height + 4 + 11 * len(lines), width, 3), 255, np.uint8)
    tile[:height] = picture
    for number, text in enumerate(lines):
        place = (2, height + 11 + 11 * number)
        cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.31, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
