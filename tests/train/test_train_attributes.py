"""The attributes task: labels, what is seen and learnt, figures by group, and the file that ships."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from PIL import Image  # noqa: E402

from incog.data import seeds  # noqa: E402
from incog.data.faces import Faces, template  # noqa: E402
from incog.errors import InputError, UsageError  # noqa: E402
from incog.perceive.attributes import CLASSES, OnnxAttributes  # noqa: E402
from incog.train.attribute_labels import Group, Labels, groups, labels, margins, moments  # noqa: E402
from incog.train.calibration import Scaling  # noqa: E402
from incog.train.loop import Batch, Run  # noqa: E402
from incog.train.nets_attributes import LEFT, TOP, WINDOW, AttributesNet, Network, Shipped, judged, seen  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402
from incog.train.tasks import attributes  # noqa: E402
from incog.train.tasks.attributes import Attributes  # noqa: E402

CPU = torch.device("cpu")


def _pack(path: Path, header: str, rows: list[str], colours: list[tuple[int, int, int]]) -> None:
    """Write a ZIP of plain pictures with their labels, and the teacher's points and embeddings beside it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("labels.csv", "\n".join([f"file,{header}", *rows]))
        for row, colour in zip(rows, colours, strict=True):
            picture = io.BytesIO()
            Image.new("RGB", (112, 112), colour).save(picture, "PNG")
            file.writestr(row.split(",")[0], picture.getvalue())
    count = len(rows)
    embeddings = np.zeros((count, 8), np.float16)
    embeddings[:, 0] = 1
    np.savez(
        path.with_name(f"{path.stem}-teacher.npz"),
        name=np.array([row.split(",")[0] for row in rows]),
        points=np.repeat(template("arcface", 128)[None] - 8, count, 0),
        embedding=embeddings,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Men red and young, women blue and old; who is happy is bright; some labels are missing."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    rows, colours = [], []
    for n in range(160):
        gender, kind = n % 2, int(random.integers(5))
        age = 70 if gender else 20
        rows.append(f"{n:03}.png,{age},{CLASSES['gender'][gender]},{CLASSES['ethnicity'][kind]}")
        colours.append((40, 40, 210) if gender else (210, 40, 40))
    _pack(folder / "utkface.zip", "age,gender,ethnicity", rows, colours)
    rows, colours = [], []
    for n in range(80):
        label = ("neutral", "happiness", "surprise", "")[n % 4]
        rows.append(f"{n:03}.png,person {n // 2},{label}")
        level = (60, 220, 140, 140)[n % 4]
        colours.append((level, level, level))
    _pack(folder / "lfw.zip", "identity,expression", rows, colours)
    return {name: folder / f"{name}.zip" for name in ("utkface", "lfw")}


def _recipe(**options: object) -> Recipe:
    return Recipe(
        task="attributes",
        name="small",
        data=("utkface", "lfw"),
        resolutions=((0.0, 64),),
        network={"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1], "dropout": 0.0},
        options=options,
    )


@pytest.fixture(scope="module")
def task(data: dict[str, Path]) -> Attributes:
    torch.manual_seed(0)
    return Attributes(_recipe(rare=3), data, CPU)


def _batch(task: Attributes, items: np.ndarray) -> Batch:
    return Batch(items.astype(np.int64), np.zeros(len(items), np.int64), 0.5, 64, 1, CPU)


def _faces(**columns: list[str]) -> Faces:
    count = len(next(iter(columns.values())))
    none = [""] * count
    pixels = np.zeros((count, 1, 1, 3), np.uint8)
    return Faces(pixels, none, none, none, np.zeros((count, 5, 2), np.float32), columns, None)


def test_rare_and_foreign_labels_are_merged_and_missing_ones_unknown() -> None:
    found = labels(
        _faces(age=["3", "", "116"], ethnicity=["latino", "", "asian"], expression=["fear", "", "neutral"])
    )
    assert found.years.tolist() == [3, -1, 100]
    assert found.classes["ethnicity"].tolist() == [4, -1, 2]
    assert found.classes["expression"].tolist() == [2, -1, 0]
    assert found.classes["gender"].tolist() == [-1, -1, -1]


def test_a_label_that_nobody_knows_is_named() -> None:
    with pytest.raises(InputError, match="'bored' is not a known label of expression"):
        labels(_faces(expression=["neutral", "bored"]))


def test_moments_of_a_distribution_over_ages() -> None:
    shares = np.zeros((2, 101), np.float32)
    shares[0, 30] = 1
    shares[1, [20, 40]] = 0.5
    mean, spread = moments(shares)
    assert mean == pytest.approx([30, 30])
    assert spread == pytest.approx([0, 10])


def test_errors_by_group_weigh_by_faces() -> None:
    truth = Labels(
        np.array([5, 5, 5, 30], np.float32),
        {"gender": np.array([0, 0, 1, 1]), "ethnicity": np.array([0, 0, 0, 2]), "expression": np.full(4, -1)},
    )
    said = {"gender": np.array([0, 1, 1, 1]), "ethnicity": np.array([0, 0, 1, 2])}
    rows = groups(np.array([7, 3, 5, 20], np.float32), said, truth)
    assert rows[0] == Group(
        age="0-9", gender="male", ethnicity="white", faces=2, gender_error=0.5, ethnicity_error=0.0, age_mae=2.0,
        age_bias=0.0,
    )  # fmt: skip
    assert [row["faces"] for row in rows] == [2, 1, 1]
    figures = margins(rows)
    assert figures["gender_error, age 0-9"] == pytest.approx(1 / 3)
    assert figures["gender_error, age 10-100"] == 0
    assert figures["ethnicity_error, gender female"] == pytest.approx(1 / 2)
    assert figures["age_mae, ethnicity asian"] == pytest.approx(10)


def test_rare_expressions_are_drawn_more_often(task: Attributes) -> None:
    drawn, times = np.unique(task.rows, return_counts=True)
    rare = task.labels.classes["expression"][drawn] == 2
    assert rare.any()
    assert set(times[rare]) == {3}
    assert set(times[~rare]) == {1}
    assert {task.faces.splits()[row] for row in drawn} == {"train"}


def test_missing_labels_teach_nothing(task: Attributes) -> None:
    foreign = np.flatnonzero(np.array([task.faces.sources[row] == "lfw" for row in task.rows]))
    losses = {name: value.item() for name, value in task.losses(_batch(task, foreign[:16])).items()}
    assert [losses[name] for name in ("age", "years", "gender", "ethnicity")] == [0, 0, 0, 0]
    assert losses["expression"] > 0
    unknown = [n for n in foreign if task.labels.classes["expression"][task.rows[n]] < 0]
    assert task.losses(_batch(task, np.array(unknown[:8])))["expression"].item() == 0


def test_training_sees_the_window_that_is_measured(task: Attributes, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    marked = random.random((1, 3, 128, 128), np.float32)
    monkeypatch.setattr(task.pixels, "take", lambda rows: torch.from_numpy(marked).clone())
    for name in ("mirror", "colour", "coarse", "erase"):
        monkeypatch.setattr(attributes.augment, name, lambda images, draws, **_: images)
    still = lambda draws, **_: torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])  # noqa: E731
    monkeypatch.setattr(attributes.augment, "turned", still)
    shown: list[torch.Tensor] = []
    handle = task.modules["network"].register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    task.modules.eval()
    try:
        task.losses(_batch(task, np.array([0])))
    finally:
        handle.remove()
    expected = seen(torch.from_numpy(marked[:, :, 8:120, 8:120]), 64)
    assert torch.allclose(shown[0], expected, atol=1e-4)


def test_what_lies_beyond_the_window_changes_nothing() -> None:
    network = AttributesNet(Network(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1)))
    scaling = {name: Scaling(1.0, (0.0,) * len(kinds)) for name, kinds in CLASSES.items()}
    shipped = Shipped(network, {"age": Scaling(2.0, ()), **scaling}, 64).eval()
    crops = torch.rand(2, 3, 112, 112) * 255
    other = crops.clone()
    other[:, :, :TOP] = 0
    other[:, :, :, :LEFT] = 255
    other[:, :, :, LEFT + WINDOW :] = 9
    for one, two in zip(shipped(crops), shipped(other), strict=True):
        assert torch.equal(one, two)
    other[:, :, 60:70, 50:60] += 80
    assert not torch.allclose(shipped(crops)[2], shipped(other)[2], atol=1e-7)


def test_a_mirrored_face_is_judged_alike() -> None:
    network = AttributesNet(Network(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1))).eval()
    images = torch.rand(3, 3, 64, 64)
    for one, two, alone in zip(
        judged(network, images), judged(network, images.flip(3)), network(images)[1:], strict=True
    ):
        assert torch.allclose(one, two, atol=1e-6)
        assert one.shape == alone.shape
        assert not torch.allclose(one, alone, atol=1e-4)


@pytest.fixture(scope="module")
def trained(data: dict[str, Path]) -> Attributes:
    """Eighty steps on the coloured pictures."""
    torch.manual_seed(0)
    task = Attributes(_recipe(strength=0.1), data, CPU)
    optimiser = torch.optim.AdamW(task.modules.parameters(), lr=5e-3)
    task.modules.train()
    for step in range(80):
        items, epochs = seeds.batch(1, step * 32, 32, task.items)
        total = sum(task.losses(Batch(items, epochs, 0.5, 64, 1, CPU)).values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return task


def test_what_can_be_seen_is_learnt(trained: Attributes) -> None:
    figures = trained.measure(trained.modules["network"])
    assert figures["gender_accuracy"] > 0.95
    assert figures["age_mae"] < 8
    assert figures["expression_accuracy"] > 0.9
    # It was drawn by chance, so nothing can tell it.
    assert figures["ethnicity_accuracy"] < 0.6
    assert figures["gender_faces"] == len(
        [row for row in trained.test if trained.faces.sources[row] == "utkface"]
    )
    sheet = trained.sheet(trained.modules["network"])
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 8 * 112


@pytest.mark.slow
def test_the_file_that_ships_says_what_the_network_says(trained: Attributes) -> None:
    from incog.train.export import to_onnx

    shipped = trained.shipped(trained.modules["network"]).eval()
    real = trained.example()
    file = to_onnx(shipped, real[:2], "input", trained.card()["output_names"], {0: "batch"})
    found = OnnxAttributes(file)(real.permute(0, 2, 3, 1).round().byte().numpy())
    age, spread, *shares = (values.detach().numpy() for values in shipped(real))
    assert [item.age for item in found] == pytest.approx(age, abs=0.05)
    assert [item.spread for item in found] == pytest.approx(spread, abs=0.05)
    for name, values in zip(CLASSES, shares, strict=True):
        mine = np.stack([getattr(item, name) for item in found])
        assert mine == pytest.approx(values, abs=2e-3)
        assert mine.sum(1) == pytest.approx(1, abs=1e-5)


def test_without_a_teacher_nothing_is_distilled(data: dict[str, Path]) -> None:
    task = Attributes(_recipe(distil=0.0), data, CPU)
    assert "teacher" not in task.modules
    assert "distil" not in task.losses(_batch(task, np.arange(4)))


def test_another_kind_of_network() -> None:
    network = AttributesNet(Network(kind="plain", widths=(8, 8, 16), blocks=(1, 1, 1)))
    outputs = network(torch.rand(2, 3, 80, 80))
    assert [tuple(item.shape) for item in outputs] == [(2, 16), (2, 101), (2, 2), (2, 5), (2, 3)]
    with pytest.raises(UsageError, match="kind of network"):
        AttributesNet(Network(kind="round"))


def test_data_without_held_out_labels_is_refused(data: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="has a label of age"):
        Attributes(_recipe(distil=0.0), {"lfw": data["lfw"]}, CPU)


@pytest.mark.parametrize("name", ["attributes", "attributes-b"])
def test_the_recipes_can_be_built(name: str) -> None:
    recipe = Recipe.load(Path(__file__).parents[2] / "recipes" / f"{name}.toml")
    network = AttributesNet(recipe.section("network", Network)).eval()
    options = recipe.section("options", attributes.Options)
    for _, side in recipe.resolutions:
        assert len(network(torch.rand(1, 3, side, side))) == 2 + len(CLASSES)
    # The judge learns from no other network.
    assert (options.distil > 0) == (name == "attributes")


def test_it_can_begin_with_the_trunk_of_a_recogniser(data: dict[str, Path], tmp_path: Path) -> None:
    network = {"kind": "embedder", "widths": [8, 12], "blocks": [1, 1]}
    recipe = replace(_recipe(), network=network)
    run = Run(recipe, Attributes(recipe, data, CPU), tmp_path, device=CPU, tell=lambda line: None)
    own = run.task.modules["network"]
    before = {name: values.clone() for name, values in own.state_dict().items()}
    other = AttributesNet(Network(kind="embedder", widths=(8, 12), blocks=(1, 1)))
    stored = {name: values.numpy() for name, values in other.state_dict().items() if "trunk" in name}
    np.savez(tmp_path / "recogniser.npz", **stored, **{"head.weight": np.ones((4, 12), np.float32)})
    with pytest.raises(InputError, match="no weights of this network"):
        run.start(tmp_path / "recogniser.npz")
    run.start(tmp_path / "recogniser.npz", trunk=True)
    for name, values in own.state_dict().items():
        wanted = torch.from_numpy(stored[name]) if name in stored else before[name]
        assert torch.equal(values, wanted), name
    del stored["trunk.0.0.weight"]
    np.savez(tmp_path / "recogniser.npz", **stored)
    with pytest.raises(InputError, match="no weights of this network"):
        run.start(tmp_path / "recogniser.npz", trunk=True)
