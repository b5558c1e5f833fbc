"""The autoencoder: tables are means over people, a short run learns, and what ships does what the run does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from incog import points  # noqa: E402
from incog.code_tables import ANY, Codes  # noqa: E402
from incog.data.faces import template  # noqa: E402
from incog.errors import UsageError  # noqa: E402
from incog.train import code_means, coding  # noqa: E402
from incog.train.export import export_all  # noqa: E402
from incog.train.loop import Run, open_folder  # noqa: E402
from incog.train.nets_autoencoder import rounded  # noqa: E402
from incog.train.portraits import SIZE, Portraits  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402
from incog.train.tasks.autoencoder import Autoencoder, mixing  # noqa: E402
from incog.train.tasks.tuned_encoder import TunedEncoder  # noqa: E402

CPU = torch.device("cpu")
SMALL = {"side": 32, "encoder": [8, 8], "decoder": [8, 8, 8, 8], "inner": 8, "code": 16, "critic": [8, 8]}


def faces(count: int = 120) -> Portraits:
    """Return drawn faces: an oval of one of many tones, two dark eyes where the pose says; half of them are named, two
    pictures each."""
    random = np.random.default_rng(0)
    row, column = np.mgrid[:SIZE, :SIZE]
    five = template("outline", SIZE)
    dense = np.zeros((points.COUNT, 2), np.float32) + five.mean(0)
    turn = np.arange(36) / 36 * 2 * np.pi
    dense[points.OUTLINE] = np.stack([63.5 + np.sin(turn) * 36, 63.5 - np.cos(turn) * 46], axis=1)
    dense[list(points.FIVE)] = five
    tones = random.uniform(60, 220, (count, 3))
    pixels = np.full((count, SIZE, SIZE, 3), 40, np.uint8)
    oval = np.hypot((column - 63.5) / 36, (row - 63.5) / 46) < 1
    pose = random.uniform(-30, 30, (count, 3)).astype(np.float32)
    for face, tone, angles in zip(pixels, tones, pose, strict=True):
        face[oval] = tone
        for x, y in five[:2] + angles[:2] / 2:
            face[np.hypot(column - x, row - y) < 8] = 10
    ends = np.array([[0, 0], [127, 0], [127, 127], [0, 127]], np.float32)
    told = np.zeros((count, 9), np.float32)
    told[:, 0], told[:, 1], told[:, 2], told[:, 8] = 0.3, tones[:, 0] > 140, 1, tones[:, 1] > 140
    return Portraits(
        pixels=pixels,
        corners=np.repeat(ends[None], count, axis=0),
        dense=np.repeat(dense[None], count, axis=0),
        pose=pose,
        embeddings=np.zeros((count, 512), np.float32),
        attributes=told,
        names=[f"{number}.png" for number in range(count)],
        sources=["drawn"] * count,
        identities=[f"person {number // 2}" if number % 4 < 2 else "" for number in range(count)],
    )


@pytest.fixture(autouse=True)
def portraits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "read", lambda path: faces())


def recipe(task: str = "autoencoder", **options: Any) -> Recipe:
    few = {"clusters": 6, "donors": 8, "directions": 4, "least": 3}
    return Recipe(
        task=task,
        name="small",
        data=("portraits",),
        batch=16,
        rate=4e-3,
        budget=1.0,
        average=0.9,
        average_start=0.0,
        network=SMALL,
        options={**few, **options},
        terms={"portraits": "made here"},
        limits=("small",),
    )


def task(made: Recipe) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(made, {"portraits": Path("drawn")}, CPU)


def trained(made: Recipe, kind: Any, folder: Path, steps: int) -> Run:
    open_folder(folder, made, resume=False)
    run = Run(made, kind, folder, device=CPU, tell=lambda line: None)
    for step in range(steps):
        run.elapsed = step / steps
        run.step()
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run over drawn faces, with its checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coding, "read", lambda path: faces())
        made = recipe(identity=0.0)
        run = trained(made, task(made), tmp_path_factory.mktemp("run"), 150)
    run.save()
    return run


def test_a_short_run_learns(run: Run) -> None:
    small = task(run.recipe)
    before = small.measure(small.modules["network"])
    after = run.task.measure(run.average)
    assert after["psnr"] > before["psnr"] + 2
    assert after["l1"] < 0.8 * before["l1"]
    for variant in ("reconstruct", "cluster_mean", "attributes", "nearest", "repulsive"):
        assert -1 <= after[f"cosine_{variant}"] <= 1
        assert 0 <= after[f"gender_kept_{variant}"] <= 1
    # Means are fewer than faces, so results are more alike than what they are of.
    assert after["diversity_attributes"] < after["diversity_before"] + 1e-6


def test_all_losses_are_asked_for_and_the_critic_comes_later() -> None:
    made = recipe(judged=0.1)
    small = task(made)
    early = Run(made, small, Path(), device=CPU, tell=lambda line: None)
    assert set(early.step()) == {"picture", "shape", "coarse", "identity", "rival"}
    early.elapsed = 0.5
    assert set(early.step()) == {"picture", "shape", "coarse", "identity", "critic", "matched", "rival"}


def test_what_ships_does_what_the_run_does(run: Run) -> None:
    made = export_all(run.recipe, run.out, run.task)  # type: ignore[arg-type]
    assert [item.card.file for item in made] == ["small.onnx", "small-decoder.onnx", "small-codes.npz"]
    encoder, decoder = (onnxruntime.InferenceSession(item.data) for item in made[:2])
    small = run.task
    assert isinstance(small, Autoencoder)
    pictures = small.example()
    (codes,) = encoder.run(None, {"input": pictures.numpy()})
    np.testing.assert_allclose(codes, small.encoded(run.average, small.test[:8]), atol=0.02)
    (drawn,) = decoder.run(None, {"code": codes})
    np.testing.assert_allclose(
        drawn, small.decoded(run.average, np.asarray(codes, np.float32)).numpy(), atol=0.01
    )
    tables = Codes.load(made[2].data, made[0].card.sha256)
    assert tables.least == 3
    assert tables.clusters.shape[1] == SMALL["code"]
    assert made[1].card.parameters > 0


def test_mixes_are_of_a_few_and_of_many() -> None:
    shares = mixing(9, torch.rand(32, generator=torch.Generator().manual_seed(1)))
    assert shares.shape == (9, 32)
    np.testing.assert_allclose(shares.sum(1).numpy(), 1, atol=1e-6)
    assert sorted({int(number) for number in (shares > 0).sum(1)}) == [2, 8, 16]
    assert len({tuple(row) for row in (shares > 0).tolist()}) == 9


def test_what_ships_is_folded_and_rounded_and_says_the_same(run: Run) -> None:
    small = run.task
    assert isinstance(small, Autoencoder)
    shipped = rounded(run.average)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in shipped.modules())
    for parameter in shipped.parameters():
        assert parameter.ndim == 1 or torch.equal(parameter, parameter.half().float())
    np.testing.assert_allclose(
        small.encoded(shipped, small.test), small.encoded(run.average, small.test), atol=0.02
    )


def fitted(codes: np.ndarray, people: list[str], **settings: Any) -> Codes:
    count = len(codes)
    told = np.zeros((count, 9), np.float32)
    told[:, 0], told[:, 1] = 0.3, np.arange(count) % 2
    told[np.arange(count), 3 + np.arange(count) % 2] = 1
    pose = np.zeros((count, 3), np.float32)
    pose[:, 0], pose[:, 1] = codes[:, 0] * 10, codes[:, 1] * 10
    few = {"clusters": 8, "donors": 6, "directions": 2, "least": 5} | settings
    return code_means.fit(codes.astype(np.float32), told, pose, people, **few)


def test_every_row_is_a_mean_over_enough_people() -> None:
    random = np.random.default_rng(3)
    # A crowd, and far from it a few pictures of two people: they may have no cluster of their own.
    codes = np.concatenate([random.normal(size=(200, 4)), random.normal(size=(30, 4)) + 30])
    people = [""] * 200 + ["a"] * 15 + ["b"] * 15
    tables = fitted(codes, people)
    assert np.linalg.norm(tables.clusters - 30, axis=1).min() > 10
    with pytest.raises(ValueError, match="means of 5 people need as many, got 2"):
        fitted(codes[200:], people[200:])


def test_classes_fall_back_to_coarser_ones() -> None:
    codes = np.random.default_rng(4).normal(size=(100, 4))
    tables = fitted(codes, [""] * 100)
    exact = np.array([1, 1, 2, 0])
    np.testing.assert_array_equal(tables.kinds[tables.row_of(exact)], exact)
    # Nobody is over sixty here: sex alone decides.
    np.testing.assert_array_equal(tables.kinds[tables.row_of(np.array([1, 3, 2, 0]))], [1, ANY, ANY, ANY])
    rows = np.arange(100) % 2 == 1
    np.testing.assert_allclose(
        tables.goal(codes[0].astype(np.float32), "attributes", exact, np.zeros(2, np.float32)),
        codes[rows].mean(0),
        atol=1e-5,
    )


def test_pose_is_kept_and_draws_turn_away() -> None:
    random = np.random.default_rng(5)
    codes = random.normal(size=(300, 6)).astype(np.float32)
    tables = fitted(codes, [""] * 300, directions=3)
    np.testing.assert_allclose(tables.read @ tables.write, np.eye(2), atol=1e-4)
    kind = np.array([0, 1, 1, 0])
    for code in codes[:20]:
        draws = random.normal(size=3).astype(np.float32)
        for variant in ("cluster-mean", "attributes", "nearest", "repulsive"):
            led = tables.lead(code, variant, 1.0, kind, draws, pose=True)  # type: ignore[arg-type]
            np.testing.assert_allclose(tables.read @ led, tables.read @ code, atol=1e-3)
        mean = tables.goal(code, "attributes", kind, draws)
        away = tables.goal(code, "repulsive", kind, draws) - mean
        spread = np.square(tables.directions).sum(1)
        own, drawn = tables.directions @ (code - mean) / spread, tables.directions @ away / spread
        assert own @ drawn < 1e-3
        assert float(np.linalg.norm(drawn)) == pytest.approx(float(np.linalg.norm(draws)), rel=1e-3)
    tables = replace(tables, reach=0.0)
    half = tables.lead(codes[0], "attributes", 0.5, kind, np.zeros(3, np.float32), pose=False)
    np.testing.assert_allclose(
        half, (codes[0] + tables.goal(codes[0], "attributes", kind, np.zeros(3, np.float32))) / 2, atol=1e-5
    )


def test_a_tuned_encoder_comes_near_the_tables(run: Run, tmp_path: Path) -> None:
    made = replace(recipe("tuned_encoder", variant="attributes"), rate=1e-3)
    torch.manual_seed(0)
    tuned = TunedEncoder(made, {"portraits": Path("drawn")}, CPU)
    tuned.modules["network"].load_state_dict(run.average.state_dict())
    decoder = tuned.modules["network"].decoder.state_dict()
    before = {name: value.clone() for name, value in decoder.items()}
    tuned.goals(tuned.test)
    first = tuned.measure(run.average)
    after = trained(made, tuned, tmp_path / "tuned", 120)
    last = tuned.measure(after.average)
    assert last["code_error"] < 0.9 * first["code_error"]
    for name, value in tuned.modules["network"].decoder.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_a_variant_must_be_one() -> None:
    with pytest.raises(UsageError, match="variant must be one of reconstruct, cluster-mean"):
        TunedEncoder(recipe("tuned_encoder", variant="mean"), {"portraits": Path("drawn")}, CPU)
