"""Between native samples and R'G'B': what is converted back is what was there, and what is covered is gone."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incog import colour
from incog.types import Array, Floats, Frame, Layout

CHROMA = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}
YUV = [
    Layout("yuv", depth, False, *CHROMA[chroma], matrix, full)
    for depth, chroma, matrix, full in itertools.product(
        (8, 10, 16), CHROMA, ("bt601", "bt709", "bt2020"), (False, True)
    )
]
OTHERS = [
    Layout(kind, depth, alpha) for kind in ("rgb", "grey") for depth in (8, 16) for alpha in (False, True)
]
EVERY = pytest.mark.parametrize("layout", YUV + OTHERS, ids=str)
WHOLE = (0, 0, 13, 9)
"""An odd size, so that the last chroma samples belong to single pixels."""


def shapes(layout: Layout, width: int, height: int) -> list[tuple[int, ...]]:
    chroma = -(-height // (1 << layout.shift_y)), -(-width // (1 << layout.shift_x))
    planes: list[tuple[int, ...]] = {
        "rgb": [(height, width, 3)],
        "grey": [(height, width)],
        "yuv": [(height, width), chroma, chroma],
    }[layout.kind]
    return planes + [(height, width)] * layout.alpha


def noise(layout: Layout, width: int = 13, height: int = 9, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    planes = [
        rng.integers(0, layout.maximum + 1, shape).astype(layout.dtype)
        for shape in shapes(layout, width, height)
    ]
    return Frame(tuple(planes), layout)


def flat(layout: Layout, samples: tuple[int, ...], width: int = 13, height: int = 9) -> Frame:
    planes = [
        np.full(shape, value, layout.dtype)
        for shape, value in zip(shapes(layout, width, height), samples, strict=True)
    ]
    return Frame(tuple(planes), layout)


def itu_codes(rgb: npt.NDArray[np.float64], layout: Layout) -> tuple[float, float, float]:
    """Return Y', Cb, Cr codes as ITU-R BT.601-7, BT.709-6 and BT.2020-2 write them (full range: as in JFIF)."""
    r, g, b = (float(value) for value in rgb)
    red, green, blue, divide_blue, divide_red = {
        "bt601": (0.299, 0.587, 0.114, 1.772, 1.402),
        "bt709": (0.2126, 0.7152, 0.0722, 1.8556, 1.5748),
        "bt2020": (0.2627, 0.6780, 0.0593, 1.8814, 1.4746),
    }[layout.matrix]
    y = red * r + green * g + blue * b
    cb, cr = (b - y) / divide_blue, (r - y) / divide_red
    n = layout.depth
    if layout.full_range:
        top = 2**n - 1
        return top * y, top * cb + 2 ** (n - 1), top * cr + 2 ** (n - 1)
    unit = 2 ** (n - 8)
    return (219 * y + 16) * unit, (224 * cb + 128) * unit, (224 * cr + 128) * unit


# Reading


@pytest.mark.parametrize("layout", YUV, ids=str)
def test_yuv_is_read_as_the_recommendations_say(layout: Layout) -> None:
    for rgb in itertools.product((0.1, 0.45, 0.9), repeat=3):
        codes = tuple(round(code) for code in itu_codes(np.array(rgb), layout))
        got = colour.rgb(flat(layout, codes))
        assert got.shape == (9, 13, 3)
        assert got.dtype == np.float32
        tolerance = 0.015 if layout.depth == 8 else 0.004
        np.testing.assert_allclose(got, np.broadcast_to(rgb, got.shape), atol=tolerance)


@pytest.mark.parametrize("layout", OTHERS, ids=str)
def test_rgb_and_grey_are_read_as_they_are(layout: Layout) -> None:
    frame = noise(layout)
    plane = frame.planes[0].astype(np.float64) / layout.maximum
    want = plane if layout.kind == "rgb" else np.repeat(plane[..., None], 3, axis=2)
    np.testing.assert_allclose(colour.rgb(frame), want, atol=1e-6)


@EVERY
def test_a_region_reads_like_the_whole_away_from_its_rim(layout: Layout) -> None:
    frame = noise(layout)
    region = colour.align((4, 2, 11, 8), frame)
    x0, y0, x1, y1 = region
    part, whole = colour.rgb(frame, region), colour.rgb(frame)[y0:y1, x0:x1]
    assert part.shape == whole.shape
    inner = slice(2, -2), slice(2, -2)
    np.testing.assert_allclose(part[inner], whole[inner], atol=1e-6)


@EVERY
def test_eight_bit_views_agree_with_the_exact_ones(layout: Layout) -> None:
    colours = np.array([[0.2, 0.3, 0.4], [0.7, 0.6, 0.5]])
    for rgb in colours:
        codes = tuple(round(code) for code in itu_codes(rgb, layout))
        if layout.kind == "rgb":
            codes = (round(float(rgb[0]) * layout.maximum),)
        samples = codes[: 3 if layout.kind == "yuv" else 1] + (layout.maximum,) * layout.alpha
        frame = flat(layout, samples)
        eight = colour.rgb8(frame)
        assert eight.dtype == np.uint8
        assert eight.shape == (9, 13, 3)
        np.testing.assert_allclose(eight / 255, colour.rgb(frame), atol=0.003)
        assert colour.luma8(frame).shape == (9, 13)
        assert colour.luma8(frame).dtype == np.uint8


def test_the_quick_view_of_ordinary_video_is_near_enough_for_a_detector() -> None:
    layout = Layout("yuv", 8, False, 1, 1, "bt709", False)
    frame = flat(layout, (120, 110, 150), 14, 10)
    assert np.abs(colour.rgb8(frame) / 255 - colour.rgb(frame)).max() < 0.12


# Regions


@given(
    st.integers(-30, 40),
    st.integers(-30, 40),
    st.integers(-30, 40),
    st.integers(-30, 40),
    st.sampled_from([*CHROMA]),
)
def test_aligned_regions_hold_what_was_asked_for(x0: int, y0: int, x1: int, y1: int, chroma: str) -> None:
    frame = noise(Layout("yuv", 8, False, *CHROMA[chroma]))
    left, top, right, bottom = colour.align((x0, y0, x1, y1), frame)
    step_x, step_y = 1 << frame.layout.shift_x, 1 << frame.layout.shift_y
    if left >= right or top >= bottom:
        assert x0 >= min(x1, 13) or y0 >= min(y1, 9) or x1 <= 0 or y1 <= 0
        return
    assert left % step_x == top % step_y == 0
    assert right in (13, right // step_x * step_x)
    assert bottom in (9, bottom // step_y * step_y)
    assert left <= max(x0, 0)
    assert top <= max(y0, 0)
    assert right >= min(x1, 13)
    assert bottom >= min(y1, 9)


# Writing


def blended(frame: Frame, pixels: Floats, weight: Floats, region: colour.Region = WHOLE) -> Frame:
    result = frame.copy()
    colour.blend(result, region, pixels, weight)
    return result


def equal(one: tuple[Array, ...], other: tuple[Array, ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@EVERY
def test_weight_zero_leaves_every_sample_as_it_was(layout: Layout) -> None:
    frame = noise(layout)
    new = np.random.default_rng(1).random((9, 13, 3)).astype(np.float32)
    assert equal(blended(frame, new, np.zeros((9, 13), np.float32)).planes, frame.planes)
    not_finite = np.full((9, 13, 3), np.nan, np.float32)
    with np.errstate(invalid="ignore"):
        assert equal(blended(frame, not_finite, np.zeros((9, 13), np.float32)).planes, frame.planes)


@EVERY
def test_weight_one_leaves_nothing_of_the_old_samples(layout: Layout) -> None:
    new = np.random.default_rng(1).random((9, 13, 3)).astype(np.float32)
    weight = np.ones((9, 13), np.float32)
    results = [blended(noise(layout, seed=seed), new, weight).planes for seed in (2, 3)]
    colours = results[0][: len(results[0]) - layout.alpha]
    assert equal(colours, results[1][: len(colours)])


@EVERY
def test_transparency_holds_nothing_of_a_face_either(layout: Layout) -> None:
    """Where the mask is whole, alpha is opaque; where there is none, it stays."""
    frame = noise(layout)
    weight = np.zeros((9, 13), np.float32)
    weight[:5] = 1
    result = blended(frame, np.ones((9, 13, 3), np.float32), weight)
    if layout.alpha:
        assert (result.planes[-1][:5] == layout.maximum).all()
        np.testing.assert_array_equal(result.planes[-1][5:], frame.planes[-1][5:])


@EVERY
def test_what_is_written_is_read_again(layout: Layout) -> None:
    new = np.broadcast_to(np.array([0.6, 0.4, 0.3], np.float32), (9, 13, 3))
    if layout.kind == "grey":
        new = np.full((9, 13, 3), 0.4, np.float32)
    result = blended(noise(layout), new, np.ones((9, 13), np.float32))
    np.testing.assert_allclose(colour.rgb(result), new, atol=0.012 if layout.depth == 8 else 0.004)


@pytest.mark.parametrize("layout", YUV, ids=str)
def test_written_yuv_is_what_the_recommendations_say(layout: Layout) -> None:
    rgb = np.array([0.8, 0.3, 0.5])
    result = blended(
        noise(layout), np.broadcast_to(rgb, (9, 13, 3)).astype(np.float32), np.ones((9, 13), np.float32)
    )
    for plane, code in zip(result.planes, itu_codes(rgb, layout), strict=True):
        assert np.abs(plane.astype(float) - code).max() <= 0.51 + 2e-6 * layout.maximum


@pytest.mark.parametrize("layout", [item for item in YUV if item.shift_x], ids=str)
def test_a_chroma_sample_goes_wholly_when_one_of_its_pixels_does(layout: Layout) -> None:
    weight = np.zeros((9, 13), np.float32)
    weight[4, 6] = weight[8, 12] = 1
    new = np.full((9, 13, 3), 0.5, np.float32)
    one, other = (blended(noise(layout, seed=seed), new, weight) for seed in (4, 5))
    before = noise(layout, seed=4)
    for plane in (1, 2):
        row, column = 4 >> layout.shift_y, 6 >> layout.shift_x
        assert one.planes[plane][row, column] == other.planes[plane][row, column]
        assert one.planes[plane][-1, -1] == other.planes[plane][-1, -1]
        touched = one.planes[plane] != before.planes[plane]
        assert touched.sum() <= 2


@EVERY
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_blend_lies_between_the_old_and_the_new(layout: Layout, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1000))
    share = np.float32(data.draw(st.floats(0, 1, width=32)))
    frame = noise(layout, seed=seed)
    new = np.random.default_rng(seed + 1).random((9, 13, 3)).astype(np.float32)
    full = blended(frame, new, np.ones((9, 13), np.float32)).planes
    half = blended(frame, new, np.full((9, 13), share)).planes
    for old, mixed, end in zip(frame.planes, half, full, strict=True):
        low, high = np.minimum(old, end).astype(int), np.maximum(old, end).astype(int)
        assert (mixed.astype(int) >= low - 1).all()
        assert (mixed.astype(int) <= high + 1).all()


@EVERY
def test_only_the_region_is_written(layout: Layout) -> None:
    frame = noise(layout)
    region = colour.align((4, 2, 9, 7), frame)
    x0, y0, x1, y1 = region
    shape = y1 - y0, x1 - x0
    result = blended(frame, np.ones((*shape, 3), np.float32), np.ones(shape, np.float32), region)
    first, before = result.planes[0].copy(), frame.planes[0].copy()
    white = 235 / 255 if layout.kind == "yuv" and not layout.full_range else 1
    assert (first[y0:y1, x0:x1] >= 0.99 * white * layout.maximum).all()
    first[y0:y1, x0:x1] = before[y0:y1, x0:x1] = 0
    np.testing.assert_array_equal(first, before)
    for plane in (1, 2) if layout.kind == "yuv" else ():
        inner = (
            slice(y0 >> layout.shift_y, -(-y1 // (1 << layout.shift_y))),
            slice(x0 >> layout.shift_x, -(-x1 // (1 << layout.shift_x))),
        )
        chroma, old = result.planes[plane].copy(), frame.planes[plane].copy()
        chroma[inner] = old[inner] = 0
        np.testing.assert_array_equal(chroma, old)


def test_the_frame_that_was_copied_stays() -> None:
    frame = noise(Layout("yuv", 8, False, 1, 1))
    planes = [plane.copy() for plane in frame.planes]
    blended(frame, np.ones((9, 13, 3), np.float32), np.ones((9, 13), np.float32))
    assert equal(tuple(planes), frame.planes)
