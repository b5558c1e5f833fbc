"""On real faces, where the shared data are at hand: untouched ones are known, those of others tell nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pytest

from incog import geometry
from incog.alignment import similarity
from incog.evaluate.recognisers import make_recognisers
from incog.evaluate.run import Results, Settings, evaluate
from incog.evaluate.samples import Item
from incog.evaluate.treatments import Extra, Hidden
from incog.keys import Secret
from incog.methods import make
from incog.methods.base import Claim, Method
from incog.pipeline import Perception
from incog.types import Bytes

LFW = Path(__file__).resolve().parents[3] / "shared" / "data" / "lfw.zip"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LFW.exists(), reason="LFW is absent"),
]
SETTINGS = Settings(people=40, known=30, pictures=2, steps=0)


class Swapped:
    """Lays the face of somebody else, drawn anew for each picture, over each face."""

    name = "swapped"
    parameters: dict[str, str | int | float | bool | list[int]] = {}  # noqa: RUF012
    claims: tuple[Claim, ...] = ()
    method: Method | None = None
    unprotected = False
    faults: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        return [self.swapped(item, items) for item in items]

    def swapped(self, item: Item, items: Sequence[Item]) -> Bytes:
        others = [other for other in items if other.person != item.person]
        other = others[int(self.random.integers(len(others)))]
        height, width = item.picture.shape[:2]
        matrix = similarity(other.points, item.points)
        face = cv2.warpAffine(other.picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        inside = geometry.mask([item.hull], (0, 0, width, height), 0) > 0
        return np.where(inside[..., None], face, item.picture).astype(np.uint8)

    def extras(self, items: Sequence[Item], hidden: Sequence[Bytes]) -> list[Extra]:
        return []

    def around(self) -> list[str]:
        return []

    def mark(self) -> str:
        return self.name


@pytest.fixture(scope="module")
def results() -> Results:
    looking = Perception(threads=1)
    weak = Hidden(make("pixelate", {"blocks": "16"}), Secret.from_seed(0), looking.hulls)
    black = Hidden(make("blackout", {}), Secret.from_seed(0), looking.hulls)
    treatments = [Swapped(), weak, black]
    return evaluate(treatments, {"lfw": LFW}, make_recognisers(["dlib"], files={}), looking, SETTINGS)


def test_dlib_knows_untouched_faces_as_well_as_was_published(results: Results) -> None:
    for row in results.evaluation.untouched:
        assert row.rank1.value is not None
        assert row.rank1.value >= 0.95
        assert row.calibrated["0.01"].value is not None
        assert row.calibrated["0.01"].value >= 0.9
        assert row.auc.value is not None
        assert row.auc.value > 0.995


def test_faces_of_others_tell_nobody(results: Results) -> None:
    chance = 1 / results.evaluation.protocol.gallery_people
    rows = [row for row in results.evaluation.methods[0].attacks if row.shown == "face"]
    assert rows
    for row in rows:
        assert row.rank1.low is not None
        assert row.rank1.low - 1e-4 <= chance
        assert row.rank1.value is not None
        assert row.rank1.value <= 0.1
    swapped = results.evaluation.methods[0].utility
    assert (swapped["detection, centerface"]["detection_rate"].value or 0) > 0.9, "faces are still there"


def test_fine_mosaics_are_found_out_and_blackout_is_not(results: Results) -> None:
    weak, black = (
        {row.attack: row.rank1.value or 0.0 for row in record.attacks if row.shown == "face"}
        for record in results.evaluation.methods[1:]
    )
    assert max(weak.values()) > 0.5
    assert max(black.values()) <= 0.1
    assert results.evaluation.methods[1].verdict.startswith(("Weak", "Leaks"))
