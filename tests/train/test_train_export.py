"""Export: what is written is what was trained."""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from torch import Tensor, nn  # noqa: E402

from incog.errors import InputError, TrainingError, UsageError  # noqa: E402
from incog.models import Card  # noqa: E402
from incog.train import export as exporting  # noqa: E402
from incog.train.export import difference, eighths, export, halved, rounded, to_onnx, write  # noqa: E402
from incog.train.loop import Batch, Run, open_folder  # noqa: E402
from incog.train.nets import Trunk  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402

RECIPE = Recipe(
    task="embedder",
    name="tiny",
    data=("faces",),
    batch=4,
    budget=1.0,
    terms={"faces": "made here"},
    limits=("tiny",),
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk((8, 16), (1, 1))
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.trunk(x).mean((2, 3)))
        return result


class Scaled(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.network(x * (1 / 255))
        return result


class Task:
    """Learns the mean of three channels from random pictures."""

    items = 16

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.modules = nn.ModuleDict({"network": Net()})
        self.pictures = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        pictures = self.pictures[batch.rows]
        return {"error": (self.modules["network"](pictures) - pictures.mean((2, 3))).square().mean()}

    def measure(self, network: nn.Module) -> dict[str, float]:
        return {"error": float((network(self.pictures) - self.pictures.mean((2, 3))).abs().mean())}

    def sheet(self, network: nn.Module) -> Any:
        return np.zeros((2, 2, 3), np.uint8)

    def example(self) -> Tensor:
        return self.pictures[:4] * 255

    def shipped(self, network: nn.Module) -> nn.Module:
        return Scaled(network)

    def card(self) -> dict[str, Any]:
        return {"inputs": "(B, 3, 32, 32)", "outputs": "(B, 3)", "data": {"faces": 16}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Task]:
    """A folder with a finished run, and its task."""
    folder, task = tmp_path_factory.mktemp("export") / "run", Task()
    open_folder(folder, RECIPE, resume=False)
    Run(RECIPE, task, folder, device=torch.device("cpu"), tell=lambda line: None).go()
    return folder, task


def test_the_file_says_what_the_averaged_network_says(run: tuple[Path, Task]) -> None:
    folder, task = run
    made = export(RECIPE, folder, task)
    average = Net().eval()
    average.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["average"])
    pictures = torch.rand(5, 3, 32, 32) * 255
    session = onnxruntime.InferenceSession(made.data)
    (found,) = session.run(None, {session.get_inputs()[0].name: pictures.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, average(pictures / 255).numpy(), atol=1e-3)
    assert not np.allclose(found[0], found[1], atol=1e-4), "the outputs must depend on the picture"


def test_the_card_holds_what_was_measured(run: tuple[Path, Task], tmp_path: Path) -> None:
    folder, task = run
    made = export(RECIPE, folder, task)
    file, text = write(made, tmp_path)
    card = Card(**json.loads(text.read_text()))
    assert card.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    # By hand: stem 3*8*16, block 2*8*8*9, block 8*16*9 + 16*16*9 + shortcut 8*16, norms 2 a channel, head 16*3 + 3.
    assert card.parameters == 384 + 1152 + 1152 + 2304 + 128 + 2 * (8 + 16 + 32) + 51
    places = 64, 16
    assert card.multiply_adds == (384 + 1152) * places[0] + (1152 + 2304 + 128) * places[1] + 48
    assert card.terms == {"faces": "made here"}
    assert card.limits == ["tiny"]
    assert card.seconds == 1
    assert 0 <= card.export_difference < 1e-3
    with torch.no_grad():
        network, _ = exporting.load_run(RECIPE, folder, task)
        assert card.measured == {"error": round(task.measure(network)["error"], 4)}


def test_a_run_goes_on_from_what_was_exported(run: tuple[Path, Task], tmp_path: Path) -> None:
    folder, task = run
    made = export(RECIPE, folder, task)
    np.savez_compressed(tmp_path / "net.npz", **made.weights)
    fresh = Run(RECIPE, Task(), tmp_path, device=torch.device("cpu"), tell=lambda line: None)
    before = fresh.task.measure(fresh.average)["error"]
    fresh.start(tmp_path / "net.npz")
    with torch.no_grad():
        after = fresh.task.measure(fresh.average)["error"]
    assert after == pytest.approx(made.card.measured["error"], abs=1e-3)
    assert after < before
    assert fresh.step()["error"] < 2 * after**2 + 0.05


def test_weights_of_another_network_are_refused(run: tuple[Path, Task], tmp_path: Path) -> None:
    fresh = Run(RECIPE, Task(), tmp_path, device=torch.device("cpu"), tell=lambda line: None)
    weights = export(RECIPE, *run).weights
    weights.popitem()
    np.savez_compressed(tmp_path / "other.npz", **weights)
    (tmp_path / "none.npz").write_bytes(b"nothing")
    for name in ("other.npz", "none.npz", "missing.npz"):
        with pytest.raises(InputError, match=f"{name} holds no weights of this network"):
            fresh.start(tmp_path / name)


def test_half_precision_halves_the_file_and_keeps_its_outputs() -> None:
    network = Scaled(Net()).eval()
    full = to_onnx(network, torch.rand(2, 3, 32, 32), "input", ["output"], {0: "batch"})
    half = halved(full)
    assert len(half) < 0.7 * len(full)
    kinds = {item.data_type for item in onnx.load_from_string(half).graph.initializer if len(item.dims) > 1}
    assert kinds == {onnx.TensorProto.FLOAT16}
    with torch.no_grad():
        assert difference(full, network, torch.rand(3, 3, 32, 32) * 255) < 1e-5
        assert difference(half, network, torch.rand(3, 3, 32, 32) * 255) < 1e-3


def test_eight_bits_lose_nothing_of_a_rounded_network() -> None:
    network = Scaled(Net()).eval()
    pictures = torch.rand(3, 3, 32, 32) * 255
    given = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        before = network(pictures)
        rounded(network, 16)
        assert torch.equal(network(pictures), before)
        rounded(network, 8)
        after = network(pictures)
    for name, value in network.named_parameters():
        if value.ndim < 2:
            assert torch.equal(value, given[name])
            continue
        # Half a step of 127 of each channel's own largest number.
        most = given[name].abs().flatten(1).amax(1)
        assert ((value - given[name]).abs().flatten(1).amax(1) <= most / 253).all()
        assert (value != given[name]).any()
    full = to_onnx(network, torch.rand(2, 3, 32, 32), "input", ["output"], {0: "batch"})
    made = eighths(full)
    assert len(made) < 0.5 * len(full)
    kinds = {item.data_type for item in onnx.load_from_string(made).graph.initializer if len(item.dims) > 1}
    assert kinds == {onnx.TensorProto.INT8}
    with torch.no_grad():
        assert difference(made, network, pictures) < 1e-5
    assert not torch.equal(after, before)


def test_a_recipe_asks_for_eight_bits(tmp_path: Path) -> None:
    folder, task = tmp_path / "run", TwoTask()
    open_folder(folder, RECIPE, resume=False)
    Run(RECIPE, task, folder, device=torch.device("cpu"), tell=lambda line: None).go()
    half, eight = (export(replace(RECIPE, bits=bits), folder, task) for bits in (16, 8))
    kinds = [item.data_type for item in onnx.load_from_string(eight.data).graph.initializer]
    assert kinds.count(onnx.TensorProto.INT8) == 2
    file, _ = write(eight, tmp_path)
    assert file.name == "tiny.onnx.xz"
    assert len(file.read_bytes()) < len(eight.data)
    assert hashlib.sha256(lzma.decompress(file.read_bytes())).hexdigest() == eight.card.sha256
    assert eight.card.export_difference < 1e-3
    network, _ = exporting.load_run(RECIPE, folder, task)
    with torch.no_grad():
        rounded(network, 8)
        assert eight.card.measured == {"size": round(task.measure(network)["size"], 4)}
    # To go on from: what was learnt, not what ships.
    for name, value in half.weights.items():
        np.testing.assert_array_equal(eight.weights[name], value)
    with pytest.raises(UsageError, match="bits must be 8 or 16"):
        replace(RECIPE, bits=4)


class Two(nn.Module):
    """A picture and a key: two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 3)
        self.key = nn.Linear(5, 4)

    def forward(self, image: Tensor, key: Tensor) -> Tensor:
        return self.inner(image) * self.key(key)[:, :, None, None]


class TwoTask(Task):
    """A task whose network takes two inputs, which the example names."""

    def __init__(self) -> None:
        super().__init__()
        self.modules = nn.ModuleDict({"network": Two()})
        self.keys = torch.rand(16, 5, generator=torch.Generator().manual_seed(2))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {
            "size": self.modules["network"](self.pictures[batch.rows], self.keys[batch.rows]).square().mean()
        }

    def measure(self, network: nn.Module) -> dict[str, float]:
        return {"size": float(network(self.pictures, self.keys).abs().mean())}

    def example(self) -> dict[str, Tensor]:  # type: ignore[override]
        return {"image": self.pictures[:4], "key": self.keys[:4]}

    def shipped(self, network: nn.Module) -> nn.Module:
        return network


def test_a_network_of_two_inputs_ships_with_their_names(tmp_path: Path) -> None:
    folder, task = tmp_path / "run", TwoTask()
    open_folder(folder, RECIPE, resume=False)
    Run(RECIPE, task, folder, device=torch.device("cpu"), tell=lambda line: None).go()
    made = export(RECIPE, folder, task)
    session = onnxruntime.InferenceSession(made.data)
    assert [(item.name, item.shape) for item in session.get_inputs()] == [
        ("image", ["batch", 3, 32, 32]), ("key", ["batch", 5])
    ]  # fmt: skip
    network, _ = exporting.load_run(RECIPE, folder, task)
    inputs = {"image": task.pictures[:7], "key": task.keys[:7]}
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        np.testing.assert_allclose(found, network(*inputs.values()).numpy(), atol=1e-3)
    assert made.card.multiply_adds == 30 * 30 * 4 * 27 + 20


def test_a_file_that_differs_is_refused(run: tuple[Path, Task], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, task = run
    other = to_onnx(Scaled(Net()).eval(), torch.rand(2, 3, 32, 32), "input", ["output"], {0: "batch"})
    monkeypatch.setattr(exporting, "to_onnx", lambda *arguments: other)
    with pytest.raises(TrainingError, match="differs from the network"):
        export(RECIPE, folder, task)


def test_a_run_of_another_recipe_is_refused(run: tuple[Path, Task]) -> None:
    folder, task = run
    with pytest.raises(InputError, match="rate was"):
        export(replace(RECIPE, rate=0.5), folder, task)


def test_what_only_the_card_says_may_change(run: tuple[Path, Task]) -> None:
    folder, task = run
    made = export(replace(RECIPE, about="Another word.", budget=99.0), folder, task)
    assert made.card.about == "Another word."
