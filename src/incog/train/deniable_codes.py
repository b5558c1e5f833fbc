"""The prior of the generator's deniable codes fitted: which codes people have, given what anybody sees of them.

``python -m incog.train.deniable_codes --data NAME=PATH ... --models FOLDER`` takes pictures with their surroundings
through the package's own networks as ``incog hide`` does, those of ``--mirrored`` sources turned over as well, and
learns a flow by PyTorch. What ships had ``--mirrored lfw --usual lfw``. What is read of the pictures is kept with
``--kept FILE``, for another try.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from incog import models
from incog.data.faces import Sample, Split, split_of, workers
from incog.deniable import seeing
from incog.deniable.codes import NAME, CodePrior
from incog.deniable.flow import Doubles, Flow
from incog.deniable.prior import BITS
from incog.errors import InputError
from incog.methods.generated import NETWORK
from incog.methods.looking import look_of
from incog.models import Card
from incog.perceive.hulls import FaceHulls, make_hulls
from incog.train.deniable import crops_of, evenly, normality
from incog.types import Floats

LAYERS = 8
WIDTH = 128
"""Of the networks of a layer."""

NOISE = 0.16
"""Share of the variance of codes that is drawn anew."""

ROUNDS = 60
"""Passes over the faces."""

BATCH = 256
RATE = 1e-3
DECAY = 1e-2
DROPOUT = 0.1

_RIDGE = 3e-3


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Faces. people: (N,) who each shows, or its name. splits, sources: (N,). codes: (N, 96), told: (N, F) float32, see
    ``incog.deniable.seeing``."""

    people: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]
    sources: npt.NDArray[np.str_]
    codes: Floats
    told: Floats

    def rows(self, split: Split) -> npt.NDArray[np.bool_]:
        """Return which faces are of a split, (N,)."""
        return np.asarray(self.splits == split, np.bool_)


def gather(
    sources: Mapping[str, Path],
    *,
    splits: Sequence[Split] = ("train", "dev", "test"),
    mirrored: Sequence[str] = (),
    most: int | None = None,
) -> Table:
    """Return the faces of splits that the generator can draw. mirrored: sources whose pictures are turned over as well,
    but for those of people that are held out. most: of each source, evenly."""
    hulls = make_hulls()

    def read(job: tuple[str, str, Sample]) -> list[tuple[str, Split, str, Floats, Floats]]:
        source, key, sample = job
        split = split_of(key)
        both = source in mirrored and split == "train"
        return [(key, split, source, *found) for found in _read(sample, hulls, mirrored=both)]

    with ThreadPoolExecutor(workers()) as pool:
        rows = [row for found in pool.map(read, evenly(sources, splits, most)) for row in found]
    if not rows:
        raise InputError("the data holds no faces that can be drawn")
    people, parts_of, names, codes, told = zip(*rows, strict=True)
    return Table(np.array(people), np.array(parts_of), np.array(names), np.stack(codes), np.stack(told))


def _read(sample: Sample, hulls: FaceHulls, *, mirrored: bool) -> Iterator[tuple[Floats, Floats]]:
    for crop in crops_of(sample, hulls, mirrored=mirrored):
        pose = seeing.pose_of(crop)
        if pose is not None:
            yield seeing.code_of(crop), seeing.told_of(pose, look_of(crop))


class Coupling(nn.Module):
    """One layer of ``incog.deniable.flow.Flow``."""

    def __init__(self, size: int, given: int, width: int) -> None:
        super().__init__()
        turn, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))
        # As the file keeps it, so that what is learnt is what is read.
        self.register_buffer("turn", turn.half().float())
        self.first = nn.Linear(size // 2 + given, width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, size)
        self.drop = nn.Dropout(DROPOUT)
        nn.init.zeros_(self.third.weight)
        nn.init.zeros_(self.third.bias)

    def forward(self, values: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return what becomes of values (B, D), and the logarithm of the volume's change, (B,)."""
        turn = self._buffers["turn"]
        assert turn is not None
        kept, moved = (values @ turn).chunk(2, 1)
        inner = self.drop(nn.functional.silu(self.first(torch.cat([kept, given], 1))))
        inner = self.drop(nn.functional.silu(self.second(inner)))
        stretch, shift = self.third(inner).chunk(2, 1)
        stretch = torch.tanh(stretch)
        return torch.cat([kept, moved * torch.exp(stretch) + shift], 1), stretch.sum(1)


class Couplings(nn.Module):
    """The whole flow."""

    def __init__(self, size: int, given: int, *, layers: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Coupling(size, given, width) for _ in range(layers))

    def forward(self, values: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers (B, D) of values (B, D), and the logarithm of the volume's change, (B,)."""
        volume = torch.zeros(len(values))
        for layer in self.layers:
            values, change = layer(values, given)
            volume = volume + change
        return values, volume

    def flow(self) -> Flow:
        """Return the flow as it is run without PyTorch."""
        rows: dict[str, list[npt.NDArray[np.float32]]] = {}
        for layer in self.layers:
            assert isinstance(layer, Coupling)
            turn = layer._buffers["turn"]
            assert turn is not None
            rows.setdefault("turns", []).append(turn.numpy())
            for name in ("first", "second", "third"):
                linear: nn.Linear = getattr(layer, name)
                rows.setdefault(name, []).append(linear.weight.detach().numpy().T)
                rows.setdefault(f"{name}_shift", []).append(linear.bias.detach().numpy())
        return Flow(**{name: np.stack(parts).astype(np.float32) for name, parts in rows.items()})


def unlikely(numbers: Tensor, volume: Tensor) -> Tensor:
    """Return the negative logarithm of the density of each, (B,), in nats, but for a constant."""
    return 0.5 * numbers.square().sum(1) - volume


def fit(
    table: Table,
    digest: str,
    *,
    usual: Sequence[str] = (),
    noise: float = NOISE,
    rounds: int = ROUNDS,
    layers: int = LAYERS,
    width: int = WIDTH,
    seed: int = 0,
    tell: Any = print,
) -> CodePrior:
    """Return the prior of the faces of the split ``train`` of a table, its reach by those of ``dev``.

    digest: SHA-256 of the generator. usual: the sources whose people the reach goes by; none: all.
    """
    known = table.rows("train")
    codes, told = (item[known].astype(np.float64) for item in (table.codes, table.told))
    mean, spread = told.mean(0), told.std(0) + 1e-6
    near = np.clip((told - mean) / spread, -4, 4)
    given = np.concatenate([near, np.ones((len(near), 1))], 1)
    held = np.diag(np.append(np.full(near.shape[1], _RIDGE * len(near)), 0))
    slopes = np.linalg.solve(given.T @ given + held, given.T @ codes)
    left = codes - given @ slopes
    root = np.linalg.cholesky(left.T @ left / len(left))
    nothing = np.zeros(0, np.float32)
    made = CodePrior(
        mean=_single(mean),
        spread=_single(spread),
        slopes=_single(slopes),
        root=_single(root),
        noise=noise,
        flow=Flow(*(nothing for _ in Flow.__slots__)),
        reach=1.0,
        model=digest,
    )
    learnt = _learn(made, table, rounds=rounds, layers=layers, width=width, seed=seed, tell=tell)
    return replace(made, flow=learnt, reach=_reach(replace(made, flow=learnt), table, usual))


def _reach(made: CodePrior, table: Table, usual: Sequence[str]) -> float:
    """Return the standard deviation of numbers of people who were not learnt from."""
    rows = table.rows("dev") & (np.isin(table.sources, list(usual)) if usual else True)
    if not rows.any():
        return 1.0
    codes, told = table.codes[rows], table.told[rows]
    noise = np.random.default_rng(0).normal(size=codes.shape)
    return float(np.sqrt(np.square(made.numbers(made.noisy(codes, told, noise), told)).mean()))


def _single(values: Doubles) -> Floats:
    return np.asarray(values, np.float32)


def _learn(
    made: CodePrior, table: Table, *, rounds: int, layers: int, width: int, seed: int, tell: Any
) -> Flow:
    whites, parts = [], []
    for who in (table.rows("train"), table.rows("test")):
        expected, given = made.expected(table.told[who])
        left = np.linalg.solve(made.root.astype(np.float64), (table.codes[who] - expected).T).T
        whites.append(torch.from_numpy(left.astype(np.float32)))
        parts.append(torch.from_numpy(given.astype(np.float32)))
    keep, lost = (1 - made.noise) ** 0.5, made.noise**0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Couplings(whites[0].shape[1], parts[0].shape[1], layers=layers, width=width)
        optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds)
        for number in range(rounds):
            network.train()
            for rows in torch.split(torch.randperm(len(whites[0])), BATCH):
                values = keep * whites[0][rows] + lost * torch.randn(len(rows), whites[0].shape[1])
                loss = unlikely(*network(values, parts[0][rows])).mean()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimiser.step()
            schedule.step()
            if number % 10 == 9 and len(whites[1]):
                network.eval()
                with torch.inference_mode():
                    values = keep * whites[1] + lost * torch.randn(whites[1].shape)
                    found = unlikely(*network(values, parts[1])).mean()
                tell(f"{number + 1} of {rounds} passes: {loss:.2f} nats, held out {found:.2f}")
    return network.flow()


def measured(made: CodePrior, table: Table, seed: int = 1) -> dict[str, float]:
    """Return how near codes of held-out people are to standard normal: their variance, the mean of their squared
    lengths relative to their size and its standard deviation relative to what it should be, and the share of words in
    the outer tenth; and how much of the codes' variance is expected by what is told."""
    rows = table.rows("test")
    codes, told = table.codes[rows], table.told[rows]
    noise = np.random.default_rng(seed).normal(size=codes.shape)
    numbers = made.numbers(made.noisy(codes, told, noise), told)
    expected, _ = made.expected(told)
    left = np.square(codes - expected).sum() / np.square(codes - codes.mean(0)).sum()
    return normality(numbers) | {
        "expected": round(float(1 - left), 3),
    }


TERMS = {
    "lfw": "Labeled Faces in the Wild: research",
    "utkface": "UTKFace: non-commercial research",
    "synthetic": "generated faces, licence unclear: training only",
}
LIMITS = [
    "Learnt from some 20,000 faces: right codes can still be told from wrong ones by it, see docs/deniable.md.",
    "In pictures of another kind than it was learnt from right codes stand out more.",
    "Belongs to the generator and the embedder of the same version.",
]


def card_of(made: CodePrior, data: bytes, table: Table, seconds: float) -> Card:
    """Return the card of the prior's file."""
    sizes = [part.size for part in asdict(made.flow).values()]
    names, known = [str(name) for name in np.unique(table.sources)], table.rows("train")
    return Card(
        name=NAME,
        about="The prior of the generator's deniable codes: which codes people have, given what stays visible of them.",
        file=f"{NAME}.npz",
        sha256=hashlib.sha256(data).hexdigest(),
        layout="arrays by name, NPZ",
        outputs=f"{made.size} numbers of a code, {BITS} bits each",
        parameters=int(made.slopes.size + made.root.size + sum(sizes)),
        multiply_adds=int(made.slopes.size + made.root.size + sum(sizes)),
        data={name: int((known & (table.sources == name)).sum()) for name in names},
        terms={name: text for name, text in TERMS.items() if name in names},
        recipe="src/incog/train/deniable_codes.py",
        seconds=round(seconds),
        images=int(known.sum()) * ROUNDS,
        hardware=platform.processor() or platform.machine(),
        measured=measured(CodePrior.load(data, made.model), table),
        export_difference=0.0,
        limits=LIMITS,
    )


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.deniable_codes", description=__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--mirrored", action="append", default=[], metavar="NAME")
    parser.add_argument(
        "--usual", action="append", default=[], metavar="NAME", help="sources like the pictures in use"
    )
    parser.add_argument("--most", type=int, help="faces of each source, by default all")
    parser.add_argument("--kept", type=Path, help="file that holds what was read of the pictures, or will")
    parser.add_argument("--models", type=Path, required=True)
    given: Any = parser.parse_args(arguments)
    pairs = [item.partition("=") for item in given.data]
    began = time.monotonic()
    if given.kept is not None and given.kept.exists():
        with np.load(given.kept, allow_pickle=False) as file:
            table = Table(*(file[name] for name in Table.__slots__))
    else:
        sources = {name: Path(path) for name, _, path in pairs}
        table = gather(sources, mirrored=given.mirrored, most=given.most)
        if given.kept is not None:
            np.savez(given.kept, **{name: getattr(table, name) for name in Table.__slots__})
    made = fit(table, models.RECORDS[NETWORK].sha256, usual=given.usual)
    data = made.dump()
    card = card_of(made, data, table, time.monotonic() - began)
    (given.models / card.file).write_bytes(data)
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"
    (given.models / f"{card.name}.card.json").write_text(text, "utf-8")
    print(f"{card.file}: {len(data)} bytes, {card.measured}")


if __name__ == "__main__":
    main()
