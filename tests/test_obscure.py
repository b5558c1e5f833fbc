"""Each obscuring method against an independent reference or a case worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import skimage.feature
from scipy import ndimage, stats

from incog.keys import Secret, track_key
from incog.methods import fill, make
from incog.methods.fill import dither, skin_light
from incog.methods.noise import DpPixelate, GaussianNoise, ImpulseNoise
from incog.types import Crops, Floats, Key

KEYS = [track_key(Secret.from_seed(5), bytes(16), track) for track in range(3)]


def crops_of(*pixels: npt.ArrayLike, face: float, masks: Floats | None = None, frames: Any = None) -> Crops:
    """Return crops that are masked everywhere, unless other masks are given."""
    stack = np.stack([np.asarray(picture, np.float32) for picture in pixels])
    count, size = stack.shape[:2]
    return Crops(
        pixels=stack,
        masks=np.ones((count, size, size), np.float32) if masks is None else masks,
        matrices=np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, axis=0),
        faces=np.full(count, face, np.float32),
        points=np.full((count, 5, 2), np.nan, np.float32),
        frames=np.arange(count) if frames is None else np.asarray(frames, np.int64),
        dense=np.full((count, 130, 2), np.nan, np.float32),
    )


def render(
    name: str, pixels: npt.ArrayLike, *, face: float, key: Key = KEYS[0], **settings: object
) -> Floats:
    method = make(name, {name: str(value) for name, value in settings.items()})
    return method(crops_of(pixels, face=face), [key]).pixels[0]


def noise(size: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((size, size, 3)).astype(np.float32)


def flat(size: int, *colour: float) -> Floats:
    return np.broadcast_to(np.array(colour, np.float32), (size, size, 3)).copy()


def photo() -> Floats:
    """Return the astronaut's face, 200 x 200, with a face box of 110 px in the middle."""
    return skimage.data.astronaut()[17:217, 125:325].astype(np.float32) / 255


def oval(size: int, face: float) -> Floats:
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    return (np.hypot(column / 0.75, row) < 0.55 * face).astype(np.float32)


# Blur, pixelate, low resolution, darken, blackout


@pytest.mark.parametrize("sigma", [0.02, 0.15, 1.0])
@pytest.mark.parametrize("size", [40, 97])
def test_blur_is_a_true_gaussian(sigma: float, size: int) -> None:
    pixels, face = noise(size), size / 1.8
    radius = math.ceil(3 * sigma * face)
    expected = ndimage.gaussian_filter(
        pixels.astype(np.float64), sigma * face, mode="reflect", radius=radius, axes=(0, 1)
    )
    np.testing.assert_allclose(render("blur", pixels, face=face, sigma=sigma), expected, atol=2e-6)


def test_blur_does_not_depend_on_how_much_is_masked() -> None:
    pixels, mask = noise(64), np.zeros((1, 64, 64), np.float32)
    mask[0, 5:40, 20:64] = 1
    part = make("blur", {})(crops_of(pixels, face=40, masks=mask), KEYS[:1]).pixels[0]
    whole = render("blur", pixels, face=40)
    np.testing.assert_allclose(part[mask[0] == 1], whole[mask[0] == 1], atol=1e-6)


def test_pixelate_takes_the_mean_of_each_block() -> None:
    pixels = noise(96)
    means = pixels.reshape(12, 8, 12, 8, 3).mean(axis=(1, 3))
    expected = np.repeat(np.repeat(means, 8, axis=0), 8, axis=1)
    np.testing.assert_allclose(render("pixelate", pixels, face=64, blocks=8), expected, atol=1e-6)


def test_pixelate_has_smaller_blocks_at_the_far_borders() -> None:
    pixels = noise(10)
    new = render("pixelate", pixels, face=8, blocks=2)
    np.testing.assert_allclose(
        new[:4, 8:], np.broadcast_to(pixels[:4, 8:].mean(axis=(0, 1)), (4, 2, 3)), atol=1e-6
    )
    np.testing.assert_allclose(
        new[8:, 8:], np.broadcast_to(pixels[8:, 8:].mean(axis=(0, 1)), (2, 2, 3)), atol=1e-6
    )


@pytest.mark.parametrize(("face", "blocks", "side"), [(60, 8, 8), (64, 8, 8), (5, 64, 2), (500, 1, 64)])
def test_pixelate_never_has_more_blocks_than_asked_and_never_single_pixels(
    face: float, blocks: int, side: int
) -> None:
    new = render("pixelate", noise(64), face=face, blocks=blocks)
    changes = np.flatnonzero((np.diff(new, axis=0) != 0).any(axis=(1, 2))) + 1
    np.testing.assert_array_equal(changes, np.arange(side, 64, side))


def test_low_resolution_is_area_mean_and_bilinear() -> None:
    pixels = noise(96)
    means = pixels.reshape(12, 8, 6, 16, 3).mean(axis=(1, 3))
    rows, columns = (np.arange(96) + 0.5) / 8 - 0.5, (np.arange(96) + 0.5) / 16 - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    expected = np.stack(
        [ndimage.map_coordinates(means[..., c], grid, order=1, mode="nearest") for c in range(3)], axis=2
    )
    new = render("low-resolution", pixels, face=64, width=4, height=8)
    np.testing.assert_allclose(new, expected, atol=1e-5)


def test_darken_scales() -> None:
    pixels = noise(32)
    np.testing.assert_allclose(render("darken", pixels, face=20, factor=0.25), pixels / 4, atol=1e-7)


def test_blackout_is_one_colour_without_feather() -> None:
    np.testing.assert_allclose(render("blackout", noise(32), face=20), 0)
    new = render("blackout", noise(32), face=20, colour="#ff8000")
    np.testing.assert_allclose(new, flat(32, 1, 128 / 255, 0), atol=1e-7)


def test_where_the_mask_is_between_0_and_1_the_pixels_are_plain_new_ones() -> None:
    masks = np.zeros((1, 8, 8), np.float32)
    masks[0, :, 4:] = 0.25
    pixels = make("blackout", {})(crops_of(noise(8), face=6, masks=masks), KEYS[:1]).pixels[0]
    assert (pixels[:, 4:] == 0).all()


# Fill


def places(size: int, face: float) -> npt.NDArray[np.float64]:
    return (np.arange(size) - (size - 1) / 2) / (face / 2)


@pytest.mark.parametrize(
    "colour", [(0.85, 0.65, 0.55), (0.3, 0.2, 0.15), (0.5, 0.5, 0.5), (0.06, 0.05, 0.04)]
)
@pytest.mark.parametrize("slopes", [(0.0, 0.0), (0.2, -0.1), (-0.3, 0.05)])
def test_fill_finds_colour_and_light(colour: tuple[float, ...], slopes: tuple[float, float]) -> None:
    u = places(96, 60)
    light = 1 + slopes[0] * u[None, :] + slopes[1] * u[:, None]
    pixels = np.clip(light[..., None] * np.array(colour), 0, 1).astype(np.float32)
    rng = np.random.default_rng(0)
    pixels = np.clip(pixels + rng.normal(0, 0.01, pixels.shape), 0, 1).astype(np.float32)
    found, fall = skin_light(pixels, oval(96, 60), u, u)
    np.testing.assert_allclose(found, colour, atol=2 / 255)
    # Damped by a sixth or so, against flicker.
    np.testing.assert_allclose(fall, slopes, atol=0.02 + 0.001 / np.mean(colour), rtol=0.2)


def test_fill_is_not_led_astray_by_eyes_hair_and_glints() -> None:
    u = places(96, 60)
    pixels = flat(96, 0.7, 0.5, 0.4)
    pixels[:30] = 0.05
    pixels[40:46, 32:42] = pixels[40:46, 54:64] = 0.1
    pixels[48:52, 46:50] = 1.0
    pixels[62:66, 38:58] = (0.6, 0.2, 0.2)
    found, fall = skin_light(pixels, oval(96, 60), u, u)
    np.testing.assert_allclose(found, (0.7, 0.5, 0.4), atol=0.03)
    assert np.abs(fall).max() < 0.08


def test_fill_lets_five_numbers_of_8_bits_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two faces with the same five numbers have the same fill, whatever else they are."""
    u, mask = places(200, 110), oval(200, 110)
    colour, slopes = skin_light(photo(), mask, u, u)
    assert (colour.shape, slopes.shape) == ((3,), (2,))
    np.testing.assert_allclose(np.rint(colour * 255), colour * 255, atol=1e-9)
    np.testing.assert_array_equal(np.rint(slopes * 256), slopes * 256)
    assert np.abs(slopes).max() <= 127 / 256
    monkeypatch.setattr(fill, "skin_light", lambda *arguments: (colour, slopes))
    crops = crops_of(photo(), noise(200), face=110, masks=np.stack([mask, mask]))
    one, other = make("fill", {})(crops, KEYS[:2]).pixels
    np.testing.assert_array_equal(one[mask == 1], other[mask == 1])


def test_fill_is_smooth_and_has_no_bands() -> None:
    mask = oval(200, 110)
    new = make("fill", {})(crops_of(photo(), face=110, masks=mask[None]), KEYS[:1]).pixels[0]
    smooth = new - dither(200)[..., None]
    window = smooth[70:130, 75:125]
    assert np.abs(np.diff(window, axis=0)).max() < 0.01
    assert np.abs(np.diff(window, n=2, axis=0)).max() < 1e-3
    # After rounding to 8 bits the mean of small areas follows the smooth surface: bands would be half a level off.
    error = ndimage.uniform_filter(np.rint(new * 255) / 255 - smooth, (9, 9, 0))[75:125, 80:120]
    assert np.abs(error).max() < 0.3 / 255


@pytest.mark.parametrize("gain", [0.02, 1.0, 3.0, 50.0])
def test_fill_of_grey_is_grey_at_any_exposure(gain: float) -> None:
    grey = np.repeat(np.clip(photo().mean(axis=2, keepdims=True) * gain, 0, 1), 3, axis=2)
    mask = oval(200, 110)
    new = make("fill", {})(crops_of(grey, face=110, masks=mask[None]), KEYS[:1]).pixels[0]
    inside = new[mask == 1]
    assert np.ptp(inside, axis=1).max() == 0
    assert abs(np.median(inside) - np.median(grey[mask == 1])) < 0.12


def test_fill_does_not_flicker_when_the_face_moves_by_a_pixel() -> None:
    mask = oval(200, 110)
    moved = [np.roll(photo(), (dy, dx), axis=(0, 1)) for dy, dx in ((0, 0), (0, 1), (1, 0), (-1, 0))]
    crops = crops_of(*moved, face=110, masks=np.stack([mask] * 4))
    new = make("fill", {})(crops, [KEYS[0]] * 4).pixels
    assert np.abs(new[1:] - new[0])[:, mask == 1].max() < 5 / 255


def test_fill_works_where_the_mask_is_nowhere_1_or_tiny() -> None:
    masks = np.zeros((2, 256, 256), np.float32)
    masks[0, 100:150, 100:150] = 0.5
    masks[1, 101, 101] = 0.5
    pixels = flat(256, 0.6, 0.5, 0.4)
    new = make("fill", {})(crops_of(pixels, pixels, face=50, masks=masks), KEYS[:2]).pixels
    np.testing.assert_allclose(
        new[masks > 0], np.broadcast_to([0.6, 0.5, 0.4], new[masks > 0].shape), atol=0.06
    )


# Noise


def test_gaussian_noise_is_gaussian() -> None:
    method = GaussianNoise(sigma=0.05, grain=0.004)
    new = method(crops_of(flat(128, 0.5, 0.5, 0.5), face=100), KEYS[:1]).pixels[0]
    assert stats.kstest((new.ravel() - 0.5) / 0.05, "norm").pvalue > 0.001
    channels = np.corrcoef(new.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.03


def test_gaussian_noise_has_grains_and_clips() -> None:
    new = render("gaussian-noise", flat(64, 0.5, 0.5, 0.5), face=40, sigma=10, grain=0.1)
    np.testing.assert_array_equal(new, np.repeat(np.repeat(new[::4, ::4], 4, axis=0), 4, axis=1))
    assert np.isin(new, (0, 1)).mean() > 0.9


@pytest.mark.parametrize("name", ["gaussian-noise", "impulse-noise"])
def test_averaging_the_frames_of_a_track_does_not_remove_the_noise(name: str) -> None:
    method = make(name, {})
    track = method(crops_of(*[photo()] * 4, face=110, frames=[0, 1, 500, 7]), [KEYS[0]] * 4).pixels
    for frame in track[1:]:
        np.testing.assert_array_equal(frame, track[0])
    other = method(crops_of(photo(), face=110), [KEYS[1]]).pixels[0]
    assert (other != track[0]).any()


@pytest.mark.parametrize("share", [0.1, 0.7, 1.0])
def test_impulse_noise_replaces_its_share_by_black_and_white(share: float) -> None:
    pixels = np.clip(noise(200), 0.1, 0.9)
    method = ImpulseNoise(share=share, grain=0.004)
    new = method(crops_of(pixels, face=100), KEYS[:1]).pixels[0]
    black, white = (new == 0).all(axis=2), (new == 1).all(axis=2)
    assert stats.binomtest(int(black.sum() + white.sum()), 200 * 200, share).pvalue > 0.001
    assert stats.binomtest(int(black.sum()), int(black.sum() + white.sum()), 0.5).pvalue > 0.001
    np.testing.assert_array_equal(new[~black & ~white], pixels[~black & ~white])


# DP-Pix


def noise_on_sums(method: DpPixelate, level: float, frames: int) -> npt.NDArray[np.float64]:
    """Return (frames, 3): the noise on the sum of the one block of a flat 16 x 16 crop, in 8-bit levels."""
    crops = crops_of(*[flat(16, level, level, level)] * frames, face=16)
    new = method(crops, [KEYS[0]] * frames).pixels[:, 0, 0].astype(np.float64)
    return (new - level) * 255 * 256


def test_dp_pixelate_adds_discrete_laplace_noise_of_fans_scale() -> None:
    method = DpPixelate(epsilon=20.0, pixels=4, blocks=1)
    # Fan: 255 m / (b^2 epsilon') on the mean, with a third of epsilon for each channel.
    assert method.scale / 16**2 == pytest.approx(255 * 4 / (16**2 * 20 / 3))
    values = noise_on_sums(method, 128 / 255, 3000)
    # Float32 pixels hold the sums to about 1 / 100 of a level.
    assert np.abs(values - np.rint(values)).max() < 0.05
    law = stats.dlaplace(1 / method.scale)
    ends = np.unique(law.ppf(np.linspace(0.1, 0.9, 9)))
    observed = np.bincount(np.searchsorted(ends, np.rint(values).ravel()), minlength=len(ends) + 1)
    expected = np.diff(np.concatenate([[0], law.cdf(ends), [1]])) * values.size
    assert stats.chisquare(observed, expected).pvalue > 0.001
    assert np.abs(np.corrcoef(values.T) - np.eye(3)).max() < 0.08
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 0.08


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
def test_dp_pixelate_keeps_its_epsilon_on_the_most_different_neighbours(epsilon: float) -> None:
    """The worst event for two images that differ by m pixels from black to white has odds of e^epsilon, not more."""
    frames, method = 6000, DpPixelate(epsilon=epsilon, pixels=16, blocks=1)
    dark = flat(16, 0.5, 0.5, 0.5)
    dark[:4, :4] = 0
    light = dark.copy()
    light[:4, :4] = 1
    threshold = light.mean()
    hits = []
    for picture, key in ((dark, KEYS[0]), (light, KEYS[1])):
        new = method(crops_of(*[picture] * frames, face=16), [key] * frames).pixels[:, 0, 0]
        hits.append(int((new >= threshold).all(axis=1).sum()))
    loss = math.log(hits[1] / hits[0])
    error = math.sqrt(1 / hits[0] + 1 / hits[1])
    assert loss <= epsilon + 3 * error
    # And the noise is no larger than it has to be.
    assert loss >= epsilon - 4 * error


def test_dp_pixelate_bounds_the_change_of_all_sums_by_the_pixels() -> None:
    """Whatever m pixels change, wherever they lie: the block sums of all channels move by at most 3 * 255 m."""
    method = DpPixelate(epsilon=1000.0, pixels=5, blocks=8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        one = rng.random((32, 32, 3)).astype(np.float32)
        other = one.copy()
        spots = rng.choice(32 * 32, 5, replace=False)
        other.reshape(-1, 3)[spots] = 1 - np.rint(other.reshape(-1, 3)[spots])
        # The same key and frame: the noise is the same, and what differs are the sums. In range, nothing is clipped.
        squeezed = [0.4 + 0.2 * picture for picture in (one, other)]
        a, b = (method(crops_of(picture, face=32), KEYS[:1]).pixels[0] for picture in squeezed)
        moved = np.abs(a - b)[::4, ::4].sum() * 255 * 16
        assert moved <= 0.2 * 255 * 5 * 3 + 1.0 * 5 * 3


def test_dp_pixelate_is_flat_in_blocks_and_correct_in_small_ones() -> None:
    pixels = noise(10)
    new = DpPixelate(epsilon=1000.0, pixels=1, blocks=2)(crops_of(pixels, face=8), KEYS[:1]).pixels[0]
    for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
        for columns in (slice(0, 4), slice(4, 8), slice(8, 10)):
            block = new[rows, columns]
            assert np.ptp(block, axis=(0, 1)).max() == 0
            # The noise on a mean is the sum's over as many pixels as the block has.
            room = 20 * 0.765 / (block.shape[0] * block.shape[1] * 255) + 0.5 / 255
            assert np.abs(block[0, 0] - pixels[rows, columns].mean(axis=(0, 1))).max() < room


def test_dp_noise_is_fresh_for_every_frame_and_setting() -> None:
    settings = ((1.0, 16, 1), (1.0, 15, 1), (1.5, 16, 1))
    draws = [
        noise_on_sums(DpPixelate(epsilon=e, pixels=m, blocks=b), 128 / 255, 2) / e / m for e, m, b in settings
    ]
    values = np.round(np.concatenate(draws).ravel(), 4)
    assert len(set(values.tolist())) == len(values)


def test_dp_claims_print_m_and_compose_over_frames() -> None:
    method = DpPixelate(epsilon=0.25, pixels=9)
    single, many = method.claims()[0], method.claims(frames=40)[0]
    assert single.holds
    assert (single.value, many.value) == (0.25, 10.0)
    assert "10-differentially private" in many.statement
    assert "m = 9 pixels" in many.statement
    assert any("detection and alignment are not private" in condition for condition in many.conditions)
    assert not method.claims()[1].holds


# Superpixels, edges, cartoon


def test_superpixels_have_the_mean_of_their_pixels() -> None:
    pixels = photo()
    new = render("superpixel", pixels, face=110, segments=40)
    colours, region = np.unique(new.reshape(-1, 3), axis=0, return_inverse=True)
    assert 60 < len(colours) < 40 * (200 / 110) ** 2 * 1.5
    for label in range(len(colours)):
        np.testing.assert_allclose(
            pixels.reshape(-1, 3)[region == label].mean(axis=0), colours[label], atol=1e-5
        )


def test_superpixels_follow_the_borders_of_colours() -> None:
    pixels = flat(64, 0.2, 0.2, 0.8)
    pixels[:, 27:] = (0.8, 0.3, 0.1)
    np.testing.assert_allclose(render("superpixel", pixels, face=40), pixels, atol=1e-6)


def test_edges_are_thin_white_lines_where_the_step_is() -> None:
    pixels = flat(64, 0.2, 0.2, 0.2)
    pixels[:, 32:] = 0.8
    new = render("edges", pixels, face=40)
    assert np.isin(new, (0, 1)).all()
    white = new[2:-2, :, 0] == 1
    assert (white.sum(axis=1) == 1).all()
    assert np.isin(np.nonzero(white)[1], (31, 32)).all()


def test_edges_agree_with_another_canny() -> None:
    luma = photo() @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    smooth = ndimage.gaussian_filter(luma, 2.0)
    top = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)).max()
    theirs = skimage.feature.canny(luma, sigma=2.0, low_threshold=0.1 * top, high_threshold=0.2 * top)
    ours = render("edges", photo(), face=110, sigma=2.0 / 110)[..., 0] == 1
    near = ndimage.binary_dilation(theirs, iterations=2)
    assert (ours & near)[8:-8, 8:-8].sum() / ours[8:-8, 8:-8].sum() > 0.9
    near = ndimage.binary_dilation(ours, iterations=2)
    assert (theirs & near)[8:-8, 8:-8].sum() / theirs[8:-8, 8:-8].sum() > 0.9


def test_edges_of_nothing_are_nothing() -> None:
    pixels = 0.5 + 0.001 * noise(64)
    assert (render("edges", pixels, face=40) == 0).all()


def test_edges_beside_the_face_do_not_put_out_the_edges_of_the_face() -> None:
    pixels = flat(64, 0.5, 0.5, 0.5)
    pixels[20:40, 32:] = 0.55
    pixels[:, :4] = 1
    pixels[:, 4:8] = 0
    masks = np.zeros((1, 64, 64), np.float32)
    masks[0, 16:48, 16:48] = 1
    new = make("edges", {})(crops_of(pixels, face=32, masks=masks), KEYS[:1]).pixels[0]
    assert new[22:38, 30:34, 0].max(axis=1).all()


@pytest.mark.parametrize("levels", [2, 8])
def test_cartoon_has_few_levels(levels: int) -> None:
    new = render("cartoon", photo(), face=110, levels=levels)
    steps = new * (levels - 1)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-5)
    assert len(np.unique(np.rint(steps))) <= levels


def test_cartoon_removes_fine_noise_and_keeps_areas() -> None:
    pixels = flat(96, 0.43, 0.43, 0.43)
    pixels[:, 48:] = 0.86
    pixels += 0.02 * (noise(96) - 0.5)
    new = render("cartoon", pixels, face=60)
    np.testing.assert_allclose(new[:, 4:36], 3 / 7, atol=1e-6)
    np.testing.assert_allclose(new[:, 60:], 6 / 7, atol=1e-6)
