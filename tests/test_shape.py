"""The shape filter: what it keeps, what of a person it keeps, and files that are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from incog import shape
from incog.appearance import model
from incog.errors import ModelError
from incog.points import COUNT, MIRROR
from incog.shape import PoseFilter
from incog.types import Floats


def shapes_of(people: int, pictures: int, *, own: float = 1.0, posed: float = 1.0) -> Floats:
    """Return drawn shapes (people * pictures, 130, 2): each person has proportions of the appearance model, each
    picture a pose that the filter knows. own, posed: how much these differ."""
    filter_, modes, random = shape.load(), model.load().person_modes, np.random.default_rng(3)
    person = np.repeat(random.normal(0, own, (people, len(modes))) @ modes, pictures, axis=0)
    pose = random.normal(0, posed, (people * pictures, len(filter_.writes))) @ filter_.writes
    return np.asarray(filter_.mean + (person + pose).reshape(-1, COUNT, 2), np.float32)


def rank1(shapes: Floats, pictures: int) -> float:
    """Return how often the nearest other shape is of the same person."""
    rows = shapes.reshape(len(shapes), -1)
    distance = np.square(rows[:, None] - rows[None]).sum(2)
    np.fill_diagonal(distance, np.inf)
    return float((distance.argmin(1) // pictures == np.arange(len(rows)) // pictures).mean())


def test_few_directions_are_kept() -> None:
    own = shape.load()
    assert own.reads.shape == (2 * COUNT, 24)
    assert np.linalg.matrix_rank(own.reads @ own.writes) == 24
    rows = shapes_of(50, 1)
    kept = (own(rows) - own.mean).reshape(50, -1)
    assert np.linalg.matrix_rank(kept, tol=1e-3) <= 24


def test_the_mean_stays_and_shares_are_between_a_half_and_one() -> None:
    own = shape.load()
    np.testing.assert_allclose(own(own.mean), own.mean, atol=1e-6)
    # In the coordinates that it writes, the filter is one share for each direction: it never makes a movement larger.
    shares = np.linalg.eigvals(own.writes @ own.reads)
    np.testing.assert_allclose(shares.imag, 0, atol=1e-4)
    assert 0.49 < shares.real.min() <= shares.real.max() < 1.001


def test_batches_are_one_by_one() -> None:
    rows = shapes_of(6, 1)
    own = shape.load()
    found = own(rows.reshape(2, 3, COUNT, 2))
    assert found.shape == (2, 3, COUNT, 2)
    assert found.dtype == np.float32
    for row, one in zip(rows, found.reshape(6, COUNT, 2), strict=True):
        np.testing.assert_allclose(own(row), one, atol=1e-4)


def test_a_mirrored_face_is_filtered_mirrored() -> None:
    own, flip = shape.load(), np.array([-1, 1], np.float32)
    rows = shapes_of(50, 1)
    mirrored = own(rows[:, list(MIRROR)] * flip)[:, list(MIRROR)] * flip
    assert np.abs(mirrored - own(rows)).mean() < 0.1 * np.abs(own(rows) - own.mean).mean()


def test_pose_comes_through_and_people_hardly() -> None:
    own = shape.load()
    people, pose = shapes_of(200, 1, posed=0), shapes_of(200, 1, own=0)
    assert np.square(own(people) - own.mean).sum() < 0.1 * np.square(people - own.mean).sum()
    assert np.square(own(pose) - pose).sum() < 0.25 * np.square(pose - own.mean).sum()


def test_who_looks_at_shapes_alone_is_told_less() -> None:
    pictures = 3
    rows = shapes_of(60, pictures, posed=0.5)
    raw, kept = rank1(rows, pictures), rank1(shape.load()(rows), pictures)
    assert raw > 3 * kept


def test_places_in_px_and_in_half_sides_are_one_another() -> None:
    places = np.array([[-0.5, 63.5], [127.5, 0]], np.float32)
    np.testing.assert_allclose(shape.halves(places, 128), [[-1, 0], [1, -0.9921875]], atol=1e-6)
    np.testing.assert_allclose(shape.pixels(shape.halves(places, 128), 128), places, atol=1e-5)


def test_a_filter_survives_its_file_and_others_are_refused() -> None:
    own = shape.load()
    good = own.dump()
    again = PoseFilter.load(good)
    np.testing.assert_array_equal(again.reads, own.reads)
    for bad in (b"", b"filter", good[: len(good) // 2]):
        with pytest.raises(ModelError, match="shape filter cannot be read"):
            PoseFilter.load(bad)
    with pytest.raises(ModelError, match="must be of shapes"):
        PoseFilter.load(replace(own, writes=own.writes[:3]).dump())
