"""Claims of methods are tried: those of the methods that ship hold, and false ones are found out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from incog.evaluate import claims
from incog.evaluate.samples import Item
from incog.methods import METHODS, make
from incog.methods.base import Check, Claim, Rendered
from incog.methods.fill import Fill
from incog.methods.k_same import KSamePixel
from incog.methods.noise import DpPixelate
from incog.methods.obscure import Blackout, Blur
from incog.methods.subspace import Pca
from incog.perceive.embedder import SIZE, TEMPLATE
from incog.types import Crops, Floats, Key


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Some 24 pictures of twelve people: a light that falls, spots and noise."""
    found = []
    for number in range(24):
        random = np.random.default_rng([number // 2, 3])
        spots = random.uniform(60, 200, (8, 8, 1)) + random.uniform(-40, 40, 3)
        picture = np.repeat(np.repeat(spots, SIZE // 8, 0), SIZE // 8, 1)
        picture += np.random.default_rng(number).normal(0, 8, picture.shape)
        pixels = np.asarray(np.clip(picture, 0, 255), np.uint8)
        found.append(Item(f"drawn/{number}", str(number // 2), pixels, [], TEMPLATE, TEMPLATE))
    return found


@dataclass(frozen=True)
class Leaky(Fill):
    """Says that it is a fill, and lets a trace of the face through."""

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        return super().render(pixels, mask, face, key, frame) + np.float32(0.01) * pixels


@dataclass(frozen=True)
class Careless(DpPixelate):
    """Forgets that three channels share one epsilon."""

    @property
    def scale(self) -> float:
        return super().scale / 3


@dataclass(frozen=True)
class Means(Blur):
    """Replaces every three faces by their mean, and claims ``k``."""

    k: int = 3
    granularity: ClassVar[str] = "set"  # type: ignore[assignment]

    def fit(self, crops: Iterable[Crops], people: Sequence[str]) -> Means:
        return self

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (Claim("k people", holds=True, scope="", check=Check("k-anonymity", self.k)),)

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        pixels = crops.pixels.copy()
        for start in range(0, len(crops), 6):
            pixels[start : start + 6] = pixels[start : start + 6].mean(0)
        return Rendered(pixels, np.zeros(len(crops), np.bool_))


@pytest.mark.parametrize("name", METHODS)
def test_methods_keep_what_they_claim(name: str, items: list[Item]) -> None:
    checked = [claim for claim in METHODS[name]().claims() if claim.check and claim.holds]
    found = claims.audit(make(name, {}), items, seed=1)
    assert [item.claim for item in found] == checked
    assert all(item.kept and item.trials for item in found)


def test_the_checks_come_near_to_what_is_claimed(items: list[Item]) -> None:
    black, fill = (claims.audit(method, items, seed=1)[0] for method in (Blackout(), Fill()))
    assert black.measured == 0
    assert 5 <= fill.measured <= 9
    (found,) = claims.audit(DpPixelate(epsilon=1.0, blocks=1), items, seed=1)
    assert 0.5 < found.measured <= 1


@dataclass(frozen=True)
class Alone(KSamePixel):
    """Lets a little light of each face through, and still claims ``k``."""

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return KSamePixel(k=self.k).claims(frames=frames)


def test_light_that_comes_through_refutes_k(items: list[Item]) -> None:
    (kept,) = claims.audit(KSamePixel(k=3), items, seed=1)
    assert (kept.kept, kept.measured) == (True, 3)
    (broken,) = claims.audit(Alone(k=3, light=0.2), items, seed=1)
    assert (broken.kept, broken.measured) == (False, 1)
    assert claims.audit(KSamePixel(k=3, light=0.2), items, seed=1) == []
    (few,) = claims.audit(KSamePixel(k=50), items, seed=1)
    assert few.told == "Not tried: there must be at least k = 50 people to make one face of, got 12"


@dataclass(frozen=True)
class Forgetful(Pca):
    """Gives each coefficient the whole epsilon."""

    @property
    def noise(self) -> float:
        return super().noise / self.modes


def test_an_epsilon_for_any_two_faces_is_tried(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "TRIALS", 1200)
    (kept,) = claims.audit(Pca(mode="laplace", epsilon=2), items, seed=1)
    assert (kept.kept, kept.trials) == (True, 1200)
    (broken,) = claims.audit(Forgetful(mode="laplace", epsilon=2), items, seed=1)
    assert not broken.kept
    assert broken.measured > 2
    assert claims.audit(Pca(mode="laplace", light=0.5), items, seed=1) == []


def test_a_trace_of_the_face_is_found(items: list[Item]) -> None:
    (found,) = claims.audit(Leaky(), items, seed=1)
    assert not found.kept
    assert found.measured > 9
    assert "; 9 are claimed" in found.told


@pytest.mark.parametrize("blocks", [1, 8])
def test_too_small_a_noise_is_found(blocks: int, items: list[Item]) -> None:
    (found,) = claims.audit(Careless(epsilon=1.0, blocks=blocks), items, seed=1)
    assert not found.kept
    assert 1 < found.measured <= 3


def test_too_few_people_behind_a_result_are_found(items: list[Item]) -> None:
    (kept,) = claims.audit(Means(), items, seed=1)
    assert (kept.kept, kept.measured, kept.trials) == (True, 3, 24)
    (broken,) = claims.audit(Means(k=4), items, seed=1)
    assert not broken.kept
    (alone,) = claims.audit(replace(Means(), k=3), items[:-2], seed=1)
    assert not alone.kept, "the last group has two people"


def test_what_cannot_be_tried_is_said(items: list[Item]) -> None:
    (large,) = claims.audit(DpPixelate(pixels=100_000), items, seed=1)
    (few,) = claims.audit(Leaky(), items[:10], seed=1)
    for found in (large, few):
        assert found.kept
        assert found.trials == 0
        assert found.told.startswith("Not tried")
