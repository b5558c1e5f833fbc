"""The loop: a tiny task learns, time rules the schedules, and a run goes on where it was left."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from torch import Tensor, nn  # noqa: E402

from incog.data import seeds  # noqa: E402
from incog.errors import InputError, OutputError, TrainingError  # noqa: E402
from incog.train import loop  # noqa: E402
from incog.train.loop import Adversarial, Batch, Run, open_folder, read_checkpoint  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402

CPU = torch.device("cpu")
RECIPE = Recipe(
    task="tiny",
    name="tiny",
    data=(),
    seed=3,
    budget=0.5,
    batch=16,
    rate=0.05,
    decay=0.0,
    average=0.9,
    final=0.01,
)


class Tiny:
    """Learns a linear map of 8 numbers from 64 noisy pictures of it. broken: step at which the loss is no number."""

    def __init__(self, width: int = 8, broken: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(64, 8, generator=generator)
        self.truth = torch.randn(8, 1, generator=generator)
        layers = [nn.Linear(8, width), nn.BatchNorm1d(width), nn.Linear(width, 1)]
        for layer in layers:
            for parameter in layer.parameters():
                nn.init.normal_(parameter, 0.5, 0.1, generator=generator)
        self.modules = nn.ModuleDict({"network": nn.Sequential(*layers)})
        self.items = 64
        self.broken = broken
        self.seen: list[Batch] = []

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        self.seen.append(batch)
        noise = batch.uniform(8) * 0.01
        error = (
            self.modules["network"](self.inputs[batch.rows] + noise) - self.inputs[batch.rows] @ self.truth
        )
        odd = error.mean() * (math.nan if len(self.seen) - 1 == self.broken else 0)
        return {"error": error.square().mean(), "odd": odd}

    def measure(self, network: nn.Module) -> dict[str, float]:
        return {"error": float((network(self.inputs) - self.inputs @ self.truth).square().mean())}

    def sheet(self, network: nn.Module) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.zeros((4, 6, 3), np.uint8)

    def example(self) -> Tensor:
        return self.inputs[:2]

    def shipped(self, network: nn.Module) -> nn.Module:
        return network

    def card(self) -> dict[str, Any]:
        return {}


def _run(
    out: Path, recipe: Recipe = RECIPE, *, resume: bool = False, **task: Any
) -> tuple[Run, Tiny, list[str]]:
    lines: list[str] = []
    open_folder(out, recipe, resume=resume)
    tiny = Tiny(**task)
    run = Run(recipe, tiny, out, device=CPU, tell=lines.append)
    if resume:
        run.load()
    return run, tiny, lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace the loop's clock by one that advances ``step`` seconds whenever it is read."""
    time = SimpleNamespace(now=100.0, step=1.0)

    def monotonic() -> float:
        time.now += time.step
        return time.now

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=monotonic))
    return time


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Learning


def test_a_tiny_task_is_learnt(clock: SimpleNamespace, tmp_path: Path) -> None:
    recipe = replace(RECIPE, budget=400)
    run, tiny, lines = _run(tmp_path / "run", recipe)
    before = tiny.measure(run.average)["error"]
    figures = run.go()
    assert figures["error"] < before / 100
    assert figures == tiny.measure(run.average)
    assert run.images == run.steps * RECIPE.batch
    folder = tmp_path / "run"
    assert json.loads((folder / "measured.json").read_text()) == figures
    assert _lines(folder / "figures.jsonl")[-1]["images"] == run.images
    assert Recipe.load(folder / "recipe.toml") == recipe
    assert len(list(folder.glob("sheet-*.png"))) == 1
    assert lines[-1].startswith("held out: error ")


def test_wall_time_ends_the_run(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path, replace(RECIPE, budget=0.1))
    began = monotonic()
    run.go()
    assert 0.1 <= run.elapsed <= monotonic() - began
    assert run.steps > 1


def test_the_budget_is_kept_to_the_step(clock: SimpleNamespace, tmp_path: Path) -> None:
    clock.step = 10.0
    run, tiny, lines = _run(tmp_path, replace(RECIPE, budget=700))
    run.go()
    # The clock is read once before the first step and once after each; the first step is not counted.
    assert run.elapsed == 700
    assert run.steps == 71
    assert [batch.progress for batch in tiny.seen[1:]] == pytest.approx(np.arange(70) / 70)
    log = _lines(tmp_path / "log.jsonl")
    assert [row["elapsed"] for row in log] == [10.0 * n for n in range(1, 71)]
    assert log[1]["images_per_second"] == pytest.approx(RECIPE.batch / 10)
    # A sheet every ten minutes, and one at the end.
    assert [path.name for path in sorted(tmp_path.glob("sheet-*.png"))] == [
        "sheet-000600.png",
        "sheet-000700.png",
    ]
    assert " min left" in lines[0]


def test_checkpoints_come_every_two_minutes(
    clock: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.step = 20.0
    run, _, _ = _run(tmp_path, replace(RECIPE, budget=500))
    saved: list[float] = []
    monkeypatch.setattr(run, "save", lambda: saved.append(run.elapsed))
    run.go()
    assert saved == [120, 240, 360, 480, 500]


# Schedules


def test_the_rate_rises_and_falls() -> None:
    recipe = replace(RECIPE, rate=2.0, warmup=0.1, final=0.05)
    assert loop.rate(recipe, 0.0) == pytest.approx(0.02)
    assert loop.rate(recipe, 0.05) == pytest.approx(1.0)
    assert loop.rate(recipe, 0.1) == pytest.approx(2.0)
    assert loop.rate(recipe, 0.55) == pytest.approx(2 * (0.05 + 0.95 / 2))
    assert loop.rate(recipe, 1.0) == pytest.approx(0.1)
    assert loop.rate(recipe, 1.5) == pytest.approx(0.1)
    rates = [loop.rate(recipe, share) for share in np.linspace(0.1, 1, 50)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_the_rate_without_a_rise_or_a_fall(warmup: float) -> None:
    recipe = replace(RECIPE, rate=2.0, warmup=warmup)
    assert loop.rate(recipe, 1 - 1e-9) == pytest.approx(2.0 if warmup else 0.02, abs=1e-3)
    assert loop.rate(recipe, 1e-9) == pytest.approx(0.02 if warmup else 2.0, abs=1e-3)


def test_the_resolution_goes_by_the_share_of_the_budget() -> None:
    recipe = replace(RECIPE, resolutions=((0.0, 64), (0.4, 80), (0.7, 112)))
    shares = [0, 0.39, 0.4, 0.69, 0.7, 1]
    assert [loop.resolution(recipe, share) for share in shares] == [64, 64, 80, 80, 112, 112]


def test_the_average_follows_from_its_start_on(tmp_path: Path) -> None:
    run, tiny, _ = _run(tmp_path, replace(RECIPE, average=0.9, average_start=0.5))

    def weights(module: nn.Module) -> Tensor:
        return module.state_dict()["0.weight"].clone()

    run.elapsed = 0.1
    run.step()
    assert torch.equal(weights(run.average), weights(tiny.modules["network"]))
    run.elapsed, run.steps = 0.4, 1000
    before = weights(run.average)
    run.step()
    expected = 0.9 * before + 0.1 * weights(tiny.modules["network"])
    assert weights(run.average) == pytest.approx(expected, abs=1e-6)
    # Young averages forget faster: (1 + steps) / (10 + steps), steps counted after this one.
    run.steps = 1
    before = weights(run.average)
    run.step()
    expected = 0.25 * before + 0.75 * weights(tiny.modules["network"])
    assert weights(run.average) == pytest.approx(expected, abs=1e-6)


def test_the_average_counts_batches_as_the_network_does(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path)
    for _ in range(3):
        run.step()
    assert int(run.average.state_dict()["1.num_batches_tracked"]) == 3


# Batches


def test_a_batch_draws_numbers_of_its_items() -> None:
    items = np.array([5, 2], np.int64)
    batch = Batch(items, np.array([0, 1], np.int64), 0.0, 112, 3, CPU)
    assert torch.equal(batch.uniform(4), torch.from_numpy(seeds.uniform(3, items, batch.epochs, 4)))
    assert not torch.equal(batch.uniform(4), batch.uniform(4, purpose=1))
    assert batch.rows.tolist() == [5, 2]


def test_decay_spares_norms_and_biases(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path, replace(RECIPE, decay=0.3))
    matrices, others = run.optimiser.param_groups
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert all(item.ndim > 1 for item in matrices["params"])
    assert len(matrices["params"]) == 2
    assert len(others["params"]) == 4


# Going on


def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path: Path) -> None:
    whole, through, _ = _run(tmp_path / "whole")
    for _ in range(9):
        whole.step()
    first, before, _ = _run(tmp_path / "cut")
    for _ in range(5):
        first.step()
    first.elapsed = 0.25
    first.save()
    second, after, _ = _run(tmp_path / "cut", resume=True)
    assert (second.elapsed, second.steps, second.images) == (0.25, 5, 5 * RECIPE.batch)
    # Steps go by the clock, which stood still in the first run.
    second.elapsed = 0.0
    for _ in range(4):
        second.step()
    assert second.steps == whole.steps
    drawn = [(*batch.items, *batch.epochs) for batch in (*before.seen, *after.seen)]
    assert drawn == [(*batch.items, *batch.epochs) for batch in through.seen]
    for name, value in through.modules.state_dict().items():
        assert torch.equal(value, after.modules.state_dict()[name]), name
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name


def test_a_resumed_run_spends_the_rest_of_its_time(clock: SimpleNamespace, tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path, replace(RECIPE, budget=60))
    run.go()
    again, _, _ = _run(tmp_path, replace(RECIPE, budget=100), resume=True)
    again.go()
    assert again.elapsed == 100
    assert again.steps == 61 + 41
    assert [row["elapsed"] for row in _lines(tmp_path / "figures.jsonl")] == [60, 100]
    assert Recipe.load(tmp_path / "recipe.toml").budget == 100


def test_a_finished_run_is_only_measured_again(clock: SimpleNamespace, tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path, replace(RECIPE, budget=60))
    figures = run.go()
    again, tiny, _ = _run(tmp_path, replace(RECIPE, budget=60), resume=True)
    assert again.go() == pytest.approx(figures)
    assert not tiny.seen


def test_a_folder_with_a_run_is_not_begun_anew(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path)
    run.save()
    kept = (tmp_path / loop.CHECKPOINT).read_bytes()
    with pytest.raises(OutputError, match="already holds a run") as refused:
        _run(tmp_path)
    assert "--resume" in refused.value.hint
    assert (tmp_path / loop.CHECKPOINT).read_bytes() == kept


def test_a_run_that_is_not_there_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no checkpoint") as refused:
        _run(tmp_path / "run", resume=True)
    assert "--resume" in refused.value.hint
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path)
    run.step()
    run.save()
    with pytest.raises(InputError, match="of another network or recipe"):
        _run(tmp_path, replace(RECIPE, seed=9), resume=True, width=5)
    assert Recipe.load(tmp_path / "recipe.toml").seed == RECIPE.seed


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_checkpoint_that_is_none_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / loop.CHECKPOINT).write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read"):
        _run(tmp_path, resume=True)


def test_a_checkpoint_with_other_contents_is_refused(tmp_path: Path) -> None:
    for state in ({"modules": {}}, [1, 2]):
        torch.save(state, tmp_path / loop.CHECKPOINT)
        with pytest.raises(InputError, match="of another network or recipe"):
            _run(tmp_path, resume=True)


# Going astray


def test_no_number_ends_the_run_at_its_last_good_state(tmp_path: Path) -> None:
    run, tiny, _ = _run(tmp_path, broken=5)
    for _ in range(3):
        run.step()
    run.save()
    kept = (tmp_path / loop.CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match="odd is not a number after 5 steps") as ended:
        run.go()
    assert "checkpoint.pt is the last good state" in ended.value.hint
    assert (tmp_path / loop.CHECKPOINT).read_bytes() == kept
    assert all(bool(torch.isfinite(value).all()) for value in tiny.modules.state_dict().values())
    again, _, _ = _run(tmp_path, resume=True)
    assert again.steps == 3


def test_no_number_before_the_first_checkpoint_promises_none(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path, broken=0)
    with pytest.raises(TrainingError, match="after 0 steps") as ended:
        run.go()
    assert "last good state" not in ended.value.hint


def test_a_checkpoint_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, _ = _run(tmp_path)
    run.save()
    kept = (tmp_path / loop.CHECKPOINT).read_bytes()

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    run.step()
    with pytest.raises(OutputError, match=r"the checkpoint cannot be written.*No space left"):
        run.save()
    assert (tmp_path / loop.CHECKPOINT).read_bytes() == kept


def test_a_device_that_is_not_there_is_refused() -> None:
    assert loop.make_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert loop.make_device("auto") == CPU
        with pytest.raises(InputError, match="no CUDA device"):
            loop.make_device("cuda")


def test_a_stopped_run_saves_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, tiny, _ = _run(tmp_path / "run")
    losses = tiny.losses

    def stopped(batch: Batch) -> dict[str, Tensor]:
        if len(tiny.seen) == 3:
            raise KeyboardInterrupt
        return losses(batch)

    monkeypatch.setattr(tiny, "losses", stopped)
    with pytest.raises(KeyboardInterrupt):
        run.go()
    assert read_checkpoint(tmp_path / "run")["steps"] == 3


# Playing against others


class Dual(Tiny):
    """The tiny task with a rival that learns how far off the network is, and by which it is led in turn."""

    def __init__(self, width: int = 8, broken: int | None = None, rival_broken: int | None = None) -> None:
        super().__init__(width, broken)
        self.rivals = nn.ModuleDict({"judge": nn.Linear(1, 1)})
        for parameter in self.rivals.parameters():
            nn.init.constant_(parameter, 0.5)
        self.rival_broken, self.frozen, self.free = rival_broken, list[bool](), list[bool]()
        self.kept: Tensor | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        result = super().losses(batch)
        self.frozen.append(all(not item.requires_grad for item in self.rivals.parameters()))
        made = self.modules["network"](self.inputs[batch.rows])
        self.kept = made.detach()
        return {**result, "opinion": 0.01 * self.rivals["judge"](made).mean()}

    def rival_losses(self, batch: Batch) -> dict[str, Tensor]:
        assert self.kept is not None
        self.free.append(all(item.requires_grad for item in self.rivals.parameters()))
        apart = self.rivals["judge"](self.kept) - (self.kept - self.inputs[batch.rows] @ self.truth).abs()
        odd = math.nan if len(self.free) - 1 == self.rival_broken else 0
        return {"rival": apart.square().mean(), "odd rival": apart.mean() * odd}


def _dual(out: Path, recipe: Recipe = RECIPE, *, resume: bool = False, **task: Any) -> tuple[Run, Dual]:
    open_folder(out, recipe, resume=resume)
    dual = Dual(**task)
    run = Run(recipe, dual, out, device=CPU, tell=lambda line: None)
    if resume:
        run.load()
    return run, dual


def test_rivals_learn_by_an_optimiser_of_their_own(tmp_path: Path) -> None:
    recipe = replace(RECIPE, rival_rate=0.5, warmup=0.0)
    run, dual = _dual(tmp_path, recipe)
    assert isinstance(dual, Adversarial)
    before = {name: value.clone() for name, value in dual.rivals.state_dict().items()}
    first = run.step()
    assert set(first) == {"error", "odd", "opinion", "rival", "odd rival"}
    assert run.rival_optimiser is not None
    assert [group["lr"] for group in run.rival_optimiser.param_groups] == [recipe.rate / 2] * 2
    assert [group["weight_decay"] for group in run.rival_optimiser.param_groups] == [0, 0]
    assert any(not torch.equal(value, before[name]) for name, value in dual.rivals.state_dict().items())
    mine = {id(item) for group in run.optimiser.param_groups for item in group["params"]}
    assert not mine & {id(item) for item in dual.rivals.parameters()}
    *_, last = [run.step() for _ in range(60)]
    assert last["rival"] < first["rival"]


def test_rivals_are_frozen_while_the_network_steps(tmp_path: Path) -> None:
    run, dual = _dual(tmp_path)
    for _ in range(3):
        run.step()
    assert dual.frozen == [True] * 3
    assert dual.free == [True] * 3


def test_a_resumed_run_with_rivals_is_the_run_that_was_never_stopped(tmp_path: Path) -> None:
    whole, through = _dual(tmp_path / "whole")
    for _ in range(8):
        whole.step()
    first, _ = _dual(tmp_path / "cut")
    for _ in range(5):
        first.step()
    first.save()
    second, after = _dual(tmp_path / "cut", resume=True)
    for _ in range(3):
        second.step()
    for ours, theirs in ((through.modules, after.modules), (through.rivals, after.rivals)):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name
    assert whole.rival_optimiser is not None
    assert second.rival_optimiser is not None
    states = [run.rival_optimiser.state_dict()["state"] for run in (whole, second)]  # type: ignore[union-attr]
    for number, state in states[0].items():
        for name, value in state.items():
            assert torch.equal(value, states[1][number][name])


def test_a_checkpoint_without_rivals_is_of_another_recipe(tmp_path: Path) -> None:
    run, _, _ = _run(tmp_path)
    run.step()
    run.save()
    assert "rivals" not in read_checkpoint(tmp_path)
    with pytest.raises(InputError, match="of another network or recipe"):
        _dual(tmp_path, resume=True)


def test_a_rival_that_is_no_number_ends_the_run_too(tmp_path: Path) -> None:
    run, dual = _dual(tmp_path, rival_broken=4)
    for _ in range(2):
        run.step()
    run.save()
    kept = (tmp_path / loop.CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match="odd rival is not a number after 4 steps") as ended:
        run.go()
    assert "checkpoint.pt is the last good state" in ended.value.hint
    assert (tmp_path / loop.CHECKPOINT).read_bytes() == kept
    assert all(bool(torch.isfinite(value).all()) for value in dual.rivals.state_dict().values())
