"""The face identity transformer: keys, losses, networks, and that a short run learns to turn back what it turned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from incog import points  # noqa: E402
from incog.data.faces import template  # noqa: E402
from incog.errors import InputError, UsageError  # noqa: E402
from incog.evaluate import quality  # noqa: E402
from incog.train import judges, keyed  # noqa: E402
from incog.train.export import difference, to_onnx  # noqa: E402
from incog.train.likeness import dssim  # noqa: E402
from incog.train.loop import Adversarial, Batch, Run  # noqa: E402
from incog.train.nets import operations, parameters  # noqa: E402
from incog.train.portraits import Portraits  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402
from incog.train.tasks import transformer as module  # noqa: E402
from incog.train.tasks.transformer import Transformer  # noqa: E402
from incog.train.transformer_net import Critic, Inverter, Linker, Network, TransformerNet  # noqa: E402

CPU = torch.device("cpu")
RECIPES = Path(__file__).resolve().parents[2] / "recipes"
FACES = 24


def dense_face() -> np.ndarray:
    """130 points in a crop of 128 px, (130, 2), the five at the template."""
    dense = np.random.default_rng(5).uniform([45, 50], [82, 85], (points.COUNT, 2))
    angles = np.arange(36) / 36 * 2 * np.pi
    dense[points.OUTLINE] = np.stack([63.5 + np.sin(angles) * 34, 64 - np.cos(angles) * 44], axis=1)
    dense[list(points.FIVE)] = template("outline", 128)
    return dense.astype(np.float32)


def portraits(count: int = FACES) -> Portraits:
    """Drawn faces on soft backgrounds, four pictures of each person."""
    rng, dense = np.random.default_rng(3), dense_face()
    pixels = np.empty((count, 128, 128, 3), np.uint8)
    for number, canvas in enumerate(pixels):
        soft = rng.uniform(0, 255, (4, 4, 3)).astype(np.float32)
        canvas[:] = np.clip(cv2.resize(soft, (128, 128), interpolation=cv2.INTER_CUBIC), 0, 255)
        skin = np.random.default_rng(number // 4).uniform(90, 220, 3).tolist()
        cv2.fillConvexPoly(canvas, np.rint(dense[points.OUTLINE]).astype(np.int32), skin)
        for row in points.FIVE:
            cv2.circle(
                canvas, np.rint(dense[row]).astype(int).tolist(), 5, rng.uniform(0, 255, 3).tolist(), -1
            )
    empty = np.zeros((count, 0), np.float32)
    corners = np.tile(np.array([[0, 0], [127, 0], [127, 127], [0, 127]], np.float32), (count, 1, 1))
    return Portraits(
        pixels, corners, np.tile(dense, (count, 1, 1)), np.zeros((count, 3), np.float32), empty, empty,
        [f"{number}.png" for number in range(count)], ["drawn"] * count, [f"p{n // 4}" for n in range(count)],
    )  # fmt: skip


def make(monkeypatch: pytest.MonkeyPatch, name: str, width: int = 8, **changes: Any) -> Transformer:
    """The task of a recipe, tiny, over drawn faces; ``changes`` are of its options."""
    monkeypatch.setattr(module, "read", lambda path: portraits())
    recipe = Recipe.load(RECIPES / f"{name}.toml")
    recipe = replace(
        recipe, batch=4, resolutions=((0.0, 64),), warmup=0.0, rate=2e-3,
        network={**recipe.network, "width": width, "blocks": 1},
        options={**recipe.options, "critic": 8, "predictor": 8, **changes},
    )  # fmt: skip
    torch.manual_seed(0)
    return Transformer(recipe, {"portraits": Path("drawn")}, CPU)


def run_of(task: Transformer, folder: Path) -> Run:
    return Run(task.recipe, task, folder, device=CPU, tell=lambda line: None)


def net(**options: Any) -> TransformerNet:
    torch.manual_seed(1)
    return TransformerNet(Network(**{"width": 8, "blocks": 1, **options})).eval()


def keys_of(count: int, width: int, seed: int = 0) -> Tensor:
    return keyed.signs(torch.rand(count, width, generator=torch.Generator().manual_seed(seed))) * width**-0.5


def test_a_face_does_not_depend_on_the_others_of_the_batch() -> None:
    network, images, keys = net(), torch.rand(3, 3, 32, 32), keys_of(3, 32)
    with torch.no_grad():
        together = network(images, keys)
        for row in range(3):
            assert torch.allclose(
                network(images[row : row + 1], keys[row : row + 1])[0], together[row], atol=1e-5
            )


def test_published_norms_make_it_depend_on_them() -> None:
    network = net(condition="tiled", norm="batch", key=16)
    images, keys = torch.rand(3, 3, 32, 32), keys_of(3, 16) * 2
    with torch.no_grad():
        assert (network(images[:1], keys[:1])[0] - network(images, keys)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("side", [32, 48, 64])
def test_any_side_is_turned_and_stays_in_range(side: int) -> None:
    network, images = net(), torch.rand(2, 3, side, side)
    with torch.no_grad():
        turned, other = network(images, keys_of(2, 32)), network(images, keys_of(2, 32, seed=9))
    assert turned.shape == images.shape
    assert turned.min() >= 0
    assert turned.max() <= 1
    assert (turned - other).abs().max() > 1e-4


def test_what_ships_is_small() -> None:
    options = Recipe.load(RECIPES / "transformer.toml").section("network", Network)
    network = TransformerNet(options)
    assert 2e6 < parameters(network) < 4.5e6
    assert operations(network, torch.zeros(1, 3, 128, 128), torch.zeros(1, options.key)) < 7e9


@pytest.mark.parametrize(("what", "value"), [("condition", "added"), ("norm", "none"), ("width", 12)])
def test_networks_that_cannot_be_are_refused(what: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{what} must be"):
        Network(**{what: value})


def test_critics_know_norms_of_two_kinds() -> None:
    images = torch.rand(2, 3, 64, 64)
    assert Critic(8, spectral=True)(images).shape == Critic(8, spectral=False)(images).shape == (2, 1, 6, 6)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in Critic(8, spectral=True).modules())


def test_keys_differ_from_those_that_are_taken() -> None:
    keys = keyed.signs(torch.rand(5, 16))
    assert set(keys.flatten().tolist()) == {-1.0, 1.0}
    other = keyed.distinct(torch.cat([keys[:2], -keys[2:]]), keys)
    assert not (other == keys).all(1).any()
    assert torch.equal(other[2:], -keys[2:])
    assert int((other[:2] != keys[:2]).sum()) == 2


def test_masks_cover_the_points_and_leave_the_corners() -> None:
    depths = torch.from_numpy(keyed.depths(dense_face()[None], 128)).permute(0, 3, 1, 2) / 255
    assert depths.shape == (1, 1, 128, 128)
    mask = keyed.usual_masks(depths)[0, 0]
    inner = dense_face().round().astype(int)
    assert mask[inner[:, 1], inner[:, 0]].min() > 0.94
    assert mask[0, 0] == mask[0, -1] == mask[-1, 0] == 0
    assert 0.3 < float(mask.mean()) < 0.6


def test_masks_grow_and_fade_by_pixels() -> None:
    square = dense_face()
    square[:] = np.linspace([40, 40], [88, 88], len(square))
    square[:4] = [[40, 40], [88, 40], [88, 88], [40, 88]]
    depths = torch.from_numpy(keyed.depths(square[None], 128)).permute(0, 3, 1, 2) / 255
    line = keyed.masks(depths, torch.tensor([3.0]), torch.tensor([1.0]))[0, 0, 64]
    covered = (line > 0.5).nonzero().flatten()
    # 40..88 with the margin of 5, and 3 more.
    assert covered[[0, -1]].tolist() == pytest.approx([32, 96], abs=1)
    assert int(((line > 0) & (line < 1)).sum()) <= 4
    faded = keyed.masks(depths, torch.tensor([3.0]), torch.tensor([8.0]))[0, 0, 64]
    assert 12 <= int(((faded > 0) & (faded < 1)).sum()) <= 18


def test_people_are_those_with_pictures_enough_to_learn() -> None:
    names = ["b", "a", "b", "", "c", "a", "c"]
    found = keyed.people(names, np.array([0, 1, 2, 3, 4, 5]), 2)
    assert found.tolist() == [1, 0, 1, -1, -1, 0, -1]


def test_likeness_is_that_of_the_measures() -> None:
    rng = np.random.default_rng(7)
    first = np.clip(cv2.resize(rng.uniform(0, 255, (12, 12, 3)).astype(np.float32), (64, 64)), 0, 255).astype(
        np.uint8
    )
    second = np.clip(first + rng.normal(0, 12, first.shape), 0, 255).astype(np.uint8)
    a, b = (torch.from_numpy(one).permute(2, 0, 1)[None].float() / 255 for one in (first, second))
    assert float(dssim(a, b)) == pytest.approx(quality.dssim(first, second), abs=0.01)
    assert float(dssim(a, a)) == pytest.approx(0, abs=1e-5)


def test_distances_of_people_end_at_the_margin() -> None:
    one = torch.eye(3)
    two = torch.tensor([[0.8, 0.6, 0], [0, -1.0, 0], [0, 0.9, 0.1]])
    assert float(keyed.repelled(one, two, 0.0)) == pytest.approx(0.3)
    assert float(keyed.repelled(one, two, 0.5)) == pytest.approx(0.1)


def test_the_predictor_is_asked_for_signs_or_for_chunks() -> None:
    keys = keyed.signs(torch.rand(3, 8))
    assert float(keyed.misread(keys * 3, keys, chunks=False)) == pytest.approx(0, abs=1e-6)
    assert float(keyed.misread(-keys, keys, chunks=False)) == pytest.approx(2)
    bits = (keys > 0).int().view(3, 2, 4).tolist()
    sure = torch.full((3, 2, 16), -30.0)
    for row, chunks in enumerate(bits):
        for place, chunk in enumerate(chunks):
            sure[row, place, int("".join(map(str, chunk)), 2)] = 30
    assert float(keyed.misread(sure.flatten(1), keys, chunks=True)) == pytest.approx(0, abs=1e-6)
    assert float(keyed.misread(torch.zeros(3, 32), keys, chunks=True)) == pytest.approx(
        2 * np.log(16), abs=1e-5
    )


def test_the_classifier_hears_of_known_people_only_and_is_bounded() -> None:
    logits = torch.tensor([[5.0, 0, 0, 0], [100.0, 0, 0, 0], [0, 9.0, 0, 0]])
    loss = keyed.entropy(logits, torch.tensor([0, 3, -1]))
    right = -torch.log_softmax(logits[0], 0)[0]
    assert float(loss) == pytest.approx(float(right + 2 * np.log(4)) / 2, abs=1e-5)
    assert float(keyed.entropy(logits, torch.full((3,), -1))) == 0


def test_critics_losses() -> None:
    real, made = [torch.tensor([2.0, 0.5])], [torch.tensor([-3.0, 0.0])]
    assert float(keyed.told_apart(real, made, squares=False)) == pytest.approx(0.25 + 0.5)
    assert float(keyed.told_apart(real, made, squares=True)) == pytest.approx((0.625 + 4.5) / 2)
    assert float(keyed.seems_real(made, squares=False)) == pytest.approx(1.5)
    assert float(keyed.seems_real(made, squares=True)) == pytest.approx((16 + 1) / 2)


def test_pools_give_old_pictures_back() -> None:
    torch.manual_seed(0)
    pool, given, seen = keyed.Pool(8), [], []
    for number in range(40):
        batch = torch.full((4, 1), float(number))
        given.append(number)
        seen += pool(batch).flatten().tolist()
    assert set(seen) <= set(map(float, given))
    late = [value for n, value in enumerate(seen) if value != n // 4]
    assert 0.2 < len(late) / len(seen) < 0.7
    assert torch.equal(keyed.Pool(0)(batch), batch)
    assert pool(torch.zeros(2, 3)).shape == (2, 3)


def test_every_loss_has_its_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = make(monkeypatch, "transformer")
    assert isinstance(task, Adversarial)
    run = run_of(task, tmp_path)
    losses = run.step()
    assert set(losses) == {
        "repel", "apart", "recognise", "points", "look", "adversary", "key", "recovery", "structure", "background",
        "critic", "link", "linker", "invert", "inverter",
    }  # fmt: skip
    assert all(np.isfinite(value) for value in losses.values())
    figures = task.measure(run.average)
    assert -1 <= figures["cosine_a_i"] <= 1
    assert figures["faces"] == len(task.test)
    assert {"recovery_dssim", "wrong_l1", "shift_a", "same_r_i"} <= set(figures)
    assert task.sheet(run.average).shape[1:] == (10 * 64, 3)


def test_a_short_run_learns_to_turn_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unjudged = {
        "repel": 0.0,
        "apart": [0.0] * 3,
        "recognise": 0.0,
        "points": 0.0,
        "look": 0.0,
        "adversary": 0.0,
        "link": 0.0,
        "invert": 0.0,
    }
    task = make(monkeypatch, "transformer", **unjudged)
    assert not isinstance(task, Adversarial)
    run = run_of(task, tmp_path)
    first, *_, last = [run.step() for _ in range(40)]
    assert set(first) == {"recovery", "structure", "background", "key"}
    assert last["recovery"] < 0.7 * first["recovery"]


def test_only_faces_change_where_they_are_laid_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = make(monkeypatch, "transformer", again=0.0, coded=0.0)
    run_of(task, tmp_path).step()
    made = task.made
    outside = (made.masks == 0).expand_as(made.images)
    assert 0.3 < float(outside.float().mean()) < 0.8
    for pictures in (made.first, made.second, made.recovered):
        assert torch.equal(pictures[outside], made.images[outside])
        assert not torch.equal(pictures[~outside], made.images[~outside])
    whole = make(monkeypatch, "transformer", laid=False)
    run_of(whole, tmp_path).step()
    assert not torch.equal(whole.made.first[outside], whole.made.images[outside])


def test_who_turns_back_is_given_what_a_file_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = make(monkeypatch, "transformer", again=0.0, coded=1.0)
    run_of(task, tmp_path).step()
    made = task.made
    outside = (made.masks == 0).expand_as(made.images)
    lost = (made.recovered - made.images)[outside].abs()
    assert 0 < float(lost.mean()) < 0.1


def test_a_linker_is_blind_where_all_are_as_likely() -> None:
    known = functional.normalize(torch.eye(4) + 0.1, dim=1)
    assert float(keyed.unlinked(torch.full((2, 4), 0.5), known)) == pytest.approx(0, abs=1e-5)
    assert float(keyed.unlinked(known, known)) > 1
    rows = torch.arange(4)
    assert float(keyed.linked(known, known, rows)) < 1e-2
    assert float(keyed.linked(known, known, rows.flip(0))) > 5


def test_a_linker_learns_who_was_turned() -> None:
    torch.manual_seed(0)
    linker, turn = Linker(16), torch.linalg.qr(torch.randn(16, 16))[0]
    optimiser = torch.optim.Adam(linker.parameters(), 1e-3)
    for _ in range(60):
        who = functional.normalize(torch.randn(32, 16), dim=1)
        loss = keyed.linked(*linker(who @ turn, who), torch.arange(32))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * np.log(32)


@pytest.mark.parametrize(("what", "value", "must"), [
    ("coded", 1.5, "coded must be in 0..1"),
    ("link", 1.0, "link must be 0 where no recogniser is asked"),
    ("invert", 1.0, "invert must be 0 where no recogniser is asked"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(what: str, value: float, must: str) -> None:
    with pytest.raises(UsageError, match=must):
        keyed.Options(**{what: value, "repel": 0.0, "apart": (0.0, 0.0, 0.0)})


def test_an_inverter_learns_what_any_key_did_alike() -> None:
    torch.manual_seed(0)
    inverter = Inverter(8)
    optimiser = torch.optim.Adam(inverter.parameters(), 2e-3)
    faces = functional.interpolate(torch.rand(16, 3, 4, 4), size=(32, 32), mode="bilinear")
    turned = 1 - faces.flip(1)
    with torch.no_grad():
        before = float((inverter(turned) - faces).abs().mean())
    for _ in range(60):
        loss = (inverter(turned) - faces).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.4 * before
    with torch.no_grad():
        back = inverter(turned)
    assert 0 <= float(back.min()) <= float(back.max()) <= 1


def test_the_network_hears_of_the_inverter_and_the_inverter_of_faces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = make(monkeypatch, "transformer", invert=4.0)
    run = run_of(task, tmp_path)
    run.step()
    batch = Batch(np.arange(4), np.zeros(4, np.int64), 0.0, 64, 1, CPU)
    heard = task.losses(batch)["invert"]
    moved = torch.autograd.grad(heard, list(task.modules["network"].parameters()), allow_unused=True)
    assert any(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in moved)
    # The inverter learns while the network stays.
    optimiser = torch.optim.Adam(task.rivals["inverter"].parameters(), 1e-3)
    task.rivals.requires_grad_(True)
    lost = []
    for _ in range(12):
        loss = task.rival_losses(batch)["inverter"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        lost.append(float(loss.detach()))
    assert lost[-1] < 0.97 * lost[0]
    # Who is recognised apart, it is asked for pixels inside of masks alone.
    monkeypatch.setattr(
        task.judges, "identity", lambda images, draws=None: [torch.full((len(images), 4), 0.5)]
    )
    made = task.made
    outside, inside = (
        replace(made, images=torch.where(place, 1 - made.images, made.images))
        for place in (made.masks == 0, made.masks > 0)
    )
    with torch.no_grad():
        asked = [float(task._inverted(one)) for one in (made, outside, inside)]
    assert asked[1] == pytest.approx(asked[0])
    assert asked[2] != pytest.approx(asked[0], rel=1e-3)


def test_cosines_are_those_of_each_recogniser() -> None:
    one, other = torch.eye(3)[:2], torch.eye(3)[[0, 2]]
    found = judges.cosines([one, one], [one, other])
    assert found.tolist() == [[1, 1], [1, 0]]


def test_a_share_of_the_pictures_are_anonymised_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = make(monkeypatch, "transformer", again=0.5)
    run = run_of(task, tmp_path)
    run.step()
    before = task.made.first.clone()
    run.step()
    made = task.made
    assert torch.equal(made.images[:2], before[:2])
    assert torch.equal(made.images[2:], made.real[2:])
    assert made.people[:2].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("recipe", "changes", "gone"),
    [
        ("transformer", {"apart": [0.0, 0.0, 0.0]}, {"apart"}),
        ("transformer", {"link": 0.0}, {"link", "linker"}),
        ("transformer", {"invert": 0.0}, {"invert", "inverter"}),
        ("transformer", {"coded": 0.0, "laid": False}, set()),
        ("transformer", {"key": 0.0}, {"key"}),
        ("transformer", {"recognise": 0.0}, {"recognise"}),
        ("transformer", {"adversary": 0.0}, {"adversary", "critic"}),
        ("transformer-gu", {"wrong": False}, set()),
        ("transformer-gu", {"recognise": 0.0, "pool": 2}, set()),
    ],
)
def test_ablations_leave_a_loss_out(
    recipe: str, changes: dict[str, Any], gone: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = make(monkeypatch, recipe, classify_start=0.0, least=2, **changes)
    run = run_of(task, tmp_path)
    losses = run.step()
    losses = run.step()
    usual = {"recovery", "background", "adversary", "critic", "key", "apart"}
    mine = {"repel", "recognise", "link", "linker", "invert", "inverter"}
    usual |= mine if recipe == "transformer" else {"classify", "classifier"}
    assert usual - set(losses) == gone
    assert all(np.isfinite(value) for value in losses.values())
    assert ("predictor" in task.modules) == bool(task.options.key)
    if not task.options.wrong:
        assert len(task.made.wrongs) == 0


def test_what_is_compiled_before_is_what_steps_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = make(monkeypatch, "transformer", points=0.0, look=0.0)
    seen: list[tuple[Any, ...]] = []

    def watched(images: Tensor, keys: Tensor) -> Tensor:
        seen.append((images.shape, images.stride(), images.requires_grad, keys.shape))
        return inner(images, keys)

    inner = task.modules["network"].forward
    monkeypatch.setattr(task.modules["network"], "forward", watched)
    task._warm = True
    run_of(task, tmp_path).step()
    assert len(seen) == 3
    assert len(set(seen)) == 1, "a compiled network is made anew for every other kind of input"


def test_classifiers_need_people(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="two people with 9 pictures"):
        make(monkeypatch, "transformer-gu", least=9)


def test_the_file_takes_a_face_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make(monkeypatch, "transformer")
    example, network = task.example(), task.shipped(task.modules["network"]).eval()
    assert list(example) == ["image", "key"]
    assert torch.allclose(example["key"].norm(dim=1), torch.ones(len(example["key"])))
    data = to_onnx(
        network, {k: v[:2] for k, v in example.items()}, "", task.card()["output_names"], {0: "batch"}
    )
    with torch.no_grad():
        assert difference(data, network, example) < 1e-4
    assert task.card()["data"] == {"drawn": FACES}
