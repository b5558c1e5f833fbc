"""Methods on sets in an evaluation: fitted to the people who are judged, as if they were one release."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from incog import geometry
from incog.errors import InputError
from incog.evaluate import samples, utility
from incog.evaluate.samples import Item
from incog.evaluate.treatments import Hidden
from incog.keys import Secret
from incog.methods import aligned, eigenspace, make
from incog.perceive.hulls import FaceHulls
from incog.types import Face

HULLS = FaceHulls(None)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Two pictures of each of nine people who do not exist, drawn at one place; the detector missed the last."""
    basis = eigenspace.shipped()
    points = aligned.goal(128) + 16
    face = Face((42.0, 36.0, 118.0, 140.0), 0.9, points)
    matrix = aligned.placed(points, 64)
    assert matrix is not None
    found = []
    for number in range(18):
        own, drawn = np.random.default_rng(number // 2), np.random.default_rng(100 + number)
        code = (own.normal(size=40) + 0.2 * drawn.normal(size=40)) * basis.deviations[:40]
        canvas = np.full((160, 160, 3), 0.3 + 0.02 * (number % 5), np.float32)
        drawn_face = np.clip(basis.decode(code.astype(np.float32)), 0, 1)
        aligned.lay(canvas, np.ones((160, 160), np.float32), drawn_face, matrix)
        picture = np.rint(canvas * 255).astype(np.uint8)
        faces = [face] if number < 17 else []
        found.append(
            Item(f"drawn/{number}", f"person {number // 2}", picture, faces, points, geometry.hull(face))
        )
    return found


@pytest.mark.parametrize("name", ["k-same-pixel", "k-same-eigen"])
def test_results_stand_for_k_people(items: list[Item], name: str) -> None:
    treatment = Hidden(make(name, {"k": "3"}), Secret.from_seed(1), HULLS)
    views = treatment(items)
    inside = geometry.mask([items[0].hull], (0, 0, 160, 160), 0) > 0
    behind: dict[bytes, set[str]] = defaultdict(set)
    for item, view in zip(items[:17], views, strict=False):
        behind[view[inside].tobytes()].add(item.person)
    assert min(map(len, behind.values())) == 3
    np.testing.assert_array_equal(views[17], items[17].picture)
    assert treatment.extras(items, views) == []


def test_too_few_people_are_an_error(items: list[Item]) -> None:
    with pytest.raises(InputError, match="at least k = 12 people"):
        Hidden(make("k-same-pixel", {"k": "12"}), Secret.from_seed(1), HULLS)(items)


def test_methods_on_one_face_are_not_fitted(items: list[Item]) -> None:
    method = make("pixelate", {})
    assert samples.fitted(method, items, HULLS) is method


def test_speed_is_that_of_the_fitted_method(items: list[Item]) -> None:
    assert utility.speed(make("k-same-pixel", {"k": "3"}), items)["one_at_a_time"].value > 0
    assert utility.speed(make("k-same-pixel", {"k": "20"}), items) == {}
