"""The frozen judges see the crops that the package's networks are made for."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from incog import models
from incog.alignment import similarity
from incog.data.faces import template
from incog.perceive import attributes, embedder, landmarks
from incog.train import augment
from incog.train.judges import DRAWS, Judges

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"


@pytest.fixture(scope="module")
def judges() -> Judges:
    return Judges()


def picture(size: int) -> np.ndarray:
    """A soft picture, (size, size, 3) uint8."""
    noise = np.random.default_rng(4).uniform(0, 255, (9, 9, 3)).astype(np.float32)
    return np.clip(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def cut(image: np.ndarray, goal: np.ndarray, side: int) -> np.ndarray:
    """OpenCV's crop of a picture in the template ``outline``."""
    matrix = similarity(template("outline", len(image)), goal)
    return cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


@pytest.mark.parametrize("size", [64, 128])
def test_judges_see_what_the_networks_see(judges: Judges, size: int) -> None:
    image = picture(size)
    crop = cut(image, embedder.TEMPLATE, 112)
    (mine,) = judges.identity(tensor(image))
    theirs = embedder.OnnxEmbedder(models.own("embedder"))(crop[None])
    assert float(mine.norm()) == pytest.approx(1, abs=1e-5)
    assert float((mine.numpy() * theirs).sum()) > 0.999
    look = judges.attributes(tensor(image))
    (said,) = attributes.OnnxAttributes(models.own("attributes"))(crop[None])
    assert np.abs(look["ethnicity"].numpy()[0] - said.ethnicity).max() < 0.02
    assert float(look["age"]) == pytest.approx(said.age, abs=1)


def test_points_lie_in_half_sides_of_the_picture(judges: Judges) -> None:
    image = picture(128)
    found = judges.points(tensor(image)).numpy()[0]
    fives = [template("outline", 128)]
    (seen,) = landmarks.make_landmarker().refine(image, fives)
    assert np.abs((found + 1) * 64 - 0.5 - seen.points).max() < 0.5


def test_gradients_reach_the_pictures(judges: Judges) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(5)).requires_grad_(True)
    draws = torch.rand(2, DRAWS, generator=torch.Generator().manual_seed(6))
    answers = [*judges.identity(images, draws), judges.points(images), *judges.attributes(images).values()]
    for answer in answers:
        (gradient,) = torch.autograd.grad(
            answer[(slice(None), *[0] * (answer.ndim - 1))].sum(), images, retain_graph=True
        )
        assert gradient.isfinite().all()
        assert gradient.abs().amax((1, 2, 3)).min() > 0


def test_an_augmentation_changes_a_face_a_little(judges: Judges) -> None:
    images = tensor(picture(128)).expand(4, -1, -1, -1)
    middle = torch.full((4, DRAWS), 0.5)
    middle[:, 5], middle[:, 7] = 0, 0.5 + 0.75 / 16
    plain, other = judges.identity(images)[0], judges.identity(images, middle)[0]
    assert (plain * other).sum(1).min() > 0.99
    mirrored = middle.clone()
    mirrored[:, 4] = 0
    flipped = judges.faces(images, mirrored)
    assert torch.allclose(flipped, judges.faces(images, middle).flip(3), atol=1e-5)
    moved = middle.clone()
    moved[:, 0] = 1
    shifted = judges.faces(images, moved)
    far = augment.similarity(torch.zeros(4), torch.ones(4), torch.full((4,), 0.04), torch.zeros(4))
    again = augment.warp(judges.faces(images, middle), far, 112)
    assert (shifted - again).abs()[..., 8:-8].max() < 0.02


def test_half_precision_does_not_move_what_is_seen(judges: Judges) -> None:
    images, draws = tensor(picture(128)), torch.full((1, DRAWS), 0.3)
    exact, places = judges.faces(images, draws), judges.points(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(judges.faces(images, draws), exact, atol=1e-5)
        assert torch.allclose(judges.points(images), places, atol=1e-5)


def test_more_recognisers_may_judge() -> None:
    path = WEIGHTS / "edgeface_xxs.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    found = Judges([path]).identity(tensor(picture(128)))
    assert [item.shape for item in found] == [(1, 512), (1, 512)]
