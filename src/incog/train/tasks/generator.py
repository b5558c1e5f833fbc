"""Generator: faces that never existed, in the place, pose, expression and light of those that were there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import points, shape
from incog.data.seeds import Integers, uniform
from incog.errors import InputError, must_be
from incog.train import holes, judges, shapes, wanted
from incog.train.critic import Critic, Width, flatness, loss_of_maker, losses_of_critic, shown
from incog.train.generator_net import ATTRIBUTES, CODE, PLANES, GeneratorNet, Network, condition
from incog.train.holes import Scenes, Shown
from incog.train.judges import Judges
from incog.train.loop import Batch, Part
from incog.train.pixels import tiled
from incog.train.portraits import SIZE, read
from incog.train.recipe import Recipe
from incog.train.wanted import People, Shares, Wanted, normals
from incog.types import Bytes

FAR = 1e-3
"""False accept rate at which ``measure`` counts faces that are taken for the original."""

WHOLE = 0.75
"""Share of a crop from which on it counts as seen with its surroundings."""

_LAZY = 16
"""Steps from one computation of the critic's flatness to the next."""

_FLAT = 4
"""It is computed on one in so many pictures of a batch: in single precision and twice derived, it is dear."""

_AGAIN = 4
"""One in so many pictures of a batch is drawn once more for the next frame."""

_COARSEST = 16
"""What sides of pictures must be multiples of: the network halves them four times."""

_COLUMNS = {"gender": (1, 1), "ethnicity": (2, 5), "expression": (7, 2)}
"""First column and number of columns of the attributes, by name; of gender and expression the others are the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Shares):
    """Weights of the losses, and what faces are made from.

    repeat: how often per epoch a picture comes that shows most of its crop; the others come once. vivid: how much the
    critic's pictures are changed in colour. critic width: ``rival``, channels at full, half, ... resolution.

    picture: L1 inside the hole, of own codes. features: L1 of what the critic sees, of own codes. ring: L1 just outside
    of the hole. tone: L1 of soft colours inside the hole, of all codes. critic: the critic's opinion.
    identity: 1 - cosine to the embedding of the code's person. repel: cosine to the original above that of the goal.
    points: distance of dense points, eyes and lips before the outline, of others after ``incog.shape``. look: cross
    entropy of attributes. flat: of the critic (R1). detail: L1 of fine detail, of all codes, to what the network made
    that the run began with. steady: L1 between faces and the same of the next frame of a film, of one picture in four,
    see ``incog.train.holes``. cells: scales of ``tone``, see ``incog.train.holes``. What weighs nothing is not asked of
    the judges; where neither ``critic`` nor ``features`` do, there is no critic.
    """

    repeat: int = 2
    vivid: float = 0.4
    rival: tuple[int, ...] = Width().widths
    picture: float = 6.0
    features: float = 2.0
    ring: float = 6.0
    tone: float = 6.0
    critic: float = 1.0
    identity: float = 3.0
    repel: float = 1.0
    points: float = 15.0
    look: float = 0.15
    flat: float = 0.25
    detail: float = 0.0
    steady: float = 0.0
    cells: tuple[int, ...] = holes.CELLS


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What ``losses`` leaves for the critic. condition: (B, 105), what the network was told."""

    seen: Shown
    laid: Tensor
    condition: Tensor
    index: Tensor


class Generator:
    """The task: see ``incog.train.loop.Task`` and ``Adversarial``. Its source ``portraits`` is a file of
    ``incog.train.portraits``; ``teacher`` is one more recogniser, ONNX. ``codes`` is the prior of
    identity codes that the weights belong to which a run begins with: one that is fitted anew has other axes."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        for _, side in recipe.resolutions:
            if SIZE % side or side % _COARSEST:
                raise must_be(
                    "resolutions", f"sides that divide {SIZE} and are multiples of {_COARSEST}", side
                )
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        self.side = recipe.resolutions[-1][1]
        self.portraits = read(data["portraits"])
        train, self.test = self.portraits.rows("train"), self.portraits.rows("test")
        if not len(self.test):
            raise InputError(
                f"{len(self.portraits)} portraits are too few to train on some and measure on others"
            )
        self.prior = wanted.prior_of(self.portraits, train, data.get("codes"), cache)
        self.kept = shape.load()
        self.scenes = Scenes(self.portraits, self.kept, device)
        whole = train[self.scenes.whole[train] > WHOLE]
        self.rows = np.concatenate([train, *[whole] * (self.options.repeat - 1)])
        self.items = len(self.rows)
        self.shapes = self._tensor(shape.halves(self.portraits.dense, SIZE))
        self.filter = self._tensor(self.kept.reads), self._tensor(self.kept.writes)
        self.mirror = torch.tensor(points.MIRROR, device=device)
        self.weights = self._tensor(shapes.weights() / shapes.weights().mean())
        self.judges = Judges([data["teacher"]] if "teacher" in data else []).to(device).eval()
        self.judges.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judges.requires_grad_(False)
        self.people = People(self.portraits, train, self.prior, self._identities(), device)
        if device.type == "cuda":
            self.judges.hasten()
        network = GeneratorNet(recipe.section("network", Network))
        self.modules = nn.ModuleDict({"network": network})
        self._begun: Begun | None = None
        if self.options.detail:
            self.modules["begun"] = self._begun = Begun(network)
        if self.options.critic or self.options.features:
            critic = Critic(PLANES, CODE + ATTRIBUTES, Width(widths=self.options.rival))
            if device.type == "cuda":
                critic.compile(dynamic=False)
            # Without a critic the task is none of the adversarial ones.
            self.rivals = nn.ModuleDict({"critic": critic})
        self._made: _Made | None = None

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
                faces = self.judges.faces(self.scenes.pictures(rows)) * 2 - 1
                parts.append(functional.normalize(recogniser(faces)[0].float(), dim=1).half())
            found.append(torch.cat(parts))
        return found

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        options, rows = self.options, self.rows[batch.items]
        index = torch.from_numpy(rows).to(self.device)
        draws = batch.uniform(holes.DRAWS + 8)
        seen = self.scenes.show(
            rows, draws[:, : holes.DRAWS], batch.resolution, colours=draws[:, holes.DRAWS :]
        )
        who = self.people.wanted(
            index, options, batch.uniform(wanted.DRAWS, purpose=1), batch.uniform(CODE, purpose=2)
        )
        made, unsteady = self._drawn(batch, seen, who, rows, draws)
        laid, own = seen.laid(made), slice(who.count)
        told = condition(who.code, who.attributes)
        result = self._opinions(batch, seen, laid, told, who.count) if hasattr(self, "rivals") else {}
        if unsteady is not None:
            result["steady"] = options.steady * unsteady
        if self._begun is not None:
            result["detail"] = options.detail * self._detail_lost(self._begun, batch, seen, made, who)
        apart, within = made - seen.picture, seen.hole * seen.inside
        result["picture"] = options.picture * holes.apart_inside(apart[own], within[own])
        # Beyond the end of the picture too: the repeated border is no truth, but a sane colour.
        result["tone"] = options.tone * holes.toned_apart(apart, seen.hole, who.changed, options.cells).mean()
        result["ring"] = options.ring * holes.apart_inside(apart, holes.ring_around(seen))
        faces = laid.clamp(-1, 1) * 0.5 + 0.5
        if options.identity or options.repel:
            result |= self._identity_losses(batch, faces, index, who)
        if options.points:
            result["points"] = options.points * self._points_loss(faces, index, draws[:, 0], who.count)
        if options.look:
            result["look"] = options.look * self._look_loss(faces, who.attributes)
        self._made = _Made(seen, laid.detach(), told, index)
        return result

    def _drawn(
        self, batch: Batch, seen: Shown, who: Wanted, rows: Integers, draws: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the faces, and how far some of them are from the same in the next frame, where that is asked for."""
        planes, code, attributes = seen.planes, who.code, who.attributes
        if not self.options.steady:
            return self._network(batch, planes, code, attributes), None
        some, count = slice(None, None, _AGAIN), len(planes)
        moved, matrices = self.scenes.next_frame(
            rows[some],
            draws[some, : holes.DRAWS],
            batch.uniform(holes.STEPS, purpose=7)[some],
            batch.resolution,
            colours=draws[some, holes.DRAWS :],
        )
        # All at once: a network that is compiled knows one size of batch.
        told = [(planes, moved.planes), (code, code[some]), (attributes, attributes[some])]
        both = self._network(batch, *(torch.cat(pair) for pair in told))
        made, again = both[:count], both[count:]
        few = Shown(*(item[some] for item in (seen.picture, seen.lines, seen.hole, seen.inside)))
        return made, holes.unsteady(few, made[some], moved, again, matrices)

    def _network(self, batch: Batch, planes: Tensor, code: Tensor, attributes: Tensor) -> Tensor:
        with batch.quick:
            made: Tensor = self.modules["network"](
                planes.contiguous(memory_format=torch.channels_last), code, attributes
            )
        return made.float()

    def _opinions(
        self, batch: Batch, seen: Shown, laid: Tensor, told: Tensor, count: int
    ) -> dict[str, Tensor]:
        """Return what the critic says of the faces, and how far the first ``count`` are from the originals in what it
        sees."""
        draws, critic, vivid = batch.uniform(8, purpose=3), self.rivals["critic"], self.options.vivid
        with batch.quick:
            patches, whole, features = critic(shown(seen.judged(laid), draws, vivid=vivid), told)
            with torch.no_grad():
                _, _, goals = critic(shown(seen.judged(seen.picture), draws, vivid=vivid), told)
        apart = [
            (found[:count].float() - goal[:count].float()).abs().mean()
            for found, goal in zip(features, goals, strict=True)
        ]
        return {
            "critic": self.options.critic * loss_of_maker((patches.float(), whole.float())),
            "features": self.options.features * torch.stack(apart).mean(),
        }

    def _detail_lost(self, begun: Begun, batch: Batch, seen: Shown, made: Tensor, who: Wanted) -> Tensor:
        """Return how far fine detail is from what the run began with."""
        begun.remember(self.modules["network"])
        with torch.no_grad(), batch.quick:
            planes = seen.planes.contiguous(memory_format=torch.channels_last)
            goal = begun(planes, who.code, who.attributes).float()
        within = seen.hole * seen.inside
        apart = (holes.fine(made) - holes.fine(goal)).abs()
        return (apart * within).sum() / within.sum().clamp(min=1)

    def _identity_losses(self, batch: Batch, faces: Tensor, index: Tensor, who: Wanted) -> dict[str, Tensor]:
        with batch.quick:
            found = self.judges.identity(faces, batch.uniform(judges.DRAWS, purpose=4))
        cosines = judges.cosines(found, who.goals)
        originals = [item[index].float() for item in self.people.identities]
        back = judges.cosines(found, originals)
        return {
            "identity": self.options.identity * ((1 - cosines) * who.known).sum() / who.known.sum(),
            "repel": self.options.repel * (back - who.near.clamp(min=0))[who.count :].clamp(min=0).mean(),
        }

    def _points_loss(self, faces: Tensor, index: Tensor, flips: Tensor, count: int) -> Tensor:
        goal = self.shapes[index]
        turned = goal[:, self.mirror] * goal.new_tensor([-1, 1])
        goal = torch.where((flips < 0.5)[:, None, None], turned, goal)
        apart = self.judges.points(faces) - goal
        # Of the faces of others only pose and expression count.
        reads, writes = self.filter
        kept = (apart[count:].flatten(1) @ reads @ writes).view_as(apart[count:])
        distance = torch.linalg.vector_norm(torch.cat([apart[:count], kept]), dim=2)
        total: Tensor = (distance.clamp(max=0.2) * self.weights).mean()
        return total

    def _look_loss(self, faces: Tensor, attributes: Tensor) -> Tensor:
        told = self.judges.attributes(faces)
        total = (told["age"] / 100 - attributes[:, 0]).abs().clamp(max=0.3).mean() * 10
        for name, (first, width) in _COLUMNS.items():
            goal = attributes[:, first : first + width]
            if name == "gender":
                goal = torch.cat([1 - goal, goal], 1)
            elif name == "expression":
                goal = torch.cat([goal, (1 - goal.sum(1, keepdim=True)).clamp(min=0)], 1)
            total = total - (goal * (told[name] + 1e-3).log()).sum(1).mean()
        return total

    def rival_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The critic's losses on the pictures that ``losses`` has just made."""
        assert self._made is not None
        seen, made, index = self._made.seen, self._made, self._made.index
        draws, critic, vivid = batch.uniform(8, purpose=5), self.rivals["critic"], self.options.vivid
        real, laid = (
            shown(seen.judged(picture), draws, vivid=vivid) for picture in (seen.picture, made.laid)
        )
        # Codes of real faces have the noise of the others': else it told them apart without a look at the picture.
        noise = self.options.noise * normals(batch.uniform(CODE, purpose=6))
        truth = condition(self.people.codes[index] + noise, self.people.attributes[index])
        with batch.quick:
            patches, whole, _ = critic(torch.cat([real, laid]), torch.cat([truth, made.condition]))
        patches, whole, half = patches.float(), whole.float(), len(real)
        result = {"rival": losses_of_critic((patches[:half], whole[:half]), (patches[half:], whole[half:]))}
        # About once in so many steps, by chance, but the same chance in each run. ``forward`` itself is never compiled,
        # which a gradient of a gradient asks for.
        if int(batch.items[0]) % _LAZY == 0:
            few = max(1, half // _FLAT)
            told = critic.forward, real[:few], truth[:few]
            result["flat"] = (self.options.flat * _LAZY / 2) * flatness(*told)
        else:
            result["flat"] = result["rival"].detach() * 0
        return result

    @torch.no_grad()
    def fresh(
        self, network: nn.Module, rows: Integers, *, seed: int, own: bool = False
    ) -> tuple[Shown, Tensor, Tensor]:
        """Return rows as shown, with holes of the usual size, the faces made from codes of the prior (or their own), in
        0..1, and the embeddings that they shall have."""
        network.eval()
        seen, code, attributes = self._given(rows, seed=seed, own=own)
        made = network(seen.planes.contiguous(memory_format=torch.channels_last), code, attributes)
        return seen, seen.laid(made.float()).clamp(-1, 1) * 0.5 + 0.5, self.people.embedding(code)

    def _given(self, rows: Integers, *, seed: int, own: bool) -> tuple[Shown, Tensor, Tensor]:
        chunk = rows.astype(np.int64)
        index = torch.from_numpy(chunk).to(self.device)
        draws = torch.full((len(rows), holes.DRAWS), 0.5, device=self.device)
        seen, attributes = self.scenes.show(chunk, draws, self.side), self.people.attributes[index]
        if own:
            return seen, self.people.codes[index], attributes
        random = normals(self._tensor(uniform(seed, chunk, np.zeros_like(chunk), CODE)))
        return seen, self.people.drawn(random, attributes), attributes

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Figures on test faces, told by the judges that it was trained with: cosines to the original and to the code,
        the share that is taken for the original, how far tones are from the original's, shift of points, sharpness, and
        errors of faces of their own code."""
        rows = self.test[:: max(1, len(self.test) // 256)][:256].astype(np.int64)
        index = torch.from_numpy(rows).to(self.device)
        real = self.people.identities[0][index].float()
        names = [self.portraits.identities[row] or f"/{row}" for row in rows]
        apart = torch.tensor([[one != other for other in names] for one in names], device=self.device)
        strangers = (real @ real.T)[apart]
        threshold = float(torch.quantile(strangers[: 2**23], 1 - FAR))
        parts: dict[str, list[Tensor]] = {}
        for chunk in np.array_split(rows, max(1, len(rows) // 32)):
            truth = self.people.identities[0][torch.from_numpy(chunk).to(self.device)].float()
            seen, faces, goal = self.fresh(network, chunk, seed=1)
            found, other = (
                self.judges.identity(item)[0] for item in (faces, self.fresh(network, chunk, seed=2)[1])
            )
            _, mine, _ = self.fresh(network, chunk, seed=1, own=True)
            picture = seen.picture * 0.5 + 0.5
            moved = self.judges.points(faces) - self.judges.points(picture)
            five = moved[:, list(points.FIVE)].abs().mean((1, 2)) * (SIZE / 2)
            within, same = seen.hole * seen.inside, goal.new_zeros(len(chunk), dtype=torch.bool)
            error = ((mine - picture).abs() * within).sum((1, 2, 3)) / within.sum((1, 2, 3)) / 3
            values = {
                "fresh_cosine": (found * truth).sum(1),
                "fresh_taken": ((found * truth).sum(1) >= threshold).float(),
                "fresh_to_code": (found * goal).sum(1),
                "fresh_to_each_other": (found * other).sum(1),
                "fresh_tone": holes.toned_apart(2 * (faces - picture), within, same),
                "five_shift": five,
                "own_cosine": (self.judges.identity(mine)[0] * truth).sum(1),
                "own_l1": error,
                "sharpness": holes.edges(faces, seen.hole) / holes.edges(picture, seen.hole).clamp(min=1e-6),
            }
            for name, value in values.items():
                parts.setdefault(name, []).append(value)
        result = {name: float(torch.cat(column).mean()) for name, column in parts.items()}
        return {**result, "threshold": threshold, "faces": float(len(rows))}

    def sheet(self, network: nn.Module) -> Bytes:
        """Twelve test faces: the original, what the network is shown, its own code, and four fresh ones."""
        rows = self.test[:: max(1, len(self.test) // 12)][:12].astype(np.int64)
        seen, mine, _ = self.fresh(network, rows, seed=1, own=True)
        columns = [seen.picture * 0.5 + 0.5, seen.planes[:, :3] * 0.5 + 0.5, mine]
        columns += [self.fresh(network, rows, seed=seed)[1] for seed in range(4)]
        return tiled(torch.stack([item.cpu() for item in columns], 1).flatten(0, 1), len(columns))

    def example(self) -> dict[str, Tensor]:
        seen, code, attributes = self._given(self.test[:4], seed=1, own=True)
        return {"planes": seen.planes, "code": code, "attributes": attributes}

    def shipped(self, network: nn.Module) -> nn.Module:
        return Shipped(network)

    def parts(self) -> dict[str, Part]:
        """No other network ships."""
        return {}

    def tables(self, network: nn.Module, digest: str) -> dict[str, tuple[bytes, str]]:
        """The prior of the codes, and the filter of shapes that it was trained behind: it knows no other's lines."""
        codes = "The prior of the generator's identity codes, and which embeddings they stand for: see incog.codes."
        lines = (
            "The part of a shape that is pose and expression, as the generator was shown it while it was trained: see "
            "incog.shape."
        )
        return {"codes": (self.prior.dump(), codes), "shape": (self.kept.dump(), lines)}

    def card(self) -> dict[str, Any]:
        sources = self.portraits.sources
        return {
            "inputs": "planes (B, 8, 128, 128) float32: surroundings R'G'B' in -1..1, 0 where unknown; where they are "
            "known; the hole; the drawing (3) in 0..1; code (B, 96), see incog.codes; attributes (B, 9)",
            "outputs": "R'G'B' (B, 3, 128, 128) float32 in 0..1, of which the hole counts",
            "data": {name: sources.count(name) for name in dict.fromkeys(sources)},
            "output_names": ["face"],
        }


class Begun(nn.Module):
    """The network as it was when the run began: checkpoints hold it, and nothing moves it."""

    taken: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("taken", torch.zeros((), dtype=torch.bool))

    def remember(self, network: nn.Module) -> None:
        """Take over the weights of a network, the first time."""
        if not self.taken:
            self.network.load_state_dict(network.state_dict())
            self.taken.fill_(True)

    def forward(self, planes: Tensor, code: Tensor, attributes: Tensor) -> Tensor:
        face: Tensor = self.network(planes, code, attributes)
        return face


class Shipped(nn.Module):
    """The network with its result in 0..1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor, code: Tensor, attributes: Tensor) -> Tensor:
        face: Tensor = self.network(planes, code, attributes)
        return (face * 0.5 + 0.5).clamp(0, 1)
