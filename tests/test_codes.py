"""Identity codes: embeddings and back, the prior that fresh ones are drawn from, and files that are none."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from incog import codes
from incog.codes import LOOK, SIZE, Prior
from incog.errors import InputError, ModelError
from incog.methods.generated import shipped
from incog.types import Floats

PEOPLE, WIDE = 2000, 128


def looks_of(count: int, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    looks = np.zeros((count, 9), np.float32)
    looks[:, 0], looks[:, 1] = random.uniform(0, 0.9, count), random.random(count) < 0.5
    looks[np.arange(count), random.integers(2, 7, count)] = 1
    return looks


def embeddings_of(looks: Floats, seed: int = 1) -> Floats:
    """Return made-up embeddings of unit norm in which the look shows."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(len(looks), WIDE)) * np.linspace(2, 0.3, WIDE)
    rows[:, 3] += 4 * looks[:, 1]
    rows[:, 5] += 6 * looks[:, 0] ** 2
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def prior() -> Prior:
    looks = looks_of(PEOPLE)
    return codes.fit(embeddings_of(looks), looks)


def test_codes_of_people_are_standard_normal(prior: Prior) -> None:
    found = prior.code(embeddings_of(looks_of(PEOPLE)))
    assert found.shape == (PEOPLE, SIZE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(found.T @ found / PEOPLE, np.eye(SIZE), atol=1e-3)


def test_embeddings_become_codes_and_these_embeddings(prior: Prior) -> None:
    embeddings = embeddings_of(looks_of(200, seed=5), seed=6)
    back = prior.embedding(prior.code(embeddings))
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, rtol=1e-5)
    # What lies on the axes that are left out is lost, the least of 128.
    assert (back * embeddings).sum(1).min() > 0.9
    axes = prior.mean + (prior.code(embeddings) * prior.spread) @ prior.axes.T
    np.testing.assert_allclose(prior.code(axes), prior.code(embeddings), atol=1e-4)


def test_numbers_become_codes_and_these_numbers(prior: Prior) -> None:
    random, looks = np.random.default_rng(2), looks_of(50, seed=7)
    numbers = random.standard_normal((50, SIZE)).astype(np.float32)
    drawn = prior.draw(numbers, looks)
    np.testing.assert_allclose(prior.numbers(drawn, looks), numbers, atol=2e-3)
    np.testing.assert_allclose(prior.draw(prior.numbers(drawn, looks), looks), drawn, atol=1e-3)
    # The expression is no part of who somebody is.
    other = looks.copy()
    other[:, LOOK:] = 0.5
    np.testing.assert_array_equal(prior.draw(numbers, other), drawn)


def test_drawn_people_look_as_asked_and_vary_as_people_do(prior: Prior) -> None:
    looks, numbers = looks_of(PEOPLE, seed=3), np.random.default_rng(4).standard_normal((PEOPLE, SIZE))
    drawn = prior.draw(numbers.astype(np.float32), looks)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(SIZE), atol=0.25)
    female = looks[:, 1] > 0.5
    found = prior.embedding(drawn)
    truth = embeddings_of(looks_of(PEOPLE, seed=8), seed=9)
    apart = truth[looks_of(PEOPLE, seed=8)[:, 1] > 0.5].mean(0) - truth[
        looks_of(PEOPLE, seed=8)[:, 1] < 0.5
    ].mean(0)
    assert (found[female].mean(0) - found[~female].mean(0))[3] == pytest.approx(apart[3], rel=0.2)


def test_a_prior_survives_its_file(prior: Prior) -> None:
    again = Prior.load(prior.dump())
    for item in fields(Prior):
        np.testing.assert_allclose(getattr(again, item.name), getattr(prior, item.name), rtol=2e-3, atol=2e-3)
        assert getattr(again, item.name).dtype == np.float32


def test_files_that_are_none_are_refused(prior: Prior) -> None:
    good = prior.dump()
    for bad in (b"", b"prior", good[: len(good) // 2], good[:-30]):
        with pytest.raises(ModelError, match="prior of identity codes cannot be read"):
            Prior.load(bad)
    for place in range(0, len(good), len(good) // 60):
        broken = bytearray(good)
        broken[place] ^= 0xFF
        # Some bytes, such as time stamps, mean nothing; no other error may come out.
        try:
            Prior.load(bytes(broken))
        except ModelError:
            continue
    with pytest.raises(ModelError, match="must be of shapes"):
        Prior.load(replace(prior, rest=prior.rest[:, :5]).dump())


def test_few_faces_make_no_prior() -> None:
    looks = looks_of(100)
    with pytest.raises(InputError, match="at least 960 faces, got 100"):
        codes.fit(embeddings_of(looks), looks)


def test_the_shipped_prior_is_one() -> None:
    own = shipped().prior
    looks = looks_of(20)
    numbers = np.random.default_rng(0).standard_normal((20, SIZE)).astype(np.float32)
    drawn = own.draw(numbers, looks)
    np.testing.assert_allclose(own.numbers(drawn, looks), numbers, atol=0.02)
    found = own.embedding(drawn)
    # Strangers: no two are alike.
    assert (found @ found.T)[~np.eye(20, dtype=bool)].max() < 0.8
