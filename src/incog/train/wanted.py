"""Who the faces of a training step shall be: those in the pictures, other people, or people who are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from incog import codes
from incog.codes import Prior
from incog.data.seeds import Integers
from incog.errors import InputError, ModelError, must_be
from incog.train import augment
from incog.train.loop import CHECKPOINT
from incog.train.portraits import Portraits

DRAWS = 4
"""Uniform numbers of a face, besides those of a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """own: share of a batch that keeps its own code, the first of it. Of the others a share ``drawn`` has a code of the
    prior for the look of the picture; up to the share ``alike`` they take the code of somebody of that look (age,
    gender, ethnicity), and the rest anybody's. noise: standard deviation that is added to people's codes. variety: how
    far drawn codes lie from the mean of their look, least and most; 1 is as far as people's."""

    own: float = 0.5
    drawn: float = 0.35
    alike: float = 0.75
    noise: float = 0.1
    variety: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 < self.own < 1:
            raise must_be("own", "above 0 and below 1", self.own)
        if not 0 <= self.drawn <= self.alike <= 1:
            raise must_be("drawn", f"in 0..1 and at most alike, which is {self.alike}", self.drawn)
        if not 0 < self.variety[0] <= self.variety[1]:
            raise must_be("variety", "two numbers above 0, rising", self.variety)


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Who faces shall be. count: how many, the first, keep their own code.

    code: (B, 96). attributes: (B, 9). goals: the embedding (B, D) of each recogniser. known: (B, R), 1 where it knows
    the goal: of drawn codes only the package's own does. near: (B, R), the cosine of goal and original. changed: (B,)
    bool, who shall have another look than the picture's.
    """

    count: int
    code: Tensor
    attributes: Tensor
    goals: list[Tensor]
    known: Tensor
    near: Tensor
    changed: Tensor


def prior_of(portraits: Portraits, rows: Integers, given: Path | None, cache: Path | None) -> Prior:
    """Return the prior of codes, as its file keeps it: that of the run whose ``cache`` this is, where there is a run;
    that of a file, where one is given; or one that is fitted to the rows of the portraits.

    A prior that is fitted anew has other axes: the weights of a run know nobody by them. Raises InputError when a file
    cannot be read, or is not of what the run began with, or of other embeddings.
    """
    kept = None if cache is None else cache / "codes.npz"
    size = portraits.embeddings.shape[1]
    if kept is not None and kept.exists() and (kept.parent.parent / CHECKPOINT).exists():
        prior = _read(kept, size)
        if given is not None and not np.array_equal(prior.axes, _read(given, size).axes):
            raise InputError(f"{given.name} is not the prior of codes that the run began with")
        return prior
    if given is not None:
        prior = _read(given, size)
    else:
        prior = Prior.load(codes.fit(portraits.embeddings[rows], portraits.attributes[rows]).dump())
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(prior.dump())
    return prior


def _read(path: Path, size: int) -> Prior:
    try:
        prior = Prior.load(path.read_bytes())
    except (OSError, ModelError) as error:
        raise InputError(f"the prior of codes {path.name} cannot be read: {error}") from error
    if len(prior.mean) != size:
        raise InputError(
            f"the prior of codes {path.name} must be of embeddings of {size} numbers, got {len(prior.mean)}"
        )
    return prior


class People:
    """Codes, looks and embeddings of portraits, and who may take whose.

    rows: those that codes may be taken of. identities: what each recogniser says of all portraits, (N, D) each, the
    package's own first.
    """

    def __init__(
        self,
        portraits: Portraits,
        rows: Integers,
        prior: Prior,
        identities: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        self.device, self.identities = device, identities
        self.attributes = self._tensor(portraits.attributes)
        self.codes = self._tensor(prior.code(portraits.embeddings))
        self._prior = {name: self._tensor(value) for name, value in asdict(prior).items()}
        looks = portraits.attributes
        age = np.digitize(looks[:, 0], (0.12, 0.25, 0.45))
        groups = (age * 2 + (looks[:, 1] > 0.5)) * 5 + looks[:, 2:7].argmax(1)
        mine = groups[rows]
        order = np.argsort(mine, kind="stable")
        starts, sizes = np.searchsorted(mine[order], groups), np.bincount(mine, minlength=64)[groups]
        # A look that nobody among the rows has takes anybody.
        starts, sizes = np.where(sizes > 0, starts, 0), np.where(sizes > 0, sizes, len(order))
        self._by_look, self._starts, self._sizes = (
            torch.from_numpy(item).to(device) for item in (rows[order], starts, sizes)
        )
        people: dict[tuple[str, str], list[int]] = {}
        for row, (source, person) in enumerate(zip(portraits.sources, portraits.identities, strict=True)):
            people.setdefault((source, person) if person else ("", str(row)), []).append(row)
        another = np.arange(len(portraits))
        for pictures in people.values():
            another[pictures] = np.roll(pictures, 1)
        self._another = torch.from_numpy(another).to(device)

    def _tensor(self, values: Any) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)

    def wanted(self, index: Tensor, shares: Shares, draws: Tensor, uniforms: Tensor) -> Wanted:
        """Return who the faces of rows ``index`` (B,) shall be. draws: (B, 4). uniforms: (B, 96)."""
        count = min(max(round(len(index) * shares.own), 1), len(index) - 1)
        own = torch.arange(len(index), device=self.device) < count
        random = normals(uniforms)
        kind = draws[:, 0]
        drawn = ~own & (kind < shares.drawn)
        alike = kind < shares.alike
        place = torch.where(alike, self._starts[index], 0)
        size = torch.where(alike, self._sizes[index], len(self._by_look))
        donor = self._by_look[(place + (draws[:, 1] * size).long()).clamp(max=len(self._by_look) - 1)]
        source = torch.where(own, torch.where(draws[:, 2] < 0.5, index, self._another[index]), donor)
        # Who takes a person's code takes the look as well, but for the expression: else the critic knew a made face by
        # a code and a look that do not belong together.
        attributes = self.attributes[index].clone()
        taken = ~own & ~drawn
        attributes[taken, : codes.LOOK] = self.attributes[source[taken], : codes.LOOK]
        fresh = self.drawn(random * augment.between(draws[:, 3:4], *shares.variety), attributes)
        code = torch.where(drawn[:, None], fresh, self.codes[source] + shares.noise * random)
        goals = [item[source].float() for item in self.identities]
        goals[0] = torch.where(drawn[:, None], self.embedding(code), goals[0])
        known = torch.stack([torch.ones_like(drawn), *(~drawn for _ in goals[1:])], 1).float()
        near = [
            (goal * item[index].float()).sum(1) for goal, item in zip(goals, self.identities, strict=True)
        ]
        return Wanted(count, code, attributes, goals, known, torch.stack(near, 1), ~own & ~alike)

    def drawn(self, random: Tensor, attributes: Tensor) -> Tensor:
        """Return codes of the prior, (B, 96): see ``Prior.draw``. random: (B, 96) standard normal."""
        look = attributes[:, : codes.LOOK]
        given = torch.cat([torch.ones_like(look[:, :1]), look, look[:, :1].square()], 1)
        return given @ self._prior["slopes"] + random @ self._prior["rest"].T

    def embedding(self, code: Tensor) -> Tensor:
        """Return the embeddings that codes stand for, (B, D): see ``Prior.embedding``."""
        rows = self._prior["mean"] + (code * self._prior["spread"]) @ self._prior["axes"].T
        return functional.normalize(rows, dim=1)


def normals(uniforms: Tensor) -> Tensor:
    """Return standard normal numbers of uniform ones."""
    return torch.erfinv((uniforms * 2 - 1).clamp(-0.9999, 0.9999)) * sqrt(2)
