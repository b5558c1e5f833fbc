"""Embedder: a small face recogniser that learns the embedding of a large one, and who is who."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.data.faces import gather
from incog.data.readers import read
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.evaluate import verification
from incog.train import augment
from incog.train.loop import Batch
from incog.train.mixes import Mixes, embed, mixed
from incog.train.nets import Places, Trunk
from incog.train.pixels import Pixels, middle, tiled
from incog.train.recipe import Recipe
from incog.types import Bytes, Floats

SIDE = 112

FOLDABLE = 100
"""People with several pictures from which a cross-validated accuracy is told."""

SAME = 0.9
"""Mean cosine from which two sets of embeddings are one teacher's: crops are cut anew, so that it is not 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """widths, blocks: of the stages. dimensions: of the embedding; the teacher's where it is distilled directly.
    pooling: ``places`` (a weight for every place) or ``mean``.
    """

    widths: tuple[int, ...] = (48, 96, 192)
    blocks: tuple[int, ...] = (2, 2, 1)
    dimensions: int = 512
    pooling: str = "places"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Weights of the losses and what is learnt from.

    distil: 1 - cosine to the teacher's embedding. relation: squared difference of the cosines within the batch; beside
    ``distil`` it only drowns it.
    identity: CosFace (Wang et al. 2018) over the training people, of this margin and scale.
    mixes: how many views and blends of training people the teacher labels in addition. repeat: draws per epoch of
    pictures whose person is known. relabel: let the teacher embed all faces anew instead of trusting the data's.
    hint: weight of the squared difference to what the teacher has inside of it, in its tensors ``hints``, that the
    last stage must tell place by place (Romero et al., FitNets, 2015); of the mixes only. within: what pictures of one
    training person differ by is damped in the file that ships (within-class covariance normalisation, Hatch et al.
    2006), with so many times the mean variance added to each direction; the less, the stronger. 0: not at all.
    """

    distil: float = 1.0
    relation: float = 0.0
    identity: float = 0.02
    margin: float = 0.2
    scale: float = 32.0
    mixes: int = 0
    repeat: int = 2
    relabel: bool = False
    hint: float = 0.0
    within: float = 3.0
    hints: tuple[str, ...] = ()


class EmbedderNet(nn.Module):
    """(B, 3, 112, 112) R'G'B' in 0..1 -> (B, D), not yet of unit norm, and the last stage's maps (B, C, 7, 7)."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        self.trunk = Trunk(options.widths, options.blocks)
        width, side = options.widths[-1], SIDE // 4 // 2 ** (len(options.widths) - 1)
        pool: nn.Module = Places(width, side)
        if options.pooling == "mean":
            pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(
            pool,
            nn.BatchNorm1d(width),
            nn.Linear(width, options.dimensions),
            nn.BatchNorm1d(options.dimensions),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps: Tensor = self.trunk(x * 2 - 1)
        return self.head(maps), maps


class Shipped(nn.Module):
    """(B, 3, 112, 112) RGB in -1..1, as recognisers of this family take it -> (B, D) of unit norm.

    It is the mean over the face and its mirror image, in which what tells pictures of one person apart is damped.
    """

    def __init__(self, network: nn.Module, dimensions: int) -> None:
        super().__init__()
        self.network = network
        self.mean = nn.Parameter(torch.zeros(dimensions), requires_grad=False)
        self.damping = nn.Parameter(torch.eye(dimensions), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return unit((self.seen((x + 1) * 0.5) - self.mean) @ self.damping)

    def seen(self, x: Tensor) -> Tensor:
        """Return the mean embedding of faces in 0..1 and their mirror images, (B, D) of unit norm."""
        both = torch.stack([x, x.flip(3)], 1).flatten(0, 1)
        rows = unit(self.network(both)[0])
        return unit(rows.reshape(-1, 2, rows.shape[1]).sum(1))

    def damp(self, rows: Floats, people: Integers, share: float) -> None:
        """Learn the damping from what ``seen`` says (N, D) of pictures of ``people`` (N,). share: see ``Options``."""
        _, codes, counts = np.unique(people, return_inverse=True, return_counts=True)
        centres = np.zeros((len(counts), rows.shape[1]))
        np.add.at(centres, codes, rows)
        inner = rows - (centres / counts[:, None])[codes]
        values, vectors = np.linalg.eigh(inner.T @ inner / len(inner))
        # Relative to the mean, so that the damping neither shrinks nor stretches as a whole.
        damping = (vectors / np.sqrt((values / values.mean() + share) / (1 + share))) @ vectors.T
        self.mean.copy_(torch.from_numpy(rows.mean(0)))
        self.damping.copy_(torch.from_numpy(damping.astype(np.float32)))


def unit(rows: Tensor) -> Tensor:
    """Return rows (N, D) at length 1."""
    return rows / rows.square().sum(1, keepdim=True).add(1e-12).sqrt()


class Embedder:
    """The task: see ``incog.train.loop.Task``."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        network = recipe.section("network", Network)
        self.faces = gather(
            read({name: path for name, path in data.items() if name != "teacher"}),
            name=recipe.template,
            size=recipe.size,
            cache=cache,
        )
        teacher = data.get("teacher")
        targets = self._targets(teacher)
        train = self.faces.rows("train")
        known = np.array([self.faces.identities[row] != "" for row in train])
        self.rows = np.concatenate([train, *[train[known]] * (self.options.repeat - 1)]).astype(np.int64)
        hints = self.options.hints if self.options.hint > 0 else ()
        extra = mixed(
            self.faces,
            self.rows,
            self.options.mixes,
            seed=recipe.seed,
            teacher=teacher,
            hints=hints,
            cache=cache,
        )
        if len(extra) and not self.options.relabel:
            self._check(teacher, targets)
        if not len(extra):
            extra = Mixes(extra.pixels, targets[:0], [])
        self.pixels = Pixels(self.faces.pixels, device, extra.pixels)
        self.hints = extra.hints
        self.items = len(self.rows) + len(extra)
        self.targets = torch.from_numpy(np.concatenate([targets, extra.embeddings])).to(device)
        people = sorted({self.faces.identities[row] for row in train} - {""})
        codes = {person: code for code, person in enumerate(people)}
        self.people = torch.tensor(
            [codes.get(identity, -1) for identity in self.faces.identities] + [-1] * len(extra), device=device
        )
        self.modules = nn.ModuleDict({"network": EmbedderNet(network)})
        for number, hint in enumerate(self.hints):
            self.modules[f"hint{number}"] = nn.Conv2d(network.widths[-1], hint.shape[1], 1)
        if self.options.identity > 0 and people:
            self.modules["people"] = nn.Linear(network.dimensions, len(people), bias=False)
            if targets.shape[1] == network.dimensions:
                self._start_at_means(train, codes, targets)
        self.dev, self.test = (self.faces.rows(part, sources=self._named()) for part in ("dev", "test"))
        if not len(self.test):
            raise InputError("the data names no people, so verification cannot be measured")

    def _targets(self, teacher: Path | None) -> Floats:
        if self.options.relabel or self.faces.embeddings is None:
            if teacher is None:
                raise InputError(
                    "the data holds no teacher embeddings", hint="give one: --data teacher=FILE.onnx"
                )
            return embed(teacher, self.faces.pixels)
        targets = self.faces.embeddings.astype(np.float32)
        if np.isnan(targets).any():
            raise InputError(
                "some faces have no teacher embedding", hint="give --data teacher=FILE.onnx and set relabel"
            )
        return targets

    def _check(self, teacher: Path | None, targets: Floats) -> None:
        """Raise InputError when the data's embeddings are not those of the teacher that labels the mixes."""
        rows = np.linspace(0, len(targets) - 1, min(len(targets), 32)).astype(np.int64)
        assert teacher is not None
        said = embed(teacher, self.faces.pixels[rows])
        alike = said.shape == targets[rows].shape and float((said * targets[rows]).sum(1).mean()) > SAME
        if not alike:
            raise InputError(
                f"the data's embeddings are not those of {teacher.name}",
                hint="set relabel, or give their teacher",
            )

    def _named(self) -> list[str]:
        pairs = zip(self.faces.sources, self.faces.identities, strict=True)
        return sorted({source for source, identity in pairs if identity})

    def _start_at_means(self, train: Integers, codes: Mapping[str, int], targets: Floats) -> None:
        means = np.zeros((len(codes), targets.shape[1]), np.float32)
        for row in train:
            if self.faces.identities[row]:
                means[codes[self.faces.identities[row]]] += targets[row]
        weight = self.modules["people"].weight
        assert isinstance(weight, Tensor)
        weight.data.copy_(functional.normalize(torch.from_numpy(means)))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        options, blended = self.options, batch.items >= len(self.rows)
        # In the order of ``pixels`` and ``targets``: all faces, then the mixes.
        rows = batch.items - len(self.rows) + len(self.faces)
        rows[~blended] = self.rows[batch.items[~blended]]
        index, places = torch.from_numpy(rows).to(self.device), torch.from_numpy(blended).to(self.device)
        images = self.pixels.take(rows)
        draws = batch.uniform(32)
        # The middle of what can be drawn: the teacher has seen the mixes as they are.
        draws[places, 0:5] = 0.5
        matrices = augment.turned(draws[:, 0:4], degrees=4, zoom=(0.95, 1.05), shift=0.03)
        matrices[:, :, :2] *= SIDE / self.recipe.size
        images = augment.warp(images, matrices, batch.resolution)
        images = augment.mirror(images, draws[:, 4])
        images = augment.colour(images, draws[:, 5:13], strength=0.4)
        images = augment.coarse(images, draws[:, 13:15], share=0.2 * batch.progress, least=0.3)
        images = augment.erase(images, draws[:, 15:23], share=0.1, most=0.3)
        with batch.quick:
            raw, maps = self.modules["network"](images.contiguous(memory_format=torch.channels_last))
        mine, target = functional.normalize(raw.float()), self.targets[index]
        result: dict[str, Tensor] = {}
        if options.distil > 0:
            result["distil"] = options.distil * (1 - (mine * target).sum(1)).mean()
        if options.relation > 0:
            result["relation"] = options.relation * (mine @ mine.T - target @ target.T).square().mean() * 10
        if self.hints and blended.any():
            told = self._hinted(maps[places].float(), rows[blended] - len(self.faces))
            result["hint"] = self.options.hint * told
        if "people" in self.modules:
            result["identity"] = options.identity * self._cosface(mine, self.people[index])
        return result

    def _hinted(self, maps: Tensor, rows: Integers) -> Tensor:
        """Return how far the maps (B, C, h, w) are from telling the teacher's of these mixes, a mean over all."""
        total = maps.new_zeros((), dtype=torch.float32)
        for number, hint in enumerate(self.hints):
            goal = torch.from_numpy(hint[rows]).to(self.device).float()
            told = self.modules[f"hint{number}"](maps)
            side = min(goal.shape[-1], told.shape[-1])
            told, goal = (functional.adaptive_avg_pool2d(one, side) for one in (told, goal))
            total = total + (told - goal).square().mean() / len(self.hints)
        return total

    def _cosface(self, mine: Tensor, people: Tensor) -> Tensor:
        known = torch.nonzero(people >= 0)[:, 0]
        if not len(known):
            return mine.sum() * 0
        weight = self.modules["people"].weight
        assert isinstance(weight, Tensor)
        cosines = mine[known] @ functional.normalize(weight).T
        margins = functional.one_hot(people[known], cosines.shape[1]) * self.options.margin
        return functional.cross_entropy((cosines - margins) * self.options.scale, people[known])

    @torch.no_grad()
    def embed(self, network: nn.Module, rows: Integers) -> Floats:
        """Return what a network as it ships says of these rows, (N, D) float32 of unit norm."""
        parts = [
            network(middle(self.pixels.take(chunk), SIDE) * 2 - 1).cpu().numpy()
            for chunk in np.array_split(rows, max(1, len(rows) // 256))
        ]
        return np.concatenate(parts)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Verification on people that were not trained on; the threshold of the accuracy is the dev people's."""
        network = self.shipped(network)
        dev, test = self.embed(network, self.dev), self.embed(network, self.test)
        genuine, impostor = verification.scores(test, [self.faces.identities[row] for row in self.test])
        threshold = verification.best_threshold(
            *verification.scores(dev, [self.faces.identities[row] for row in self.dev])
        )
        figures = {
            "accuracy": verification.balanced_accuracy(genuine, impostor, threshold),
            "genuine_pairs": float(len(genuine)),
            "impostor_pairs": float(len(impostor)),
        }
        names = [self.faces.identities[row] for row in self.test]
        if sum(count > 1 for count in Counter(names).values()) >= FOLDABLE:
            figures["accuracy_ten_folds"] = verification.cross_validated_accuracy(test, names)
        for rate in (1e-2, 1e-3, 1e-4):
            if len(impostor) * rate >= 10:
                figures[f"tar_at_far_{rate:g}"] = verification.tar_at(genuine, impostor, rate)
        targets = self.targets[torch.from_numpy(self.test).to(self.device)].cpu().numpy()
        if targets.shape == test.shape and self.options.distil > 0:
            figures["cosine_to_teacher"] = float((test * targets).sum(1).mean())
        others = self.faces.rows("test", sources=sorted(set(self.faces.sources) - set(self._named())))
        if len(others) and targets.shape[1] == test.shape[1] and self.options.distil > 0:
            theirs = self.targets[torch.from_numpy(others[:1024]).to(self.device)].cpu().numpy()
            figures["cosine_elsewhere"] = float((self.embed(network, others[:1024]) * theirs).sum(1).mean())
        return figures

    def sheet(self, network: nn.Module) -> Bytes:
        """Twelve test faces, each followed by the five that look most like it to the network."""
        rows = self.test[: 12 * 40]
        vectors = self.embed(self.shipped(network), rows)
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, 2)
        order = np.argsort(-cosines[:12], axis=1)[:, :6]
        return tiled(middle(self.pixels.take(rows[order.ravel()]), SIDE), 6)

    def example(self) -> Tensor:
        return middle(self.pixels.take(self.test[:8]), SIDE) * 2 - 1

    def shipped(self, network: nn.Module) -> nn.Module:
        shipped = Shipped(network.eval(), self.recipe.section("network", Network).dimensions).to(self.device)
        rows = np.unique(self.rows)
        people = self.people.cpu().numpy()[rows]
        counts = np.bincount(people[people >= 0], minlength=1)
        rows, people = (part[(people >= 0) & (counts[people] > 1)] for part in (rows, people))
        if self.options.within > 0 and len(rows):
            with torch.no_grad():
                parts = [
                    shipped.seen(middle(self.pixels.take(chunk), SIDE)).cpu().numpy()
                    for chunk in np.array_split(rows, max(1, len(rows) // 128))
                ]
            shipped.damp(np.concatenate(parts), people, self.options.within)
        return shipped

    def card(self) -> dict[str, Any]:
        sources = {name: self.faces.sources.count(name) for name in dict.fromkeys(self.faces.sources)}
        return {
            "output_names": ["embedding"],
            "inputs": "(B, 3, 112, 112) float32, RGB (x / 255 - 0.5) / 0.5, aligned by five points to the ArcFace "
            "template",
            "outputs": f"(B, {self.recipe.section('network', Network).dimensions}) float32 of unit norm",
            "data": {**sources, "mixes": self.options.mixes},
        }
