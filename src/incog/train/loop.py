"""The training loop: one loop for all tasks, its schedules keyed to wall time."""

from __future__ import annotations

import copy
import json
import math
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from incog.data import seeds
from incog.errors import InputError, OutputError, TrainingError
from incog.train.recipe import Recipe
from incog.types import Bytes

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 120.0
TELL_SECONDS = 10.0
SHEET_SECONDS = 600.0
_TRUNK = "trunk."


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step is made of: which items, in which epoch, how far the run is, and random numbers of the items.

    items, epochs: (B,) int64. progress: share of the budget, 0..1. resolution: side in pixels, by the recipe.
    """

    items: seeds.Integers
    epochs: seeds.Integers
    progress: float
    resolution: int
    seed: int
    device: torch.device

    def uniform(self, count: int, *, purpose: int = 0) -> Tensor:
        """Return (B, count) float32 in [0, 1) that belong to item and epoch; another ``purpose``, other numbers."""
        drawn = seeds.uniform(self.seed + 7919 * purpose, self.items, self.epochs, count)
        return torch.from_numpy(drawn).to(self.device)

    @property
    def quick(self) -> torch.autocast:
        """The context in which networks are run: convolutions and matrices in bfloat16 where that is quicker."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=knows_bfloat16(self.device.type))

    @property
    def rows(self) -> Tensor:
        """The items as an index tensor on the device."""
        return torch.from_numpy(self.items).to(self.device)


class Part(Protocol):
    """What of a trained network becomes a file."""

    def example(self) -> Tensor:
        """Return real input, (B, ...) float32, as the exported file takes it."""

    def shipped(self, network: nn.Module) -> nn.Module:
        """Return the network as it is exported, from pixels 0..255 to what users read."""

    def card(self) -> dict[str, Any]:
        """Return the facts of the file: ``inputs`` and ``outputs`` in words, ``data`` (faces by source); where they are
        not the usual, ``about``, ``input_name``, ``output_names`` and ``dynamic`` (axis -> name) too."""


class Task(Part, Protocol):
    """What a recipe trains: data, networks, losses and held-out figures.

    modules: ``network`` ships, the others only help to train it. items: how many there are in an epoch. A task may be
    an ``Adversarial`` one, or one of ``Several`` files.
    """

    modules: nn.ModuleDict
    items: int

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return named scalars; their sum is minimised."""

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return figures on held-out data."""

    def sheet(self, network: nn.Module) -> Bytes:
        """Return a picture of samples, (H, W, 3) uint8 RGB."""


@runtime_checkable
class Several(Protocol):
    """What a task has in addition that ships more files than one, NAME-END each."""

    def parts(self) -> Mapping[str, Part]:
        """Return what else of the network becomes a file, by the end of its name."""

    def tables(self, network: nn.Module, digest: str) -> Mapping[str, tuple[bytes, str]]:
        """Return tables as NPZ and what they are in words, by the end of their names. digest: SHA-256 of the first
        file, which they belong to."""


@runtime_checkable
class Adversarial(Protocol):
    """What a task has in addition whose network plays against others.

    rivals: those others, with an optimiser of their own; they are frozen while ``losses`` of the task is computed.
    """

    rivals: nn.ModuleDict

    def rival_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return named scalars whose sum the rivals minimise. Called after the step of the modules: ``losses`` may keep
        what it made, detached, to be judged here."""


@cache
def knows_bfloat16(kind: str) -> bool:
    """Return whether a device of this kind computes in bfloat16: newer GPUs do, and some processors; others take ten
    times as long for it as in single precision."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = Path("/proc/cpuinfo")
    return flags.exists() and "avx512_bf16" in flags.read_text("utf-8")


def make_device(name: str) -> torch.device:
    """Return the device: ``cpu``, ``cuda`` or the better of them for ``auto``."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here", hint="use --device cpu")
    return torch.device(name)


def rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate at a share of the budget: a linear rise, then half a cosine."""
    if progress < recipe.warmup:
        return recipe.rate * max(progress / recipe.warmup, 0.01)
    rest = min((progress - recipe.warmup) / max(1 - recipe.warmup, 1e-9), 1.0)
    return recipe.rate * (recipe.final + (1 - recipe.final) * 0.5 * (1 + math.cos(math.pi * rest)))


def resolution(recipe: Recipe, progress: float) -> int:
    """Return the side in pixels at a share of the budget."""
    return [side for share, side in recipe.resolutions if share <= progress][-1]


class Run:
    """One training in a folder. ``go`` trains until the budget is spent, resuming where the folder's checkpoint is."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        out: Path,
        *,
        device: torch.device,
        tell: Callable[[str], None] = print,
        compiled: bool = False,
    ) -> None:
        """compiled: whether the network is compiled for a CPU too, which takes a minute for each resolution and a C++
        compiler, and makes it a tenth to a fifth quicker."""
        self.recipe, self.task, self.out, self.device, self.tell = recipe, task, out, device, tell
        self.compiled = compiled or device.type == "cuda"
        task.modules.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(task.modules["network"]).eval()
        for parameter in self.average.parameters():
            parameter.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            _groups(task.modules, recipe.decay), lr=recipe.rate, betas=recipe.betas, fused=True
        )
        self.rivals: nn.ModuleDict | None = None
        self.rival_optimiser: torch.optim.Optimizer | None = None
        if isinstance(task, Adversarial):
            self.rivals = task.rivals.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.rival_optimiser = torch.optim.AdamW(
                _groups(self.rivals, 0.0), lr=recipe.rate, betas=recipe.betas, fused=True
            )
        self.elapsed = 0.0
        self.images = 0
        self.steps = 0

    def go(self) -> dict[str, float]:
        """Train, keep checkpoints, a log and sample sheets, and return the figures of the averaged network.

        Raises TrainingError when a loss is not a number; the checkpoint then is the last good one. A run that is
        stopped from outside saves first.
        """
        try:
            self._until_spent()
        except (KeyboardInterrupt, SystemExit):
            self.save()
            raise
        self.save()
        figures = self._show()
        (self.out / "measured.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
        return figures

    def _until_spent(self) -> None:
        if self.compiled:
            self.task.modules["network"].compile(dynamic=False)
        saved = shown = drawn = time.monotonic()
        sums: dict[str, float] = {}
        count = images = 0
        before = self.elapsed
        began: float | None = None
        while self.elapsed < self.recipe.budget:
            losses = self.step()
            now = time.monotonic()
            if began is None:
                # The first step compiles and warms up: it does not count.
                began = saved = shown = drawn = now
            self.elapsed = before + now - began
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value
            count, images = count + 1, images + self.recipe.batch
            if now - shown >= TELL_SECONDS:
                means = {name: value / count for name, value in sums.items()}
                self._log(means, images / (now - shown))
                sums, count, images, shown = {}, 0, 0, now
            if now - saved >= CHECKPOINT_SECONDS:
                self.save()
                saved = now
            if now - drawn >= SHEET_SECONDS:
                self._show()
                drawn = now

    def step(self) -> dict[str, float]:
        """Do one step and return its losses."""
        recipe, progress = self.recipe, min(self.elapsed / self.recipe.budget, 1.0)
        now = rate(recipe, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = now
        items, epochs = seeds.batch(recipe.seed, self.images, recipe.batch, self.task.items)
        batch = Batch(items, epochs, progress, resolution(recipe, progress), recipe.seed, self.device)
        self.task.modules.train()
        if self.rivals is not None:
            self.rivals.train().requires_grad_(False)
        losses = self.task.losses(batch)
        self._descend(self.task.modules, self.optimiser, losses)
        if isinstance(self.task, Adversarial) and self.rival_optimiser is not None:
            for group in self.rival_optimiser.param_groups:
                group["lr"] = now * recipe.rival_rate
            self.task.rivals.requires_grad_(True)
            theirs = self.task.rival_losses(batch)
            self._descend(self.task.rivals, self.rival_optimiser, theirs)
            losses = {**losses, **theirs}
        self.images += recipe.batch
        self.steps += 1
        self._move_average(progress)
        values = torch.stack([value.detach().float() for value in losses.values()]).tolist()
        return dict(zip(losses, values, strict=True))

    def _descend(
        self, modules: nn.Module, optimiser: torch.optim.Optimizer, losses: Mapping[str, Tensor]
    ) -> None:
        """Take a step down the sum of the losses. Raises TrainingError, before the step, where it is not a number."""
        total = torch.stack([value.float() for value in losses.values()]).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(modules.parameters(), self.recipe.clip)
        if not bool(torch.isfinite(total + norm)):
            bad = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
            kept = self.out / CHECKPOINT
            hint = "try a lower rate"
            if kept.exists():
                hint = f"{kept} is the last good state; resume it with another seed or a lower rate"
            raise TrainingError(
                f"{', '.join(bad) or 'the gradient'} is not a number after {self.steps} steps", hint=hint
            )
        optimiser.step()

    @torch.no_grad()
    def _move_average(self, progress: float) -> None:
        started = progress >= self.recipe.average_start
        # Young averages forget faster, or the first weights would linger.
        keep = min(self.recipe.average, (1 + self.steps) / (10 + self.steps)) if started else 0.0
        live = self.task.modules["network"].state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(live[name], 1 - keep)
            else:
                kept.copy_(live[name])

    def save(self) -> None:
        """Write the checkpoint: whole or not at all."""
        state: dict[str, Any] = {
            "modules": self.task.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "elapsed": self.elapsed,
            "images": self.images,
            "steps": self.steps,
            "recipe": self.recipe.dump(),
            "hardware": hardware(self.device),
        }
        if self.rivals is not None and self.rival_optimiser is not None:
            state["rivals"] = self.rivals.state_dict()
            state["rival_optimiser"] = self.rival_optimiser.state_dict()
        part = self.out / (CHECKPOINT + ".part")
        try:
            torch.save(state, part)
            part.replace(self.out / CHECKPOINT)
        except OSError as error:
            raise OutputError(f"the checkpoint cannot be written: {error}") from error

    def load(self) -> None:
        """Go on from the folder's checkpoint, by this run's recipe, which is written beside it.

        Raises InputError when there is none, or it is of another network; the folder then stays as it was.
        """
        state = read_checkpoint(self.out)
        try:
            self.task.modules.load_state_dict(state["modules"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.rivals is not None and self.rival_optimiser is not None:
                self.rivals.load_state_dict(state["rivals"])
                self.rival_optimiser.load_state_dict(state["rival_optimiser"])
            self.elapsed, self.images, self.steps = state["elapsed"], state["images"], state["steps"]
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the checkpoint in {self.out} is of another network or recipe: {error}"
            ) from error
        (self.out / "recipe.toml").write_text(self.recipe.dump(), "utf-8")

    def start(self, path: Path, *, trunk: bool = False) -> None:
        """Begin with the weights of a file of ``incog train export --weights``, not with random ones. trunk: with those
        of the trunk alone, which another network may have too.

        Raises InputError when it cannot be read or is of another network.
        """
        network = self.task.modules["network"]
        try:
            with np.load(path, allow_pickle=False) as file:
                stored = {name: torch.from_numpy(file[name]) for name in file.files}
            if trunk:
                rest = {
                    name: values
                    for name, values in network.state_dict().items()
                    if not name.startswith(_TRUNK)
                }
                stored = rest | {name: values for name, values in stored.items() if name.startswith(_TRUNK)}
            network.load_state_dict(stored)
        except (OSError, EOFError, ValueError, RuntimeError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} holds no weights of this network: {error}") from error
        self.average.load_state_dict(network.state_dict())

    def _log(self, losses: Mapping[str, float], speed: float) -> None:
        progress = min(self.elapsed / self.recipe.budget, 1.0)
        record = {
            "elapsed": round(self.elapsed, 1),
            "images": self.images,
            "images_per_second": round(speed, 1),
            "rate": rate(self.recipe, progress),
            **{name: round(value, 5) for name, value in losses.items()},
        }
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        left = max(self.recipe.budget - self.elapsed, 0)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self.tell(f"{100 * progress:5.1f} %  {speed:6.1f} images/s  {left / 60:5.1f} min left  {shown}")

    def _show(self) -> dict[str, float]:
        # Batches of other sizes, for which nothing is worth compiling anew.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            figures = self.task.measure(self.average)
            sheet = self.task.sheet(self.average)
        with (self.out / "figures.jsonl").open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"elapsed": round(self.elapsed, 1), "images": self.images, **figures}) + "\n"
            )
        self.tell("held out: " + "  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
        name = self.out / f"sheet-{round(self.elapsed):06d}.png"
        ok, data = cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))
        if ok:
            name.write_bytes(data.tobytes())
        return figures


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the checkpoint of a run's folder. Raises InputError when there is none or it cannot be read."""
    path = folder / CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no checkpoint in {folder}", hint="leave out --resume to begin anew"
        ) from error
    except Exception as error:
        raise InputError(f"the checkpoint {path} cannot be read: {error}") from error
    return state


def open_folder(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make the run's folder and write the recipe into it; a run to be resumed stays as it is.

    Raises OutputError when the folder holds a run already, InputError when there is none to resume.
    """
    kept = out / CHECKPOINT
    if resume:
        if not kept.exists():
            raise InputError(f"there is no checkpoint in {out}", hint="leave out --resume to begin anew")
        return
    if kept.exists():
        raise OutputError(f"{out} already holds a run", hint="add --resume, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    for old in ("log.jsonl", "figures.jsonl"):
        (out / old).unlink(missing_ok=True)
    (out / "recipe.toml").write_text(recipe.dump(), "utf-8")


def hardware(device: torch.device) -> str:
    """Return the device in words, for the card."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    model = "CPU"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' if threads > 1 else ''} of {os.cpu_count()}"


def _groups(modules: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Decay kernels and matrices, not norms, biases and slopes."""
    matrices = [item for item in modules.parameters() if item.requires_grad and item.ndim > 1]
    others = [item for item in modules.parameters() if item.requires_grad and item.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
