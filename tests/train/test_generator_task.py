"""The generator: who faces shall be, losses, and that a short run learns and becomes files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from drawn_faces import FACES, WIDE, faces  # noqa: E402
from torch import Tensor  # noqa: E402

from incog import codes, models, points, shape  # noqa: E402
from incog.codes import Prior  # noqa: E402
from incog.errors import InputError, UsageError  # noqa: E402
from incog.methods.generated import Maker  # noqa: E402
from incog.train import wanted  # noqa: E402
from incog.train.critic import Critic, Width, flatness, losses_of_critic, shown  # noqa: E402
from incog.train.export import export_all  # noqa: E402
from incog.train.generator_net import GeneratorNet, Network, condition  # noqa: E402
from incog.train.loop import Adversarial, Run, open_folder  # noqa: E402
from incog.train.portraits import SIZE, Portraits  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402
from incog.train.tasks import generator as module  # noqa: E402
from incog.train.tasks.generator import Generator  # noqa: E402
from incog.train.wanted import People, Shares  # noqa: E402

CPU = torch.device("cpu")
RECIPES = Path(__file__).resolve().parents[2] / "recipes"
UNJUDGED = {"identity": 0.0, "repel": 0.0, "points": 0.0, "look": 0.0}


@pytest.fixture(scope="module")
def prior() -> Prior:
    """Return a prior of many made-up people: the drawn faces are too few."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(1500, WIDE))
    looks = np.tile(faces().attributes, (32, 1))[:1500]
    return codes.fit(np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32), looks)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch, prior: Prior) -> None:
    monkeypatch.setattr(module, "read", lambda path: faces())
    monkeypatch.setattr(codes, "fit", lambda embeddings, looks: prior)


def make(*, side: int = 64, **changes: Any) -> Generator:
    """Return the task of the recipe, tiny, over drawn faces; ``changes`` are of its options."""
    recipe = Recipe.load(RECIPES / "generator.toml")
    recipe = replace(
        recipe, batch=4, resolutions=((0.0, side),), warmup=0.0, rate=3e-3, average=0.9, average_start=0.0,
        network={"widths": [8, 8, 8, 8, 8], "style": 16},
        options={**recipe.options, "rival": [8, 8, 8], **changes},
    )  # fmt: skip
    torch.manual_seed(0)
    return Generator(recipe, {"portraits": Path("drawn")}, CPU)


def run_of(task: Generator, folder: Path) -> Run:
    return Run(task.recipe, task, folder, device=CPU, tell=lambda line: None)


# Runs


def test_every_loss_is_asked_for_and_finite(tmp_path: Path) -> None:
    task = make()
    assert isinstance(task, Adversarial)
    run = run_of(task, tmp_path)
    rivals = [parameter.clone() for parameter in task.rivals.parameters()]
    for _ in range(2):
        losses = run.step()
    asked = {"critic", "features", "picture", "tone", "ring", "identity", "repel", "points", "look", "steady"}
    assert set(losses) == asked | {"rival", "flat"}
    assert all(np.isfinite(value) for value in losses.values())
    moved = zip(rivals, task.rivals.parameters(), strict=True)
    assert any(bool((before != after).any()) for before, after in moved)


def test_a_run_without_a_critic_keeps_the_detail_that_it_began_with(tmp_path: Path) -> None:
    task = make(critic=0.0, features=0.0, detail=2.0, steady=0.0, cells=[16, 32], **UNJUDGED)
    assert not isinstance(task, Adversarial)
    run = run_of(task, tmp_path)
    before = {name: value.clone() for name, value in task.modules["network"].state_dict().items()}
    first, second = run.step(), run.step()
    assert set(first) == {"detail", "picture", "tone", "ring"}
    assert first["detail"] == pytest.approx(0, abs=1e-3)
    assert second["detail"] > first["detail"]
    begun = task.modules["begun"].network.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in before.items())
    run.save()
    again = make(critic=0.0, features=0.0, detail=2.0, steady=0.0, cells=[16, 32], **UNJUDGED)
    other = run_of(again, tmp_path)
    other.load()
    other.step()
    kept = again.modules["begun"].network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in before.items()), (
        "a run that is resumed forgot"
    )


def test_the_prior_of_earlier_weights_is_taken_over(tmp_path: Path) -> None:
    other = models.own("generator-codes")
    (tmp_path / "codes.npz").write_bytes(other)
    usual = make()
    task = Generator(usual.recipe, {"portraits": Path("drawn"), "codes": tmp_path / "codes.npz"}, CPU)
    np.testing.assert_array_equal(task.prior.axes, Prior.load(other).axes)
    assert not np.array_equal(task.prior.axes, usual.prior.axes)
    small = codes.Prior(*(getattr(usual.prior, name)[: 100 if name in ("mean", "axes") else None] for name in (
        "mean", "axes", "spread", "slopes", "rest"
    )))  # fmt: skip
    (tmp_path / "small.npz").write_bytes(small.dump())
    with pytest.raises(InputError, match=r"small.npz must be of embeddings of 512 numbers, got 100"):
        Generator(usual.recipe, {"portraits": Path("drawn"), "codes": tmp_path / "small.npz"}, CPU)
    (tmp_path / "none.npz").write_bytes(b"nothing")
    for name in ("none.npz", "missing.npz"):
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            Generator(usual.recipe, {"portraits": Path("drawn"), "codes": tmp_path / name}, CPU)


def test_a_run_keeps_the_prior_that_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "codes.npz").write_bytes(models.own("generator-codes"))
    given = {"portraits": Path("drawn"), "codes": tmp_path / "codes.npz"}
    plain, recipe = {"portraits": Path("drawn")}, make(side=32).recipe
    place = tmp_path / "run"
    open_folder(place, recipe, resume=False)
    began = Generator(recipe, given, CPU, place / "cache")
    # Nothing is trained yet: another beginning is none of this one.
    fresh = Generator(recipe, plain, CPU, place / "cache")
    assert not np.array_equal(fresh.prior.axes, began.prior.axes)
    began = Generator(recipe, given, CPU, place / "cache")
    run = run_of(began, place)
    run.step()
    run.save()
    again = Generator(recipe, plain, CPU, place / "cache")
    np.testing.assert_array_equal(again.prior.axes, began.prior.axes)
    table = export_all(recipe, place, again)[1]  # type: ignore[arg-type]
    np.testing.assert_array_equal(Prior.load(table.data).axes, Prior.load(models.own("generator-codes")).axes)
    other = tmp_path / "other.npz"
    other.write_bytes(fresh.prior.dump())
    with pytest.raises(InputError, match=r"other.npz is not the prior of codes that the run began with"):
        Generator(recipe, {**plain, "codes": other}, CPU, place / "cache")


def test_faces_learn_to_move_along(tmp_path: Path) -> None:
    weights = {"picture": 0.0, "tone": 0.0, "ring": 0.0, "critic": 0.0, "features": 0.0, **UNJUDGED}
    run = run_of(make(side=32, steady=4.0, **weights), tmp_path)
    steps = [run.step()["steady"] for _ in range(40)]
    assert np.mean(steps[-8:]) < 0.5 * np.mean(steps[:8])


def test_a_short_run_learns_its_own_faces_and_becomes_files(tmp_path: Path) -> None:
    task = make(side=32, own=0.9, critic=0.0, features=0.0, **UNJUDGED)
    open_folder(tmp_path, task.recipe, resume=False)
    run = run_of(task, tmp_path)
    steps = [run.step() for _ in range(60)]
    for name in ("picture", "tone"):
        first, last = (np.mean([losses[name] for losses in some]) for some in (steps[:10], steps[-10:]))
        assert last < 0.85 * first, name
    run.save()

    figures = task.measure(run.average)
    assert all(np.isfinite(value) for value in figures.values())
    assert 0 < figures["own_l1"] < 0.3
    assert 0 < figures["fresh_tone"] < 0.6
    assert -1 <= figures["fresh_cosine"] <= figures["threshold"] <= 1
    sheet = task.sheet(run.average)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 7 * 32

    network, table, lines = export_all(task.recipe, tmp_path, task)  # type: ignore[arg-type]
    files = [item.card.file for item in (network, table, lines)]
    assert files == ["generator.onnx", "generator-codes.npz", "generator-shape.npz"]
    assert network.card.data == {"drawn": FACES}
    maker, example = Maker(network.data, table.data, lines.data), task.example()
    with torch.no_grad():
        truth = task.shipped(run.average)(**example)
    given = [example[name][0].numpy() for name in ("planes", "code", "attributes")]
    np.testing.assert_allclose(maker(*given), truth[0].permute(1, 2, 0).numpy(), atol=2e-3)
    np.testing.assert_allclose(maker.prior.spread, task.prior.spread, rtol=2e-3)


def test_sides_that_pictures_cannot_have_are_refused() -> None:
    for side in (96, 8, 48):
        with pytest.raises(UsageError, match="resolutions must be sides that divide 128"):
            make(side=side)


def test_data_without_held_out_people_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Portraits, "rows", lambda self, split: np.arange(0 if split == "test" else 40))
    with pytest.raises(InputError, match="too few to train on some"):
        make()


# Who a face shall be


def people_of(prior: Prior) -> tuple[People, Portraits]:
    portraits = faces()
    goals = [torch.from_numpy(portraits.embeddings), torch.from_numpy(portraits.embeddings[:, ::-1].copy())]
    return People(portraits, np.arange(FACES - 8), prior, goals, CPU), portraits


def test_who_faces_shall_be(prior: Prior) -> None:
    people, portraits = people_of(prior)
    random = torch.Generator().manual_seed(4)
    index = torch.arange(32)
    draws, uniforms = (
        torch.rand(32, wanted.DRAWS, generator=random),
        torch.rand(32, codes.SIZE, generator=random),
    )
    who = people.wanted(index, Shares(noise=0.0), draws, uniforms)
    assert who.count == 16
    own = prior.code(portraits.embeddings)
    for row in range(16):
        # Of the same person: this picture or the other.
        assert any(np.allclose(who.code[row], own[n], atol=1e-4) for n in (row // 2 * 2, row // 2 * 2 + 1))
        assert not who.changed[row]
    looks = portraits.attributes
    drawn = (draws[:, 0] < 0.35)[16:].numpy()
    assert 0 < drawn.sum() < 16
    for row in range(16, 32):
        kind = float(draws[row, 0])
        assert bool(who.changed[row]) is (kind >= 0.75)
        assert who.known[row].tolist() == ([1, 0] if kind < 0.35 else [1, 1])
        if kind < 0.35:
            normals = wanted.normals(uniforms[row : row + 1]).numpy()
            fresh = prior.draw(normals, looks[row : row + 1])
            np.testing.assert_allclose(who.code[row], fresh[0], atol=1e-3)
            np.testing.assert_allclose(who.goals[0][row], prior.embedding(fresh)[0], atol=1e-4)
            np.testing.assert_array_equal(who.attributes[row], looks[row])
        else:
            (source,) = [n for n in range(FACES) if np.allclose(who.code[row], own[n], atol=1e-4)]
            assert source < FACES - 8
            np.testing.assert_array_equal(who.attributes[row, :7], looks[source, :7])
            np.testing.assert_array_equal(who.attributes[row, 7:], looks[row, 7:])
            np.testing.assert_allclose(who.goals[1][row], portraits.embeddings[source, ::-1])
            if kind < 0.75:
                np.testing.assert_array_equal(looks[source, :7], looks[row, :7])
    near = (who.goals[0] * torch.from_numpy(portraits.embeddings)[:32]).sum(1)
    assert torch.allclose(who.near[:, 0], near, atol=1e-5)


def test_less_variety_comes_nearer_to_the_mean_of_a_look(prior: Prior) -> None:
    people, _ = people_of(prior)
    index, uniforms = torch.arange(40), torch.rand(40, codes.SIZE, generator=torch.Generator().manual_seed(1))
    spreads = []
    for variety in ((1.0, 1.0), (0.5, 0.5)):
        shares = Shares(drawn=1.0, alike=1.0, variety=variety)
        who = people.wanted(index, shares, torch.zeros(40, wanted.DRAWS), uniforms)
        mean = people.drawn(torch.zeros(40, codes.SIZE), who.attributes)
        spreads.append(float((who.code - mean)[who.count :].norm()))
    assert spreads[1] == pytest.approx(0.5 * spreads[0], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"own": 1.0}, "own"), ({"drawn": 0.9}, "drawn"), ({"variety": (1.0, 0.5)}, "variety")],
)
def test_shares_that_cannot_be_are_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=f"{what} must be"):
        Shares(**changes)


# What is asked of faces


def test_points_of_mirrored_faces_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make()
    index, flips, pictures = torch.arange(4), torch.tensor([0.9, 0.1, 0.9, 0.1]), torch.zeros(4, 3, 64, 64)
    shapes = shape.halves(faces().dense[:4], SIZE)
    turned = shapes[:, list(points.MIRROR)] * np.array([-1, 1], np.float32)
    found = np.where(flips[:, None, None] < 0.5, turned, shapes).astype(np.float32)
    for there, low, high in ((found, 0.0, 1e-6), (found + 0.05, 0.01, 0.2)):
        monkeypatch.setattr(task.judges, "points", lambda faces, there=there: torch.from_numpy(there))
        assert low <= float(task._points_loss(pictures, index, flips, 2)) <= high


def test_looks_cost_least_where_they_are_as_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make()
    wanted_ = torch.tensor([[0.4, 1.0, 0, 1, 0, 0, 0, 0.0, 1.0]])
    right = {
        "age": torch.tensor([40.0]), "gender": torch.tensor([[0.0, 1.0]]),
        "ethnicity": torch.tensor([[0.0, 1, 0, 0, 0]]), "expression": torch.tensor([[0.0, 1.0, 0.0]]),
    }  # fmt: skip

    def cost(told: dict[str, Tensor]) -> float:
        monkeypatch.setattr(task.judges, "attributes", lambda faces: told)
        return float(task._look_loss(torch.zeros(1, 3, 64, 64), wanted_))

    assert cost(right) == pytest.approx(0, abs=0.01)
    for name, value in right.items():
        wrong = value.roll(1, 1) if value.ndim > 1 else value + 20
        assert cost({**right, name: wrong}) > 1.5, name


# Networks


def test_half_precision_draws_the_same_face() -> None:
    torch.manual_seed(0)
    network = GeneratorNet(Network()).eval()
    with np.load(RECIPES / "weights" / "generator.npz") as file:
        network.load_state_dict({name: torch.from_numpy(file[name]).float() for name in file.files})
    planes, code, look = torch.rand(2, 8, 128, 128), torch.randn(2, 96), torch.rand(2, 9)
    with torch.no_grad():
        whole = network(planes, code, look)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(planes, code, look)
    assert half.dtype == torch.float32
    assert (half - whole).abs().mean() < 0.005 * whole.abs().mean()


def test_a_code_tells_by_its_direction_and_no_face_depends_on_others() -> None:
    torch.manual_seed(0)
    network = GeneratorNet(Network(widths=(8, 8, 8, 8, 8), style=16)).eval()
    planes, code, look = torch.rand(3, 8, 32, 32), torch.randn(3, 96), torch.rand(3, 9)
    with torch.no_grad():
        together = network(planes, code, look)
        assert together.shape == (3, 3, 32, 32)
        assert torch.allclose(network(planes, 3 * code, look), together, atol=1e-4)
        assert (network(planes, -code, look) - together).abs().max() > 1e-3
        for row in range(3):
            one = network(*(item[row : row + 1] for item in (planes, code, look)))
            assert torch.allclose(one[0], together[row], atol=1e-5)
    assert torch.allclose(condition(code, look), condition(2 * code, look), atol=1e-4)


def test_the_critic_is_flat_where_its_gradient_is_none() -> None:
    torch.manual_seed(0)
    critic = Critic(8, 105, Width(widths=(8, 8, 8)))
    planes, told = torch.rand(2, 8, 32, 32), torch.rand(2, 105)
    patches, whole, features = critic(planes, told)
    assert patches.shape == (2, 1, 8, 8)
    assert whole.shape == (2, 1)
    assert len(features) == 2
    value = flatness(critic, planes, told)
    x = planes.clone().requires_grad_(True)
    patches, whole, _ = critic(x, told)
    (patches.mean((1, 2, 3)).sum() + whole.sum()).backward()
    assert x.grad is not None
    assert float(value.detach()) == pytest.approx(float(x.grad.square().sum((1, 2, 3)).mean()), rel=1e-4)
    value.backward()
    assert critic.stem.weight.grad is not None

    def blind(planes: Tensor, told: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        return planes[:, :1] * 0, planes.mean((1, 2, 3))[:, None] * 0, []

    assert float(flatness(blind, planes, told)) == 0
    zero = torch.zeros(2, 1)
    assert float(losses_of_critic((zero, zero), (zero, zero))) == pytest.approx(4 * np.log(2))


def test_critics_see_colours_as_they_are_unless_asked() -> None:
    pictures, draws = torch.rand(4, 8, 32, 32) * 2 - 1, torch.rand(4, 8)
    draws[:, 3:5], draws[:, 7] = 0.5, 0.0
    assert torch.allclose(shown(pictures, draws, vivid=0.0), pictures, atol=1e-4)
    little, much = (shown(pictures, draws, vivid=vivid)[:, :3] for vivid in (0.2, 1.0))
    assert 0 < (little - pictures[:, :3]).abs().mean() < 0.5 * (much - pictures[:, :3]).abs().mean()
    assert torch.allclose(shown(pictures, draws)[:, 3:], pictures[:, 3:], atol=1e-4)
    draws[:, 7] = 0.9
    hidden = shown(pictures, draws, vivid=0.0) == 0
    assert 0.02 < hidden.float().mean() < 0.3
