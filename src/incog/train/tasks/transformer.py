"""The face identity transformer: a key makes another person of a face, its inverse the original again, and any other
key yet another person (Gu, Luo, Ryoo, Lee: Password-conditioned anonymization and deanonymization with face identity
transformers, ECCV 2020).

The source ``portraits`` is a file of ``incog.train.portraits``; every other source is the ONNX file of a recogniser
that joins the package's own as a judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.data.seeds import Integers, uniform
from incog.errors import InputError
from incog.train import augment, coded, keyed
from incog.train.held_out import HeldOut
from incog.train.judges import DRAWS, Judges, cosines
from incog.train.keyed import Made, Options
from incog.train.likeness import dssim
from incog.train.loop import Batch
from incog.train.pixels import Pixels
from incog.train.portraits import SIZE, read
from incog.train.recipe import Recipe
from incog.train.transformer_net import (
    Classifier,
    Critic,
    Inverter,
    KeyPredictor,
    Linker,
    Network,
    TransformerNet,
)
from incog.types import Bytes

_VIEW = 8
"""Uniform numbers per picture that decide how it is shown."""

_PIXELS = 4.0
"""How much the inverter's pixels count, beside the cosines of who it brings back."""

_GROWN, _FADE = (-2.0, 8.0), (1.0, 10.0)
"""Ranges, in pixels of 128, of how far masks reach beyond the points and of how wide their edges are."""


class Transformer:
    """The task: see ``incog.train.loop.Task`` and ``Adversarial``."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        self.network = recipe.section("network", Network)
        self.portraits = read(data["portraits"])
        self.train_rows, self.test = self.portraits.rows("train"), self.portraits.rows("test")
        if not len(self.train_rows) or not len(self.test):
            raise InputError(
                f"{len(self.portraits)} faces are too few to train on some and measure on others"
            )
        self.items = len(self.train_rows)
        self.pixels = Pixels(self.portraits.pixels, device)
        self.depths = Pixels(keyed.depths(self.portraits.dense, SIZE), device)
        self.judges = Judges([path for name, path in data.items() if name != "portraits"]).to(device)
        side = recipe.resolutions[-1][1]
        self.held_out = HeldOut(
            self.pixels, self.depths, self.judges, self.test, side, self.network, self.options.laid
        )
        self.people = torch.from_numpy(
            keyed.people(self.portraits.identities, self.train_rows, self.options.least)
        ).to(device)
        count = int(self.people.max()) + 1
        if self.options.classify and count < 2:
            raise InputError(
                f"the classifier needs two people with {self.options.least} pictures each, got {count}"
            )
        options = self.options
        self.modules = nn.ModuleDict({"network": TransformerNet(self.network)})
        if options.key:
            outputs = self.network.key // keyed.CHUNK * 2**keyed.CHUNK if options.chunks else self.network.key
            self.modules["predictor"] = KeyPredictor(options.predictor, outputs)
        rivals = nn.ModuleDict()
        if options.adversary:
            names = ("first", "recovered", "wrong", "coarse") if options.stages else ("full", "coarse")
            for name in names:
                rivals[name] = Critic(options.critic, spectral=not options.squares)
        if options.classify:
            rivals["classifier"] = Classifier(options.critic, count)
        if options.link:
            blank = torch.zeros(1, 3, SIZE, SIZE, device=device)
            widths = [found.shape[1] for found in self.judges.identity(blank)]
            rivals["linker"] = Linker(sum(widths))
        if options.invert:
            rivals["inverter"] = Inverter(options.inverter)
        if len(rivals):
            # Without rivals the task is none of the adversarial ones.
            self.rivals = rivals
        self.pools = [keyed.Pool(options.pool) for _ in range(3)]
        self.made: Made | None = None
        self._told: tuple[Tensor, Tensor, Tensor] | None = None
        self._warm = device.type == "cuda"

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        if self._warm:
            self._compile(batch)
        rows = self.train_rows[batch.items]
        width = self.network.key
        draws = batch.uniform(4 * width + _VIEW + DRAWS + coded.DRAWS)
        keys, view, judged, file = torch.split(draws, [4 * width, _VIEW, DRAWS, coded.DRAWS], 1)
        real, masks = self._shown(rows, view, batch.resolution)
        people = self.people[torch.from_numpy(rows).to(self.device)]
        images, masks, people = self._again(real, masks, people)
        right, other, wrong, stray = keyed.signs(keys).chunk(4, 1)
        other = keyed.distinct(other, right)
        wrong = keyed.distinct(wrong, -right)
        stray = keyed.distinct(stray, -right, wrong)
        count, half = len(rows), len(rows) // 2 if self.options.wrong else 0
        with batch.quick:
            both = torch.cat([right, other])
            first, second = self._turned(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1), both).chunk(2)
            sent = coded.coded(first, file, share=self.options.coded) if self.options.coded else first
            # Who turns a face on lays it over all of what was turned, its faded edge too.
            again, whole = (torch.cat([x, x[:half], x[:half]]) for x in (sent, (masks > 0).float()))
            back = self._turned(again, whole, torch.cat([-right, wrong[:half], stray[:half]]))
            recovered, wrongs = back[:count], back[count:]
            self.made = Made(real, images, masks, people, first, second, recovered, wrongs)
            signs = (right, -right, wrong[:half])
            result = self._likenesses(self.made, judged)
            result |= self._rivalries(self.made, batch.progress)
            if self.options.key:
                result["key"] = self.options.key * self._guessed(self.made, signs)
        result |= self._pixelwise(self.made)
        self.made = self.made.detached()
        return result

    def _shown(self, rows: Integers, draws: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Return faces (B, 3, side, side) and their masks (B, 1, side, side), a little turned, moved and lit
        otherwise."""
        both = torch.cat([self.pixels.take(rows), self.depths.take(rows)], 1)
        matrices = augment.turned(draws[:, 0:4], degrees=4, zoom=(0.96, 1.04), shift=0.02)
        both = augment.mirror(augment.warp(both, matrices, SIZE), draws[:, 4])
        if side != SIZE:
            both = functional.interpolate(both, size=(side, side), mode="area")
        gain = torch.exp2(augment.between(draws[:, 5], -0.3, 0.2))[:, None, None, None]
        faces, depths = (both[:, :3] * gain).clamp(0, 1), both[:, 3:]
        if not self.options.laid:
            return faces, keyed.usual_masks(depths)
        grown, fade = (augment.between(draws[:, 6], *_GROWN), augment.between(draws[:, 7], *_FADE))
        return faces, keyed.masks(depths, grown, fade)

    def _again(self, real: Tensor, masks: Tensor, people: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Put faces that the network made in the step before in the place of some.

        What a wrong key makes of an anonymised face can then be turned back as well as what the right one makes: nobody
        finds the right key by trying whether the way there and back ends where it began.
        """
        count = int(len(real) * self.options.again)
        if not count or self.made is None or self.made.first.shape != real.shape:
            return real, masks, people
        images, masks, people = real.clone(), masks.clone(), people.clone()
        images[:count], masks[:count], people[:count] = self.made.first[:count], self.made.masks[:count], -1
        return images, masks, people

    def _turned(self, images: Tensor, masks: Tensor, signs: Tensor) -> Tensor:
        """Return pictures (B, 3, S, S) turned by keys (B, K) of signs, in 0..1; where faces are laid into their
        pictures, inside of the masks (B, 1, S, S) alone."""
        made = self._made_of(images, signs)
        return images.lerp(made, masks) if self.options.laid else made

    def _made_of(self, images: Tensor, signs: Tensor) -> Tensor:
        keys = signs * self.network.size_of_a_sign
        # Both calls of a step ask for the same gradients, so that one compiled network serves them.
        images = images if images.requires_grad else images.requires_grad_(True)
        made: Tensor = self.modules["network"](images.contiguous(memory_format=torch.channels_last), keys)
        return made

    def _likenesses(self, made: Made, draws: Tensor) -> dict[str, Tensor]:
        """Return what the frozen judges say: who is whom, where the points lie, how the faces look."""
        options, half = self.options, len(made.wrongs) // 2
        result: dict[str, Tensor] = {}
        if options.repel or any(options.apart) or (options.recognise and not options.classify):
            pictures = torch.cat([made.first, made.second, made.recovered, made.wrongs])
            views = torch.cat([draws, draws, draws, draws[:half], draws[:half]])
            with torch.no_grad():
                originals = self.judges.identity(made.images, draws)
            found = self.judges.identity(pictures, views)
            result |= keyed.distances(found, originals, options)
            if options.invert:
                back = self.rivals["inverter"](made.first)
                alike = cosines(self.judges.identity(back, draws), originals)
                result["invert"] = options.invert * alike.clamp(min=0).mean()
            if options.link:
                count = len(made.images)
                told = torch.cat(found, 1)
                turned = torch.cat([told[:count], told[3 * count :]])
                who = torch.arange(count, device=told.device)
                self._told = (
                    turned.detach(),
                    torch.cat(originals, 1),
                    torch.cat([who, who[:half], who[:half]]),
                )
                known = self._told[1]
                result["link"] = options.link * keyed.unlinked(*self.rivals["linker"](turned, known))
        if options.points or options.look:
            changed = torch.cat([made.first, made.wrongs])
            like = torch.cat([made.images, made.images[:half], made.images[:half]])
            if options.points:
                with torch.no_grad():
                    goal = self.judges.points(like)
                result["points"] = options.points * (self.judges.points(changed) - goal).abs().mean()
            if options.look:
                with torch.no_grad():
                    looks = self.judges.attributes(like)
                result["look"] = options.look * keyed.otherwise(looks, self.judges.attributes(changed))
        return result

    def _pixelwise(self, made: Made) -> dict[str, Tensor]:
        """Return how far the recovered pictures are from the originals, and the others outside of the face."""
        options, half = self.options, len(made.wrongs) // 2
        result = {"recovery": options.recovery * (made.recovered - made.images).abs().mean()}
        if options.structure:
            result["structure"] = options.structure * dssim(made.recovered, made.images).mean()
        weights = options.outside + (options.inside - options.outside) * made.masks
        surroundings = (weights * (made.first - made.images).abs()).mean()
        surroundings = surroundings + (weights * (made.second - made.images).abs()).mean()
        if half:
            far = (made.wrongs - made.images[:half].repeat(2, 1, 1, 1)).abs()
            surroundings = surroundings + (weights[:half].repeat(2, 1, 1, 1) * far).mean()
        return {**result, "background": surroundings / (3 if half else 2)}

    def _scores(self, stages: list[Tensor]) -> list[Tensor]:
        """Return the critics' scores of pictures of each stage, at full resolution and at half of it."""
        names = ("first", "recovered", "wrong")
        # Spectral norms are sums of small products: critics are run in single precision.
        with torch.autocast(self.device.type, enabled=False):
            everything = torch.cat(stages).float()
            half = functional.avg_pool2d(everything, 3, 2, 1, count_include_pad=False)
            if self.options.stages:
                pairs = zip(names, stages, strict=False)
                full = [self.rivals[name](pictures.float()) for name, pictures in pairs]
            else:
                full = [self.rivals["full"](everything)]
            return [*full, self.rivals["coarse"](half)]

    def _rivalries(self, made: Made, progress: float) -> dict[str, Tensor]:
        """Return how real the critics find the pictures, and whom the classifier takes them for."""
        options, result = self.options, dict[str, Tensor]()
        if options.adversary:
            scores = self._scores(made.stages())
            result["adversary"] = options.adversary * keyed.seems_real(scores, squares=options.squares)
        if options.classify and progress >= options.classify_start:
            asked = made.stages()
            losses = self._taken_for(asked, [made.people[: len(item)] for item in asked])
            sign = [-1.0, 1.0 if options.recognise else 0.0, -1.0]
            terms = [factor * loss for factor, loss in zip(sign, losses, strict=False)]
            result["classify"] = options.classify * torch.stack(terms).sum() / 3
        return result

    def _taken_for(self, stages: list[Tensor], people: list[Tensor]) -> list[Tensor]:
        """Return the classifier's cross-entropy on each stage."""
        classifier = self.rivals["classifier"]
        return [keyed.entropy(classifier(item), who) for item, who in zip(stages, people, strict=True)]

    def _guessed(self, made: Made, signs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return how badly the predictor tells keys from what they were given and what they made."""
        half = len(signs[2])
        before = torch.cat([made.images, made.first, made.first[:half]])
        after = torch.cat([made.first, made.recovered, made.wrongs[:half]])
        answer = self.modules["predictor"](before, after).float()
        return keyed.misread(answer, torch.cat(signs), chunks=self.options.chunks)

    def rival_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return what critics, classifier, linker and inverter minimise, over what ``losses`` made."""
        assert self.made is not None
        options, made, result = self.options, self.made, dict[str, Tensor]()
        stages = made.stages()
        with batch.quick:
            if options.adversary:
                shown = [pool(item) for pool, item in zip(self.pools, stages, strict=False)]
                real = self._scores([made.real] * (len(shown) if options.stages else 1))
                result["critic"] = keyed.told_apart(real, self._scores(shown), squares=options.squares)
            if options.invert:
                result["inverter"] = self._inverted(made)
            if options.classify:
                labels = [made.people[: len(item)] for item in stages]
                result["classifier"] = self._taken_for([made.images], [made.people])[0]
                if batch.progress >= options.classify_start:
                    losses = self._taken_for(stages, labels)
                    sign = [1.0, -1.0 if options.recognise else 0.0, 1.0]
                    terms = [factor * loss for factor, loss in zip(sign, losses, strict=False)]
                    result["classifier"] = result["classifier"] + torch.stack(terms).sum() / 3
        if options.link and self._told is not None:
            told, goals, rows = self._told
            turned, known = self.rivals["linker"](told, goals)
            result["linker"] = keyed.linked(turned, known, rows)
        return result

    def _inverted(self, made: Made) -> Tensor:
        """Return how far what the inverter makes of turned faces is from the originals."""
        back = self.rivals["inverter"](made.first)
        with torch.no_grad():
            goals = self.judges.identity(made.images)
        alike = cosines(self.judges.identity(back), goals)
        weight = made.masks.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
        apart = ((back - made.images).abs() * made.masks / weight).mean()
        total: Tensor = _PIXELS * apart + (1 - alike).mean()
        return total

    def _compile(self, batch: Batch) -> None:
        """Run the network once in each resolution, while time does not count yet: compiling takes minutes."""
        self._warm = False
        count = len(batch.items)
        back = count + (2 * (count // 2) if self.options.wrong else 0)
        for number in {2 * count, back}:
            keys = torch.ones(number, self.network.key, device=self.device)
            for _, side in self.recipe.resolutions:
                with batch.quick:
                    blank = torch.zeros(number, 3, side, side, device=self.device)
                    self._made_of(blank, keys).mean().backward()  # type: ignore[no-untyped-call]

    def measure(self, network: nn.Module) -> dict[str, float]:
        """See ``HeldOut.measure``."""
        return self.held_out.measure(network)

    def sheet(self, network: nn.Module) -> Bytes:
        """See ``HeldOut.sheet``."""
        return self.held_out.sheet(network)

    def example(self) -> dict[str, Tensor]:
        """Return faces and keys, by the names of the file's inputs."""
        rows = self.test[:8]
        images = self.pixels.take(rows)
        drawn = torch.from_numpy(uniform(2, rows, np.zeros_like(rows), self.network.key)).to(self.device)
        return {"image": images, "key": keyed.signs(drawn) * self.network.size_of_a_sign}

    def shipped(self, network: nn.Module) -> nn.Module:
        return network

    def card(self) -> dict[str, Any]:
        sources = self.portraits.sources
        return {
            "inputs": f"image (B, 3, {SIZE}, {SIZE}) float32, R'G'B' in 0..1, in the template outline of "
            f"incog.data.faces; key (B, {self.network.key}) float32, a unit vector of signs",
            "outputs": "(B, 3, S, S) in 0..1: the face as another person's; the negative of the key turns it back",
            "output_names": ["turned"],
            "data": {name: sources.count(name) for name in dict.fromkeys(sources)},
        }
