"""The basis of faces is made of training people who face the camera, measured on others, and the same every time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from incog.data.faces import split_of
from incog.methods import eigenspace
from incog.models import Card, cards
from incog.train import eigenfaces
from incog.train.portraits import Portraits


@pytest.fixture(scope="module")
def portraits() -> Portraits:
    """Return 90 drawn portraits of two sources, mixed of five patterns; every third ends at its right border."""
    random = np.random.default_rng(0)
    patterns = np.stack(
        [
            cv2.resize(random.normal(size=(6, 6, 3)), (128, 128), interpolation=cv2.INTER_CUBIC)
            for _ in range(5)
        ]
    )
    pixels = np.tensordot(random.normal(size=(90, 5)), patterns, 1) * 25 + 128
    corners = np.repeat(np.array([[[0, 0], [127, 0], [127, 127], [0, 127]]], np.float32), 90, 0)
    corners[::3, 1:3, 0] = 95
    pose = np.zeros((90, 3), np.float32)
    pose[5, 0] = 60
    return Portraits(
        np.clip(pixels, 0, 255).astype(np.uint8),
        corners,
        np.zeros((90, 130, 2), np.float32),
        pose,
        np.zeros((90, 4), np.float32),
        np.zeros((90, 9), np.float32),
        [str(row) for row in range(90)],
        ["lfw" if row < 60 else "synthetic" for row in range(90)],
        [f"person {row}" for row in range(90)],
    )


def test_it_learns_from_training_people_who_face_the_camera(portraits: Portraits) -> None:
    rows, shown = eigenfaces.chosen(portraits, "train", 1000)
    assert {split_of(f"person {row}") for row in rows} == {"train"}
    assert 5 not in rows
    assert shown.shape == (len(rows), 64, 64)
    assert [bool(mask.min() < 1) for mask in shown] == [row % 3 == 0 for row in rows]
    few, _ = eigenfaces.chosen(portraits, "train", 20)
    assert sum(row < 60 for row in few) == sum(row >= 60 for row in few) == 10


def test_the_file_explains_faces_of_others_and_comes_out_the_same_again(portraits: Portraits) -> None:
    data, card = eigenfaces.train(portraits, count=10)
    assert card.sha256 == hashlib.sha256(data).hexdigest()
    rows, _ = eigenfaces.chosen(portraits, "train", 999)
    assert card.data == {"lfw": sum(row < 60 for row in rows), "synthetic": sum(row >= 60 for row in rows)}
    # Patterns and their mirror images.
    assert card.measured["variance_with_10_modes"] > 0.95
    assert set(card.terms) == {"lfw", "synthetic"}
    basis = eigenspace.unpack(data)
    assert basis.modes.shape == (10, 64 * 64 * 3)
    assert eigenfaces.train(portraits, count=10)[0] == data


def test_faces_are_cut_as_methods_cut_them(portraits: Portraits) -> None:
    small = eigenfaces.small(portraits.pixels[:2])
    assert small.shape == (2, 64, 64, 3)
    assert small.dtype == np.uint8
    # 0.8 of the template's scale against 0.95: the middle 108 px of 128.
    middle = cv2.resize(portraits.pixels[0][10:118, 10:118], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small[0].astype(float) - middle).mean() < 2


def test_the_command_writes_file_and_card(
    portraits: Portraits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eigenfaces, "read", lambda path: portraits)
    monkeypatch.setattr(eigenfaces, "train", lambda found, train=eigenfaces.train: train(found, count=4))
    eigenfaces.main(["--portraits", "any.pack", "--models", str(tmp_path)])
    card = Card(**json.loads((tmp_path / "eigenfaces.card.json").read_text()))
    assert hashlib.sha256((tmp_path / card.file).read_bytes()).hexdigest() == card.sha256


def test_the_shipped_card_has_figures_of_other_people() -> None:
    measured = cards()["eigenfaces"].measured
    assert measured["test_faces"] > 1000
    assert measured["variance_with_25_modes"] < measured["variance_with_200_modes"] < 1
