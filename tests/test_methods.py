"""The contract: what holds for every method of the registry, and how parameters are read."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, get_type_hints

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

from incog import alignment, geometry, points, shape
from incog.errors import UsageError
from incog.keys import Secret, track_key
from incog.methods import DEFAULT, METHODS, make
from incog.methods.base import Claim
from incog.methods.parameters import describe, parse
from incog.models import cards
from incog.types import Crops, Floats, Key

SECRET = Secret.from_seed(11)
EVERY = pytest.mark.parametrize("name", METHODS)
EVERY_ALONE = pytest.mark.parametrize(
    "name", [name for name, method in METHODS.items() if method.granularity != "set"]
)
"""Methods that are applied to one face, not fitted to a set of people: those have a contract of their own."""
FAMILIES = ("obscure", "subspace", "autoencoder", "generated", "transformer")
COVERS = ("fill", "blackout")
"""The methods that let no pixel of the face survive, and so need no warning."""
ALTERS = ("fill", "blackout", "pixelate", "blur", "low-resolution", "dp-pixelate")
"""The methods that claim to alter the whole face, not parts of it."""


def key_of(track: int) -> Key:
    return track_key(SECRET, bytes(16), track)


def mask_of(size: int, radius: float) -> Floats:
    """Return an upright oval: 1 on the hull, a feather around it, 0 beyond."""
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    distance = np.hypot(column / 0.75, row) - radius
    return np.clip(1 - distance / (0.1 * radius), 0, 1).astype(np.float32)


def five_of(size: int, face: float) -> Floats:
    """Return the five points of an upright face of a box in the middle, (5, 2)."""
    shares = np.array([(0.27, 0.4), (0.73, 0.4), (0.5, 0.62), (0.31, 0.78), (0.69, 0.78)])
    return ((shares - 0.5) * face * [0.75, 1] + (size - 1) / 2).astype(np.float32)


def dense_of(five: Floats) -> Floats:
    """Return the dense points of the mean face at five points, (130, 2)."""
    mean = shape.load().mean
    return geometry.apply(alignment.similarity(points.five(mean), five), mean)


def crops_of(pixels: Floats, *, face: float | None = None, frames: list[int] | None = None) -> Crops:
    count, size = pixels.shape[:2]
    face = size / 1.8 if face is None else face
    return Crops(
        pixels=pixels.astype(np.float32),
        masks=np.repeat(mask_of(size, 0.55 * face)[None], count, axis=0),
        matrices=np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, axis=0),
        faces=np.full(count, face, np.float32),
        points=np.repeat(five_of(size, face)[None], count, axis=0),
        frames=np.array(range(count) if frames is None else frames, np.int64),
        dense=np.repeat(dense_of(five_of(size, face))[None], count, axis=0),
        looks=np.repeat(
            np.array([[0.35, 0.8, 0.7, 0.1, 0.1, 0.05, 0.05, 0.3, 0.6]], np.float32), count, axis=0
        ),
    )


def photo(size: int) -> Floats:
    """Return the astronaut's face, (S, S, 3), the face box in the middle and the crop 1.8 times as large."""
    picture = skimage.data.astronaut().astype(np.float32)[18:216, 126:324] / 255
    zoomed = ndimage.zoom(picture, (size / 198, size / 198, 1), order=1)
    return np.clip(zoomed, 0, 1).astype(np.float32)


def textured(size: int, count: int, seed: int = 0) -> Floats:
    """Return random crops with structure at several scales."""
    rng = np.random.default_rng(seed)
    layers = [
        ndimage.zoom(rng.random((count, n, n, 3)), (1, size / n, size / n, 1), order=1) for n in (4, 16, size)
    ]
    return np.clip(np.mean(layers, axis=0) * 1.6 - 0.3, 0, 1).astype(np.float32)


def extremes(size: int) -> Floats:
    """Return black, white, grey, grey photo, dark photo, burnt photo, checkerboard and one saturated colour."""
    face = photo(size)
    grey = np.repeat(face.mean(axis=2, keepdims=True), 3, axis=2)
    board = np.repeat((np.indices((size, size)).sum(0) % 2)[..., None], 3, axis=2)
    flat = [
        np.broadcast_to(np.array(colour), face.shape) for colour in ([0] * 3, [1] * 3, [0.5] * 3, [1, 0, 0])
    ]
    return np.stack([*flat, grey, 0.05 * face, np.clip(3 * face, 0, 1), board]).astype(np.float32)


def test_the_registry_is_consistent() -> None:
    assert DEFAULT in METHODS
    for name, method in METHODS.items():
        assert method.name == name
        assert dataclasses.is_dataclass(method)
    assert {"fill", "blur", "pixelate", "blackout", "dp-pixelate"} < set(METHODS)


# What every method does


@EVERY_ALONE
@pytest.mark.parametrize("size", [64, 128, 256])
def test_shape_type_and_range_are_kept_and_the_rest_is_untouched(name: str, size: int) -> None:
    crops = crops_of(np.concatenate([photo(size)[None], textured(size, 2)]))
    before = {item.name: getattr(crops, item.name).copy() for item in dataclasses.fields(crops)}
    result = make(name, {})(crops, [key_of(0)] * 3)
    assert result.pixels.shape == crops.pixels.shape
    assert result.pixels.dtype == np.float32
    assert np.isfinite(result.pixels).all()
    assert result.pixels.min() >= 0
    assert result.pixels.max() <= 1
    assert result.unfit.shape == (3,)
    assert result.unfit.dtype == np.bool_
    assert not result.unfit.any()
    outside = crops.masks == 0
    np.testing.assert_array_equal(result.pixels[outside], crops.pixels[outside])
    for field, value in before.items():
        np.testing.assert_array_equal(getattr(crops, field), value)
    assert not np.shares_memory(result.pixels, crops.pixels)


@EVERY_ALONE
@pytest.mark.parametrize("size", [64, 128])
def test_inside_the_mask_everything_really_changes(name: str, size: int) -> None:
    crops = crops_of(np.concatenate([photo(size)[None], textured(size, 2)]))
    pixels = make(name, {})(crops, [key_of(0)] * 3).pixels
    for new, old, mask in zip(pixels, crops.pixels, crops.masks, strict=True):
        change = np.abs(new - old).max(axis=2)
        assert (change[mask == 1] > 1 / 255).mean() > 0.5
        assert change[mask == 1].mean() > 0.03


@EVERY_ALONE
@pytest.mark.parametrize("size", [64, 129])
def test_extreme_crops_give_finite_pixels_in_range(name: str, size: int) -> None:
    crops = crops_of(extremes(size))
    pixels = make(name, {})(crops, [key_of(0)] * len(crops)).pixels
    assert np.isfinite(pixels).all()
    assert pixels.min() >= 0
    assert pixels.max() <= 1


@EVERY_ALONE
@pytest.mark.parametrize("face", [1.0, 7.3, 64.0, 500.0])
def test_any_size_of_face_and_any_mask_is_handled(name: str, face: float) -> None:
    crops = crops_of(np.repeat(photo(64)[None], 5, axis=0), face=face)
    masks = np.zeros((5, 64, 64), np.float32)
    masks[1, 0, 63] = 1
    masks[2, 30:34, 20:50] = 0.5
    masks[3] = 1
    masks[4, :, :3] = 1
    crops = dataclasses.replace(crops, masks=masks)
    pixels = make(name, {})(crops, [key_of(0)] * 5).pixels
    assert np.isfinite(pixels).all()
    np.testing.assert_array_equal(pixels[masks == 0], crops.pixels[masks == 0])


@EVERY_ALONE
def test_a_batch_equals_one_by_one_in_any_order(name: str) -> None:
    method = make(name, {})
    crops = crops_of(textured(64, 4), frames=[5, 0, 3, 3])
    keys = [key_of(track) for track in (1, 0, 1, 2)]
    batch = method(crops, keys).pixels
    for row in (2, 0, 3, 1):
        np.testing.assert_array_equal(method(crops[row : row + 1], [keys[row]]).pixels[0], batch[row])
    backwards = method(crops[::-1], keys[::-1]).pixels
    np.testing.assert_array_equal(backwards[::-1], batch)


@EVERY_ALONE
def test_no_crops_give_no_pixels(name: str) -> None:
    result = make(name, {})(crops_of(np.zeros((0, 64, 64, 3))), [])
    assert result.pixels.shape == (0, 64, 64, 3)
    assert result.unfit.shape == (0,)


@EVERY_ALONE
def test_keys_and_crops_must_pair(name: str) -> None:
    with pytest.raises(ValueError, match="1 keys for 2 crops"):
        make(name, {})(crops_of(textured(64, 2)), [key_of(0)])


@EVERY_ALONE
def test_the_key_decides_where_the_method_is_keyed_and_nowhere_else(name: str) -> None:
    crops = crops_of(textured(64, 1))
    one, again, other = (make(name, {})(crops, [key_of(track)]).pixels for track in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.array_equal(one, other) is not METHODS[name].keyed


# How much of a face is left


@pytest.mark.parametrize("name", ALTERS)
@pytest.mark.parametrize("size", [128, 256])
def test_the_face_is_altered_all_over(name: str, size: int) -> None:
    crops = crops_of(photo(size)[None])
    new = make(name, {})(crops, [key_of(0)]).pixels
    changed = (np.rint(new * 255) != np.rint(crops.pixels * 255)).any(axis=3)
    assert changed[crops.masks == 1].mean() >= 0.99


def likeness(name: str, size: int = 128) -> float:
    """Return how much of the face's own coarse pattern is left: 1 all of it, 0 nothing.

    The regression of the new luma on the old one over the hull, after a low-pass and without what is no pattern of
    this face: a linear trend, which the fill lets through by design, and what the method makes of a flat grey crop.
    """
    method = make(name, {})
    crops = crops_of(np.stack([photo(size), np.full((size, size, 3), 0.5)]))
    inside = crops.masks[0] == 1
    old, (new, of_flat) = crops.pixels[0], method(crops, [key_of(0)] * 2).pixels

    def low_pass(luma: np.ndarray) -> np.ndarray:
        # Beyond the hull both are the same, so that nothing but the face is compared.
        luma = np.where(inside, luma, luma[inside].mean())
        return ndimage.gaussian_filter(luma, 0.05 * size / 1.8)[inside]

    row, column = np.mgrid[:size, :size].astype(float)
    fixed = [np.ones(inside.sum()), low_pass(row), low_pass(column), low_pass(of_flat.mean(axis=2))]
    basis = np.stack(fixed, axis=1)

    def pattern(pixels: Floats) -> np.ndarray:
        smooth = low_pass(pixels.astype(np.float64).mean(axis=2))
        return smooth - basis @ np.linalg.lstsq(basis, smooth, rcond=None)[0]

    return float(pattern(new) @ pattern(old) / (pattern(old) @ pattern(old)))


@pytest.mark.parametrize("name", COVERS)
def test_nothing_of_the_coarse_pattern_is_left_by_covers(name: str) -> None:
    assert abs(likeness(name)) < 0.01


def test_the_coarse_pattern_shows_in_weak_methods() -> None:
    for name in ("pixelate", "low-resolution", "superpixel", "cartoon", "gaussian-noise"):
        assert likeness(name) > 0.2


# What every method says


@EVERY
def test_claims_are_honest_and_name_their_conditions(name: str) -> None:
    method = make(name, {})
    claims = method.claims()
    assert claims
    for claim in claims:
        assert isinstance(claim, Claim)
        assert claim.statement.endswith(".")
        assert claim.scope
        assert claim.conditions
        assert all(claim.conditions)
    # Something always remains, and each method says so.
    assert any(not claim.holds for claim in claims)
    assert any("identify" in condition for claim in claims for condition in claim.conditions)
    scopes = " ".join(claim.scope for claim in method.claims(frames=25))
    assert "25 frames" in scopes


@EVERY
def test_methods_describe_themselves(name: str) -> None:
    method = METHODS[name]
    assert method.family in FAMILIES
    assert method.summary
    assert method.hides_from
    assert method.granularity in ("image", "track", "set")
    assert set(method.needs) <= set(cards())
    assert not method.reversible
    assert bool(method.weak) is (name not in COVERS)
    if method.weak:
        assert len(method.weak) > 60
        assert method.weak.endswith(".")


# Parameters

PARAMETERS = [(name, row) for name in METHODS for row in describe(METHODS[name])]
EACH_PARAMETER = pytest.mark.parametrize(
    ("name", "row"), PARAMETERS, ids=[f"{name}-{row.name}" for name, row in PARAMETERS]
)


def limits(name: str, parameter: str) -> tuple[float, float]:
    hints = get_type_hints(METHODS[name], include_extras=True)
    declared = hints[parameter].__metadata__[0]
    return declared.low, declared.high


@EVERY
def test_every_field_is_a_described_parameter(name: str) -> None:
    rows = describe(METHODS[name])
    assert [row.name for row in rows] == [item.name for item in dataclasses.fields(METHODS[name])]
    defaults = make(name, {})
    for row in rows:
        assert row.help
        assert row.range.startswith("a ")
        assert row.type in ("int", "float", "colour", "word")
        # The default is written as one would type it.
        assert make(name, {row.name: row.default}) == defaults


@EACH_PARAMETER
def test_out_of_range_and_wrong_types_are_refused(name: str, row: Any) -> None:
    refused: list[object] = [None, "x", [1], True, 1j]
    texts = ["", "x", "1,5", "0x8", "nan", "inf", "-1"]
    if row.type == "colour":
        refused += [(0, 0), (0, 0, 256), (-1, 0, 0), (0.5, 0, 0), (True, 0, 0), "#000000"]
        texts += ["#12345", "#1234567", "#gg0000", "red"]
    elif row.type == "word":
        refused += [(), 1.0]
        texts += [row.default.upper(), f"{row.default}s"]
    else:
        low, high = limits(name, row.name)
        step = 1 if row.type == "int" else 1e-6
        refused += [low - step, high + step, math.nan, math.inf, (1,)]
        texts += [repr(low - step), repr(high + step), "1e999"]
    if row.type == "int":
        refused.append(8.0)
        texts.append("8.0")
    for value in refused:
        with pytest.raises(UsageError, match=f"^{name}: {row.name} must be {row.range}, got "):
            METHODS[name](**{row.name: value})
    for text in texts:
        with pytest.raises(UsageError, match=f"^{name}: {row.name} must be {row.range}, got "):
            make(name, {row.name: text})


@EACH_PARAMETER
def test_both_ends_of_the_range_work(name: str, row: Any) -> None:
    crops = crops_of(photo(64)[None])
    if row.type == "colour":
        ends = [{row.name: "#000000"}, {row.name: "FFFFFF"}]
    elif row.type == "word":
        ends = [{row.name: word} for word in row.range.removeprefix("a word of ").split(", ")]
    else:
        kind = int if row.type == "int" else float
        ends = [{row.name: repr(kind(end))} for end in limits(name, row.name)]
    for settings in ends:
        # Hysteresis needs low <= high, whichever of the two is at its end.
        if name == "edges" and row.name in ("low", "high"):
            settings = {"low": "0", "high": "1", **settings}
        method = make(name, settings)
        # Methods on sets are tried, once fitted, where they have a contract of their own.
        if method.granularity != "set":
            assert np.isfinite(method(crops, [key_of(0)]).pixels).all()


def test_texts_become_values() -> None:
    method = make("pixelate", {"blocks": " 12 "})
    assert method == METHODS["pixelate"](blocks=12)  # type: ignore[call-arg]
    assert make("blackout", {"colour": "#0A141e"}) == METHODS["blackout"](colour=(10, 20, 30))  # type: ignore[call-arg]
    # A whole number is a number, and is kept as the float that the field says.
    darken: Any = METHODS["darken"](factor=0)  # type: ignore[call-arg]
    assert type(darken.factor) is float
    assert type(parse(METHODS["blur"], {"sigma": "1"}).sigma) is float  # type: ignore[attr-defined]


def test_unknown_names_come_with_the_valid_ones_and_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"a parameter of pixelate must be one of blocks, got 'block'"
    ) as caught:
        make("pixelate", {"block": "8"})
    assert caught.value.hint == "did you mean blocks?"
    with pytest.raises(UsageError, match="a parameter of fill must be left out: it has none, got 'blocks'"):
        make("fill", {"blocks": "8"})
    with pytest.raises(
        UsageError, match=r"the method must be one of fill, blackout, .*, got 'pixellate'"
    ) as caught:
        make("pixellate", {})
    assert caught.value.hint == "did you mean pixelate?"
    with pytest.raises(UsageError) as caught:
        make("zzz", {})
    assert caught.value.hint == ""


def test_methods_cannot_be_changed_after_the_check() -> None:
    method: Any = make("pixelate", {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.blocks = 10**9


def test_edges_need_ordered_thresholds() -> None:
    with pytest.raises(UsageError, match=r"edges: low must be at most high, which is 0.2, got 0.5"):
        make("edges", {"low": "0.5"})
