"""Generator: faces that never existed, in the place, pose, expression and light of those that were there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import codes, points, shape
from incog.data.seeds import Integers, uniform
from incog.drawing import ANGLES, drawing, reach
from incog.errors import InputError
from incog.outline import face_outline
from incog.train import augment
from incog.train.critic import Critic, Width, flatness, loss_of_maker, losses_of_critic, shown
from incog.train.generator_net import ATTRIBUTES, CODE, PLANES, GeneratorNet, Network
from incog.train.judges import DRAWS, Judges
from incog.train.loop import Batch, Part
from incog.train.pixels import Pixels, tiled
from incog.train.portraits import SIZE, inside, read
from incog.train.recipe import Recipe
from incog.types import Bytes

GROWTH = (1.08, 1.45)
"""How much larger than the face's outline a hole is, at least and at most."""

FAR = 1e-3
"""False accept rate at which ``measure`` counts faces that are taken for the original."""

WHOLE = 0.75
"""Share of a crop from which on it counts as seen with its surroundings."""

_LAZY = 16
"""Steps from one computation of the critic's flatness to the next."""

_COLUMNS = {"gender": (1, 1), "ethnicity": (2, 5), "expression": (7, 2)}
"""First column and number of columns of the attributes, by name; of gender and expression the others are the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Weights of the losses, and what faces are made from.

    repeat: how often per epoch a picture comes that shows most of its crop; the others come once.
    own: share of a batch that keeps its own code; the others take another person's or one from the prior (a share
    ``drawn`` of them). alike: share of the others whose donor looks alike (age, gender, ethnicity).
    noise: standard deviation that is added to codes. picture: L1 inside the hole, of own codes. features: L1 of what
    the critic sees, of own codes. ring: L1 just outside of the hole. critic: the critic's opinion. identity: 1 - cosine
    to the embedding of the code's person. repel: cosine to the original above that of the donor. points: distance of
    dense points, of others after ``incog.shape``. look: cross entropy of attributes. flat: of the critic (R1).
    """

    repeat: int = 2
    own: float = 0.5
    drawn: float = 0.35
    alike: float = 0.75
    noise: float = 0.1
    picture: float = 6.0
    features: float = 2.0
    ring: float = 6.0
    critic: float = 1.0
    identity: float = 3.0
    repel: float = 1.0
    points: float = 15.0
    look: float = 0.15
    flat: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """What a step works on, at one resolution, (B, ., S, S) each: picture in -1..1, drawing in 0..1, hole and inside of
    0 and 1."""

    picture: Tensor
    lines: Tensor
    hole: Tensor
    inside: Tensor

    @property
    def planes(self) -> Tensor:
        """What the network is given: see ``generator_net.PLANES``."""
        known = (1 - self.hole) * self.inside
        return torch.cat([self.picture * known, known, self.hole, self.lines], 1)

    def laid(self, made: Tensor) -> Tensor:
        """Return the picture with the hole filled."""
        return self.picture + (made - self.picture) * self.hole

    def judged(self, picture: Tensor) -> Tensor:
        """Return what the critic is given for a picture."""
        return torch.cat([picture * self.inside, self.hole, self.inside, self.lines], 1)


class Generator:
    """The task: see ``incog.train.loop.Task`` and ``Adversarial``. Its source ``portraits`` is a file of
    ``incog.train.portraits``; ``teacher`` is one more recogniser, ONNX."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        self.portraits = read(data["portraits"])
        self.train_rows, self.test = self.portraits.rows("train"), self.portraits.rows("test")
        if not len(self.test):
            raise InputError(
                f"{len(self.portraits)} portraits are too few to train on some and measure on others"
            )
        train = self.train_rows
        self.prior = codes.fit(self.portraits.embeddings[train], self.portraits.attributes[train])
        self.pixels = Pixels(self.portraits.pixels, device)
        shapes = shape.halves(self.portraits.dense, SIZE)
        kept = shape.load()
        self.lines = Pixels(np.stack([drawing(one, SIZE) for one in kept(shapes)]), device)
        outlines = [reach(face_outline(one)) for one in shapes]
        self.middles = self._tensor(np.stack([middle for middle, _ in outlines]))
        self.radii = self._tensor(np.stack([radii for _, radii in outlines]))
        corners = [inside(one) for one in self.portraits.corners]
        whole = np.array([one.mean() for one in corners]) > WHOLE
        self.rows = np.concatenate([train, *[train[whole[train]]] * (self.options.repeat - 1)])
        self.items = len(self.rows)
        self.insides = Pixels(np.stack([(one * 255).astype(np.uint8) for one in corners])[..., None], device)
        self.shapes = self._tensor(shapes)
        self.filter = tuple(self._tensor(item) for item in (kept.mean, kept.reads, kept.writes))
        self.mirror = torch.tensor(points.MIRROR, device=device)
        self.attributes = self._tensor(self.portraits.attributes)
        self.codes = self._tensor(self.prior.code(self.portraits.embeddings))
        self.prior_parts = {name: self._tensor(value) for name, value in asdict(self.prior).items()}
        self.judges = Judges([data["teacher"]] if "teacher" in data else []).to(device).eval()
        self.judges.requires_grad_(False)
        self.identities = self._identities()
        self._partners()
        network = GeneratorNet(recipe.section("network", Network))
        self.modules = nn.ModuleDict({"network": network})
        critic = Critic(PLANES, CODE + ATTRIBUTES, Width())
        if device.type == "cuda":
            critic.compile(dynamic=False)
        self.rivals = nn.ModuleDict({"critic": critic})
        self._made: tuple[Batch, _Shown, Tensor, Tensor, Tensor] | None = None

    def _tensor(self, values: Any) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)

    @torch.no_grad()
    def _identities(self) -> list[Tensor]:
        """Return what each recogniser of the judges says of all portraits, (N, D) float16 each. The package's own has
        told already."""
        found = [self._tensor(self.portraits.embeddings).half()]
        for recogniser in self.judges.recognisers[1:]:
            parts = []
            for rows in np.array_split(np.arange(len(self.portraits)), max(1, len(self.portraits) // 256)):
                faces = self.judges.faces(self.pixels.take(rows)) * 2 - 1
                parts.append(functional.normalize(recogniser(faces)[0].float(), dim=1).half())
            found.append(torch.cat(parts))
        return found

    def _partners(self) -> None:
        """Sort the training rows by look, so that somebody who looks alike can be drawn, and by person."""
        looks = self.portraits.attributes
        age = np.digitize(looks[:, 0], (0.12, 0.25, 0.45))
        groups = (age * 2 + (looks[:, 1] > 0.5)) * 5 + looks[:, 2:7].argmax(1)
        mine = groups[self.train_rows]
        order = np.argsort(mine, kind="stable")
        self.by_look = torch.from_numpy(self.train_rows[order]).to(self.device)
        starts, sizes = np.searchsorted(mine[order], groups), np.bincount(mine, minlength=64)[groups]
        # A look that no training face has takes anybody.
        starts, sizes = np.where(sizes > 0, starts, 0), np.where(sizes > 0, sizes, len(order))
        self.look_starts, self.look_sizes = (torch.from_numpy(v).to(self.device) for v in (starts, sizes))
        people: dict[str, list[int]] = {}
        for row in range(len(self.portraits)):
            people.setdefault(self.portraits.identities[row] or f"/{row}", []).append(row)
        another = np.arange(len(self.portraits))
        for rows in people.values():
            another[rows] = np.roll(rows, 1)
        self.another = torch.from_numpy(another).to(self.device)

    def _holes(self, index: Tensor, draws: Tensor, flips: Tensor) -> Tensor:
        """Return holes around the faces, (B, 1, 128, 128) of 0 and 1: the outline grown and bent at random. draws:
        (B, 8)."""
        growth = augment.between(draws[:, 0], *GROWTH)
        angles = torch.arange(ANGLES, device=index.device) * (2 * np.pi / ANGLES)
        bend = torch.zeros_like(self.radii[index])
        for n in (1, 2, 3):
            wave = torch.cos(n * angles[None] + 6.3 * draws[:, n + 4, None])
            bend = bend + (draws[:, n, None] - 0.5) * 0.12 * wave
        radii = self.radii[index] * growth[:, None] * (1 + bend.clamp(-0.06, 0.12))
        place = (torch.arange(SIZE, device=index.device) + 0.5) * (2 / SIZE) - 1
        x = place[None, None, :] - self.middles[index, 0, None, None]
        y = place[None, :, None] - self.middles[index, 1, None, None]
        turn = torch.atan2(y, x) * (ANGLES / (2 * np.pi)) % ANGLES
        low = turn.long() % ANGLES
        share = turn - turn.floor()
        flat = low.flatten(1)
        near = torch.gather(radii, 1, flat).view_as(turn)
        far = torch.gather(radii, 1, (flat + 1) % ANGLES).view_as(turn)
        hole = (x.square() + y.square()).sqrt() < near * (1 - share) + far * share
        return augment.mirror(hole[:, None].float(), flips)

    def _show(
        self, rows: Integers, draws: Tensor, resolution: int, *, colours: Tensor | None = None
    ) -> _Shown:
        """Return rows as a step sees them. draws: (B, 9): a flip, and the hole. colours: (B, 8) or None."""
        flips = draws[:, 0]
        index = torch.from_numpy(rows).to(self.device)
        picture = augment.mirror(self.pixels.take(rows), flips)
        if colours is not None:
            picture = augment.colour(picture, colours, strength=0.25)
        lines = augment.mirror(self.lines.take(rows), flips)
        within = augment.mirror(self.insides.take(rows), flips)
        hole = self._holes(index, draws[:, 1:9], flips)
        if factor := SIZE // resolution - 1:
            kernel = factor + 1
            picture, lines = functional.avg_pool2d(picture, kernel), functional.avg_pool2d(lines, kernel)
            within, hole = -functional.max_pool2d(-within, kernel), functional.max_pool2d(hole, kernel)
        return _Shown(picture * 2 - 1, lines, hole, (within > 0.5).float())

    def _told(self, index: Tensor, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor], Tensor, Tensor]:
        """Return codes, attributes, the embeddings that the faces shall have, which of them count (B, recognisers), and
        the cosine between each goal and the original (B, recognisers)."""
        options, own = self.options, self._own(len(index))
        draws = batch.uniform(6, purpose=1)
        normals = torch.erfinv((batch.uniform(CODE, purpose=2) * 2 - 1).clamp(-0.9999, 0.9999)) * np.sqrt(2)
        alike = draws[:, 0] < options.alike
        place = torch.where(alike, self.look_starts[index], 0)
        size = torch.where(alike, self.look_sizes[index], len(self.by_look))
        donor = self.by_look[(place + (draws[:, 1] * size).long()).clamp(max=len(self.by_look) - 1)]
        mine = torch.where(draws[:, 2] < 0.5, index, self.another[index])
        source = torch.where(own, mine, donor)
        attributes = self.attributes[index].clone()
        # Who takes the code of somebody of another look takes the look as well, but for the expression.
        other = ~own & ~alike
        attributes[other, : codes.LOOK] = self.attributes[donor[other], : codes.LOOK]
        drawn = ~own & alike & (draws[:, 3] < options.drawn / max(options.alike, 1e-6))
        code = torch.where(drawn[:, None], self._drawn(normals, attributes), self.codes[source])
        code = code + options.noise * torch.roll(normals, 1, 0) * (~drawn[:, None])
        goals = [item[source].float() for item in self.identities]
        goals[0] = torch.where(drawn[:, None], self._embedding(code), goals[0])
        counts = torch.stack([torch.ones_like(drawn), *(~drawn for _ in goals[1:])], 1).float()
        near = [
            (goal * item[index].float()).sum(1) for goal, item in zip(goals, self.identities, strict=True)
        ]
        return code, attributes, goals, counts, torch.stack(near, 1)

    def _own(self, count: int) -> Tensor:
        return torch.arange(count, device=self.device) < round(count * self.options.own)

    def _drawn(self, normals: Tensor, attributes: Tensor) -> Tensor:
        part, look = self.prior_parts, attributes[:, : codes.LOOK]
        given = torch.cat([torch.ones_like(look[:, :1]), look, look[:, :1].square()], 1)
        return given @ part["slopes"] + normals @ part["rest"].T

    def _embedding(self, code: Tensor) -> Tensor:
        part = self.prior_parts
        return functional.normalize(part["mean"] + (code * part["spread"]) @ part["axes"].T, dim=1)

    def _condition(self, code: Tensor, attributes: Tensor) -> Tensor:
        return torch.cat([code, attributes * 2 - 1], 1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        options, rows = self.options, self.rows[batch.items]
        index = torch.from_numpy(rows).to(self.device)
        draws = batch.uniform(17)
        seen = self._show(rows, draws[:, 0:9], batch.resolution, colours=draws[:, 9:17])
        code, attributes, goals, counts, near = self._told(index, batch)
        with batch.quick:
            made = self.modules["network"](
                seen.planes.contiguous(memory_format=torch.channels_last), code, attributes
            )
        made = made.float()
        laid = seen.laid(made)
        count = round(len(rows) * options.own)
        opinion = batch.uniform(8, purpose=3)
        condition = self._condition(code, attributes)
        critic = self.rivals["critic"]
        with batch.quick:
            patches, whole, features = critic(shown(seen.judged(laid), opinion), condition)
            with torch.no_grad():
                _, _, aims = critic(shown(seen.judged(seen.picture), opinion), condition)
        result = {"critic": options.critic * loss_of_maker((patches.float(), whole.float()))}
        apart = [
            (f[:count].float() - a[:count].float()).abs().mean() for f, a in zip(features, aims, strict=True)
        ]
        result["features"] = options.features * torch.stack(apart).mean()
        result["picture"] = options.picture * _inside(made - seen.picture, seen.hole * seen.inside, count)
        grown = functional.max_pool2d(seen.hole, 9, 1, 4)
        ring = (grown - seen.hole) * seen.inside
        result["ring"] = options.ring * _inside(made - seen.picture, ring, len(rows))
        faces = laid.clamp(-1, 1) * 0.5 + 0.5
        with batch.quick:
            found = self.judges.identity(faces, batch.uniform(DRAWS, purpose=4))
        cosines = torch.stack([(f * g).sum(1) for f, g in zip(found, goals, strict=True)], 1)
        result["identity"] = options.identity * ((1 - cosines) * counts).sum() / counts.sum()
        back = torch.stack(
            [(f * item[index].float()).sum(1) for f, item in zip(found, self.identities, strict=True)], 1
        )
        result["repel"] = options.repel * (back - near.clamp(min=0))[count:].clamp(min=0).mean()
        result["points"] = options.points * self._points_loss(faces, index, draws[:, 0], count)
        result["look"] = options.look * self._look_loss(faces, attributes)
        self._made = batch, seen, laid.detach(), condition, index
        return result

    def _points_loss(self, faces: Tensor, index: Tensor, flips: Tensor, count: int) -> Tensor:
        goal = self.shapes[index]
        turned = goal[:, self.mirror] * goal.new_tensor([-1, 1])
        goal = torch.where((flips < 0.5)[:, None, None], turned, goal)
        apart = self.judges.points(faces) - goal
        # Of the faces of others only pose and expression count.
        kept = (apart[count:].flatten(1) @ self.filter[1] @ self.filter[2]).view_as(apart[count:])
        distance: Tensor = torch.linalg.vector_norm(torch.cat([apart[:count], kept]), dim=2)
        return distance.clamp(max=0.2).mean()

    def _look_loss(self, faces: Tensor, attributes: Tensor) -> Tensor:
        told = self.judges.attributes(faces)
        total = (told["age"] / 100 - attributes[:, 0]).abs().clamp(max=0.3).mean() * 10
        for name, (first, width) in _COLUMNS.items():
            wanted = attributes[:, first : first + width]
            if name == "gender":
                wanted = torch.cat([1 - wanted, wanted], 1)
            elif name == "expression":
                wanted = torch.cat([wanted, (1 - wanted.sum(1, keepdim=True)).clamp(min=0)], 1)
            total = total - (wanted * (told[name] + 1e-3).log()).sum(1).mean()
        return total

    def rival_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The critic's losses on the pictures that ``losses`` has just made."""
        assert self._made is not None
        _, seen, laid, condition, index = self._made
        opinion = batch.uniform(8, purpose=5)
        critic = self.rivals["critic"]
        real = shown(seen.judged(seen.picture), opinion)
        made = shown(seen.judged(laid), opinion)
        truth = self._condition(self.codes[index], self.attributes[index])
        with batch.quick:
            patches, whole, _ = critic(torch.cat([real, made]), torch.cat([truth, condition]))
        patches, whole, half = patches.float(), whole.float(), len(real)
        result = {"rival": losses_of_critic((patches[:half], whole[:half]), (patches[half:], whole[half:]))}
        # About once in so many steps, by chance, but the same chance in each run. ``forward`` itself is never compiled,
        # which a gradient of a gradient asks for.
        if int(batch.items[0]) % _LAZY == 0:
            result["flat"] = (self.options.flat * _LAZY / 2) * flatness(critic.forward, real, truth)
        else:
            result["flat"] = result["rival"].detach() * 0
        return result

    @torch.no_grad()
    def fresh(
        self, network: nn.Module, rows: Integers, *, seed: int, size: int = SIZE, own: bool = False
    ) -> tuple[_Shown, Tensor, Tensor]:
        """Return rows as shown, with holes of the usual size, the faces made from codes of the prior (or their own), in
        0..1, and the embeddings that they shall have."""
        network.eval()
        chunk = rows.astype(np.int64)
        index = torch.from_numpy(chunk).to(self.device)
        draws = torch.full((len(rows), 9), 0.5, device=self.device)
        draws[:, 0] = 1.0
        seen = self._show(chunk, draws, size)
        drawn = uniform(seed, chunk, np.zeros_like(chunk), CODE) * 2 - 1
        normals = torch.erfinv(self._tensor(drawn).clamp(-0.9999, 0.9999)) * np.sqrt(2)
        attributes = self.attributes[index]
        code = self.codes[index] if own else self._drawn(normals, attributes)
        made = network(seen.planes.contiguous(memory_format=torch.channels_last), code, attributes)
        return seen, seen.laid(made.float()).clamp(-1, 1) * 0.5 + 0.5, self._embedding(code)

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Figures on test faces, told by the judges that it was trained with: cosines to the original and to the code,
        the share that is taken for the original, shift of points, sharpness, and errors of faces of their own code."""
        rows = self.test[:: max(1, len(self.test) // 256)][:256].astype(np.int64)
        index = torch.from_numpy(rows).to(self.device)
        real = self.identities[0][index].float()
        strangers = (real @ real.T)[~torch.eye(len(rows), dtype=torch.bool, device=self.device)]
        threshold = float(torch.quantile(strangers[: 2**23], 1 - FAR))
        parts: dict[str, list[Tensor]] = {}
        for chunk in np.array_split(rows, max(1, len(rows) // 32)):
            truth = self.identities[0][torch.from_numpy(chunk).to(self.device)].float()
            seen, faces, goal = self.fresh(network, chunk, seed=1)
            found, other = (
                self.judges.identity(item)[0] for item in (faces, self.fresh(network, chunk, seed=2)[1])
            )
            _, mine, _ = self.fresh(network, chunk, seed=1, own=True)
            picture = seen.picture * 0.5 + 0.5
            moved = self.judges.points(faces) - self.judges.points(picture)
            five = moved[:, list(points.FIVE)].abs().mean((1, 2)) * (SIZE / 2)
            error = ((mine - picture).abs() * seen.hole).sum((1, 2, 3)) / seen.hole.sum((1, 2, 3)) / 3
            values = {
                "fresh_cosine": (found * truth).sum(1),
                "fresh_taken": ((found * truth).sum(1) >= threshold).float(),
                "fresh_to_code": (found * goal).sum(1),
                "fresh_to_each_other": (found * other).sum(1),
                "five_shift": five,
                "own_cosine": (self.judges.identity(mine)[0] * truth).sum(1),
                "own_l1": error,
                "sharpness": _edges(faces, seen.hole) / _edges(picture, seen.hole),
            }
            for name, value in values.items():
                parts.setdefault(name, []).append(value)
        result = {name: float(torch.cat(column).mean()) for name, column in parts.items()}
        return {**result, "threshold": threshold, "faces": float(len(rows))}

    def sheet(self, network: nn.Module) -> Bytes:
        """Twelve test faces: the original, what the network is shown, its own code, and four fresh ones."""
        rows = self.test[:: max(1, len(self.test) // 12)][:12].astype(np.int64)
        size = self.recipe.resolutions[-1][1]
        seen, mine, _ = self.fresh(network, rows, seed=1, own=True, size=size)
        columns = [seen.picture * 0.5 + 0.5, seen.planes[:, :3] * 0.5 + 0.5, mine]
        columns += [self.fresh(network, rows, seed=seed, size=size)[1] for seed in range(4)]
        return tiled(torch.stack([item.cpu() for item in columns], 1).flatten(0, 1), len(columns))

    def example(self) -> dict[str, Tensor]:
        rows = self.test[:4].astype(np.int64)
        seen, _, _ = self.fresh(self.modules["network"], rows, seed=1)
        index = torch.from_numpy(rows).to(self.device)
        return {"planes": seen.planes, "code": self.codes[index], "attributes": self.attributes[index]}

    def shipped(self, network: nn.Module) -> nn.Module:
        return Shipped(network)

    def parts(self) -> dict[str, Part]:
        """No other network ships."""
        return {}

    def tables(self, network: nn.Module, encoder: str) -> dict[str, tuple[bytes, str]]:
        """The prior of the codes."""
        told = "The prior of the generator's identity codes, and which embeddings they stand for: see incog.codes."
        return {"codes": (self.prior.dump(), told)}

    def card(self) -> dict[str, Any]:
        sources = self.portraits.sources
        return {
            "inputs": "planes (B, 8, 128, 128) float32: surroundings R'G'B' in -1..1, 0 where unknown; where they are "
            "known; the hole; the drawing (3) in 0..1; code (B, 96), see incog.codes; attributes (B, 9)",
            "outputs": "R'G'B' (B, 3, 128, 128) float32 in 0..1, of which the hole counts",
            "data": {name: sources.count(name) for name in dict.fromkeys(sources)},
            "output_names": ["face"],
        }


class Shipped(nn.Module):
    """The network with its result in 0..1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor, code: Tensor, attributes: Tensor) -> Tensor:
        face: Tensor = self.network(planes, code, attributes)
        return (face * 0.5 + 0.5).clamp(0, 1)


def _inside(apart: Tensor, mask: Tensor, count: int) -> Tensor:
    """Return the mean of |apart| (B, 3, S, S) over the mask (B, 1, S, S), of the first ``count``, fine and coarse."""
    apart, mask = apart[:count] * mask[:count], mask[:count]
    area = mask.sum().clamp(min=1) * 3
    fine = apart.abs().sum() / area
    coarse = functional.avg_pool2d(apart, 8).abs().sum() * 64 / area
    return (fine + coarse) / 2


def _edges(images: Tensor, hole: Tensor) -> Tensor:
    """Return the mean difference of neighbouring pixels in the hole, (B,)."""
    across = (images[..., :, 1:] - images[..., :, :-1]).abs().mean(1, keepdim=True) * hole[..., :, 1:]
    total: Tensor = across.sum((1, 2, 3)) / hole.sum((1, 2, 3))
    return total
