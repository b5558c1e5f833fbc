"""The detector's task: which cells learn which faces, what the losses say, and that the file finds what was learnt."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from incog.perceive.detector import Light  # noqa: E402
from incog.train.canvas import Collage  # noqa: E402
from incog.train.export import to_onnx  # noqa: E402
from incog.train.nets_detector import (  # noqa: E402
    STRIDES,
    DetectorNet,
    Network,
    Shipped,
    cells,
    decode,
)
from incog.train.tasks.detector import (  # noqa: E402
    RANGES,
    Options,
    assign,
    detect,
    flat,
    judged,
    loss,
    overlaps,
    tensor,
)
from incog.types import Floats  # noqa: E402

SMALL = Network(widths=(16, 16, 16, 16), blocks=(0, 1, 1, 1), inner=(16, 16, 16, 16), neck=16)
CPU = torch.device("cpu")


def collage(boxes: list[tuple[float, ...]], sure: list[bool] | None = None, side: int = 128) -> Collage:
    """Return a grey picture that says it holds these faces; points at fixed places of each box."""
    array = np.array(boxes, np.float32).reshape(-1, 4)
    share = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    points = array[:, None, :2] + share * (array[:, 2:] - array[:, :2])[:, None]
    known = np.ones(len(array), bool) if sure is None else np.array(sure)
    pixels = np.full((side, side, 3), 90, np.uint8)
    return Collage(pixels, array, points.astype(np.float32), known, np.ones(len(array), np.float32))


@st.composite
def placed(draw: st.DrawFn) -> tuple[float, ...]:
    size = draw(st.floats(7, 120))
    x, y = draw(st.floats(0, 127)), draw(st.floats(0, 127))
    return (x - size * 0.4, y - size / 2, x + size * 0.4, y + size / 2)


@given(placed())
def test_every_face_is_learnt_near_its_middle_on_the_level_of_its_size(box: tuple[float, ...]) -> None:
    targets = assign([collage([box])], 128)
    (here,) = torch.nonzero(targets.face[0] >= 0, as_tuple=True)
    size = box[3] - box[1]
    middle = torch.tensor([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    levels = {s for s, (low, high) in zip(STRIDES, RANGES, strict=True) if low <= size < high}
    assert set(targets.strides[here].tolist()) <= {float(level) for level in levels}
    # A face whose middle is on the border may be out of reach of the cells of a coarse level, not of all.
    assert len(here) >= 1
    away = torch.linalg.norm(targets.middles[here] - middle, dim=1)
    assert bool((away <= 1.6 * targets.strides[here] + 1e-3).all())
    assert not bool(targets.ignored.any())


def test_cells_within_reach_of_two_faces_take_the_smaller() -> None:
    targets = assign([collage([(30, 30, 66, 66), (38, 38, 58, 58)])], 128)
    rows = targets.face[0, : 16 * 16].reshape(16, 16)
    assert rows[5, 5] == rows[6, 6] == 1
    assert (targets.face == 0).sum() > 0


def test_cells_of_doubtful_faces_learn_no_score() -> None:
    pictures = [collage([]), collage([(16, 16, 48, 48), (80, 80, 104, 104)], [False, True])]
    targets = assign(pictures, 128)
    assert not bool(targets.ignored[0].any())
    fine = targets.ignored[1, : 16 * 16].reshape(16, 16)
    assert bool(fine[2:6, 2:6].all())
    assert int(fine.sum()) == 16
    assert set(targets.face[1].tolist()) == {-1, 1}
    values = torch.zeros(2, len(targets.middles), 15)
    values[1, targets.ignored[1], 0] = 9.0
    loud = loss(maps_of(values), targets, Options())
    values[1, targets.ignored[1], 0] = -9.0
    assert float(loud["score"]) == float(loss(maps_of(values), targets, Options())["score"])


def maps_of(values: torch.Tensor, side: int = 128) -> list[torch.Tensor]:
    """Return the maps that ``flat`` makes into these values (B, N, 15)."""
    parts = torch.split(values, [(side // stride) ** 2 for stride in STRIDES], 1)
    return [
        part.transpose(1, 2).unflatten(2, (side // s, side // s))
        for part, s in zip(parts, STRIDES, strict=True)
    ]


def perfect(targets: object, count: int) -> torch.Tensor:
    """Return what a network would say that knows every face."""
    values = torch.zeros(count, len(targets.middles), 15)  # type: ignore[attr-defined]
    values[..., 0] = -12
    picture, cell = torch.nonzero(targets.face >= 0, as_tuple=True)  # type: ignore[attr-defined]
    rows = targets.face[picture, cell]  # type: ignore[attr-defined]
    box, stride = targets.boxes[rows], targets.strides[cell][:, None]  # type: ignore[attr-defined]
    middle = targets.middles[cell]  # type: ignore[attr-defined]
    values[picture, cell, 0] = 12
    values[picture, cell, 1:3] = ((box[:, :2] + box[:, 2:]) / 2 - middle) / stride
    values[picture, cell, 3:5] = torch.log((box[:, 2:] - box[:, :2]) / (4 * stride))
    points = (targets.points[rows] - middle[:, None]) / (4 * stride[:, None])  # type: ignore[attr-defined]
    values[picture, cell, 5:] = points.flatten(1)
    return values


FACES = [(10.0, 12.0, 18.0, 21.0), (30.0, 20.0, 60.0, 56.0), (40.0, 50.0, 128.0, 160.0)]


def test_a_network_that_knows_everything_has_no_loss_and_finds_everything() -> None:
    pictures = [collage(FACES), collage([])]
    targets = assign(pictures, 128)
    values = perfect(targets, 2)
    torch.testing.assert_close(flat(maps_of(values)), values)
    best = loss(maps_of(values), targets, Options())
    assert all(float(value) < 1e-3 for value in best.values())
    worse = loss(maps_of(torch.randn_like(values)), targets, Options())
    assert all(float(worse[name]) > 100 * float(value) for name, value in best.items())
    found = detect(Fixed(maps_of(values)), torch.zeros(2, 3, 128, 128), 0.5)
    assert len(found[1][0]) == 0
    kinds, pairs = judged(found[0][0], pictures[0])
    assert kinds.tolist() == [1, 1, 1]
    assert sorted(row for _, row in pairs) == [0, 1, 2]
    for number, row in pairs:
        np.testing.assert_allclose(found[0][0][number], FACES[row], atol=1e-3)
        np.testing.assert_allclose(found[0][2][number], pictures[0].points[row], atol=1e-3)


class Fixed(torch.nn.Module):
    """Says the same about every picture."""

    def __init__(self, maps: list[torch.Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.maps


def plain_iou(a: Floats, b: Floats) -> float:
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return float(common / union)


def test_overlaps_agree_with_the_plain_formula() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (2, 40, 2)).astype(np.float32)
    first, second = (np.hstack([c, c + rng.uniform(3, 40, (40, 2))]).astype(np.float32) for c in corners)
    iou, generalised = overlaps(torch.from_numpy(first), torch.from_numpy(second))
    expected = [plain_iou(a, b) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(iou.numpy(), expected, atol=1e-5)
    assert bool((generalised <= iou + 1e-6).all())
    assert bool((generalised[iou == 0] < 0).all())
    same = overlaps(torch.from_numpy(first), torch.from_numpy(first))
    np.testing.assert_allclose(same[1].numpy(), 1, atol=1e-5)


def test_boxes_are_judged_one_to_one() -> None:
    picture = collage([(0, 0, 40, 40), (60, 60, 100, 100)], [True, False])
    boxes = np.array([[0, 0, 40, 40], [2, 0, 42, 40], [62, 62, 98, 98], [0, 90, 30, 120]], np.float32)
    kinds, pairs = judged(boxes, picture)
    assert kinds.tolist() == [1, 0, -1, 0]
    assert pairs == [(0, 0)]
    assert judged(boxes[:1], collage([]))[0].tolist() == [0]


@pytest.fixture(scope="module")
def network() -> DetectorNet:
    torch.manual_seed(0)
    made = DetectorNet(SMALL).eval()
    for head in made.heads:
        # Louder than at the start of training, so that there is something to find.
        weight, bias = head.parameters()
        torch.nn.init.normal_(weight, std=0.3)
        torch.nn.init.zeros_(bias)
    return made


@pytest.fixture(scope="module")
def file(network: DetectorNet) -> bytes:
    shipped = Shipped(network, slope=1.0, shift=0.0).eval()
    dynamic = {0: "batch", 2: 32 * torch.export.Dim("height"), 3: 32 * torch.export.Dim("width")}
    return to_onnx(shipped, torch.rand(2, 3, 96, 96) * 255, "input", ["a", "b", "c"], dynamic)


@pytest.mark.parametrize("shape", [(64, 64), (96, 160), (75, 131), (33, 20)])
def test_the_file_finds_what_the_network_finds_in_pictures_of_any_size(
    network: DetectorNet, file: bytes, shape: tuple[int, int]
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    high, wide = (max(-(-side // 32) * 32, 32) for side in shape)
    padded = np.zeros((high, wide, 3), np.uint8)
    padded[: shape[0], : shape[1]] = picture
    boxes, scores, points = detect(network, tensor([padded], CPU), 0.3)[0]
    light = Light(network=file, threads=1)
    found = light._run(picture, 0.3)
    assert len(boxes) > 0
    np.testing.assert_allclose(found[0], boxes, atol=0.02)
    np.testing.assert_allclose(found[1], scores, atol=1e-4)
    np.testing.assert_allclose(found[2], points, atol=0.02)


def test_slope_and_shift_move_the_scores_alone(network: DetectorNet) -> None:
    picture = torch.rand(1, 3, 64, 64)
    plain = flat(network(picture))
    moved = flat(Shipped(network, slope=2.0, shift=-0.5).eval()(picture * 255))
    torch.testing.assert_close(moved[..., 0], torch.sigmoid(plain[..., 0] * 2 - 0.5), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(moved[..., 1:], plain[..., 1:], atol=1e-4, rtol=1e-3)


def test_cells_lie_in_the_middle_of_their_squares() -> None:
    middles = cells(64, 96, 32)
    assert middles.shape == (2, 3, 2)
    assert middles[1, 2].tolist() == [80, 48]
    boxes, points = decode(torch.zeros(1, 14), middles[1, 2][None], torch.tensor([32.0]))
    assert boxes[0].tolist() == [80 - 64, 48 - 64, 80 + 64, 48 + 64]
    assert (points == middles[1, 2]).all()


def test_a_few_steps_teach_a_face() -> None:
    torch.manual_seed(0)
    picture = collage([(20, 24, 52, 60)], side=64)
    picture.pixels[24:60, 20:52] = (220, 180, 150)
    picture.pixels[34:40, 28:44] = 20
    targets, images = assign([picture], 64), tensor([picture.pixels], CPU)
    learner = DetectorNet(SMALL)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=5e-3)
    sums = []
    for _ in range(60):
        parts = loss(learner(images), targets, Options())
        total = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        sums.append(total.item())
    assert np.mean(sums[-5:]) < 0.25 * sums[0]
    learner.train()
    found = detect(learner, images, 0.4)[0]
    assert judged(found[0], picture)[0].tolist().count(1) == 1
