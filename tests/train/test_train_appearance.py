"""The appearance model fitted to drawn faces: it finds what they were drawn from, and comes out the same again."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from incog import points, shape
from incog.appearance import model
from incog.errors import ModelError
from incog.train import appearance
from incog.train.portraits import SIZE, Portraits
from incog.types import Bytes, Floats


def drawn(dense: Floats, tone: Floats, lips: float) -> Bytes:
    """Return a drawn face (160, 160, 3) of dense points in px: a shaded oval with brows, eyes and lips."""
    canvas = np.full((160, 160, 3), 90, np.float32)
    shade = np.linspace(1.1, 0.8, 160, dtype=np.float32)[None, :, None]

    def paint(rows: slice, colour: Floats) -> None:
        cv2.fillPoly(canvas, [np.rint(dense[rows] * 16).astype(np.int32)], colour.tolist(), cv2.LINE_AA, 4)

    paint(points.OUTLINE, tone)
    for rows in (points.RIGHT_BROW, points.LEFT_BROW):
        paint(rows, tone * 0.4)
    for rows in (points.RIGHT_EYE, points.LEFT_EYE):
        paint(rows, np.minimum(tone * 1.3, 250).astype(np.float32))
    paint(points.OUTER_LIPS, np.array([lips, 60, 70], np.float32))
    return np.clip(canvas * shade, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Portraits, dict[str, Path]]:
    random = np.random.default_rng(0)
    count = 60
    mean = shape.load().mean
    where = tmp_path_factory.mktemp("drawn") / "drawn.zip"
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["file", "identity"])
    dense = np.empty((count, points.COUNT, 2), np.float32)
    with zipfile.ZipFile(where, "w") as file:
        for number in range(count):
            wide, high = 1 + random.normal(size=2) * 0.05
            dense[number] = mean * [wide, high]
            place = shape.pixels(dense[number], 160)
            tone = np.array([200, 150, 120], np.float32) * random.uniform(0.4, 1.1)
            coded = cv2.imencode(".png", drawn(place, tone, random.uniform(90, 230))[..., ::-1])[1].tobytes()
            file.writestr(f"{number}.png", coded)
            rows.writerow([f"{number}.png", f"person {number}"])
        file.writestr("labels.csv", table.getvalue())
    corners = (np.array([[0, 0], [159, 0], [159, 159], [0, 159]]) + 0.5) * SIZE / 160 - 0.5
    found = Portraits(
        np.zeros((count, SIZE, SIZE, 3), np.uint8),
        np.repeat(corners[None].astype(np.float32), count, 0),
        np.stack([shape.pixels(one, SIZE) for one in dense]),
        np.zeros((count, 3), np.float32),
        np.zeros((count, 4), np.float32),
        np.zeros((count, 9), np.float32),
        [f"{number}.png" for number in range(count)],
        ["drawn"] * count,
        [f"person {number}" for number in range(count)],
    )
    return found, {"drawn": where}


def test_a_model_is_fitted_and_more_modes_come_nearer(data: tuple[Portraits, dict[str, Path]]) -> None:
    portraits, sources = data
    own = appearance.fit(portraits, sources, shape.load())
    assert own.mesh.corners[:, 0].min() > 0
    outline = own.corners[points.OUTLINE]
    assert np.ptp(outline[:, 0]) == pytest.approx(127, abs=0.1)
    modes = own.texture_modes.astype(np.float32) * own.texture_scale[:, None]
    np.testing.assert_allclose(modes @ modes.T, np.eye(len(modes)), atol=0.05)
    told = appearance.measured(own, portraits, sources)
    assert told["test_faces"] >= 5
    whole = len(own.texture_scale)
    assert told[f"psnr_with_{whole}_modes"] > told["psnr_with_10_modes"] > 20
    assert told[f"dssim_with_{whole}_modes"] < told["dssim_with_10_modes"]


def test_the_same_data_give_the_same_file_and_damaged_ones_are_refused(
    data: tuple[Portraits, dict[str, Path]],
) -> None:
    portraits, sources = data
    one, again = (appearance.train(portraits, sources, shape.load(), most=40)[0] for _ in range(2))
    first, second = model.unpack(one), model.unpack(again)
    for name in model.Appearance.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    with pytest.raises(ModelError, match="appearance model cannot be read"):
        model.unpack(one[:-200])


def test_what_pictures_do_not_show_is_not_learnt() -> None:
    random = np.random.default_rng(1)
    full, length, count = 60, 80, 120
    axes = random.normal(size=(2, length)).astype(np.float32)
    true = 1 + 0.1 * (random.normal(size=(count, 2)) @ axes)
    values = np.rint(true * appearance.STEPS)
    values[:, full:] = np.rint((true[:, full:] - 1) * appearance.STEPS) + 128
    shown = random.random((count, full)) > 0.3
    values[:, :full] = np.where(shown, values[:, :full], 255)
    found = appearance.Textures(
        np.arange(count),
        np.clip(values, 0, 255).astype(np.uint8),
        shown,
        np.zeros((count, 10, 3), np.float32),
    )
    parts = appearance.components(found, 2, rounds=6)
    span = np.linalg.qr(axes.T)[0]
    assert np.linalg.norm(parts.modes @ span, axis=1).min() > 0.97
    assert len(parts.kept) == round(count * (1 - appearance.ODD))
