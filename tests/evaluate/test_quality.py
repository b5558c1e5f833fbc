"""Differences of pictures and of sets agree with scikit-image, with closed forms and with plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, ndimage
from skimage import metrics

from incog.evaluate import quality

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def pair(seed: int = 0) -> tuple[Picture, Picture]:
    random = np.random.default_rng(seed)
    first = ndimage.gaussian_filter(random.uniform(0, 255, (40, 48, 3)), (2, 2, 0))
    second = np.clip(first + random.normal(0, 8, first.shape), 0, 255)
    return first.astype(np.uint8), second.astype(np.uint8)


def test_pixel_differences_by_hand() -> None:
    black, grey = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 51, np.uint8)
    assert quality.l1(black, grey) == pytest.approx(0.2)
    assert quality.l2(black, grey) == pytest.approx(0.04)
    assert quality.psnr(black, grey) == pytest.approx(-10 * np.log10(0.04))
    assert quality.psnr(grey, grey) == float("inf")
    assert quality.ssim(grey, grey) == pytest.approx(1)
    assert quality.dssim(grey, grey) == pytest.approx(0)


def test_psnr_is_scikit_images() -> None:
    one, two = pair()
    assert quality.psnr(one, two) == pytest.approx(metrics.peak_signal_noise_ratio(one, two), abs=1e-4)


def test_ssim_is_that_of_its_formula() -> None:
    one, two = pair(1)

    def luma(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.round(picture @ np.array([0.299, 0.587, 0.114])) / 255

    def smooth(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]):  # type: ignore[no-untyped-def]
        return ndimage.gaussian_filter(values, 1.5, truncate=3.5)

    a, b = luma(one), luma(two)
    ma, mb = smooth(a), smooth(b)
    va, vb, ab = smooth(a * a) - ma**2, smooth(b * b) - mb**2, smooth(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    field = (2 * ma * mb + c1) * (2 * ab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert quality.ssim(one, two) == pytest.approx(field[5:-5, 5:-5].mean(), abs=2e-3)


def test_shapes_that_do_not_fit_are_refused() -> None:
    one, two = pair()
    with pytest.raises(ValueError, match="must be of one shape"):
        quality.l1(one, two[:30])
    with pytest.raises(ValueError, match="at least 11 px"):
        quality.ssim(one[:8], two[:8])
    with pytest.raises(ValueError, match="two sets"):
        quality.frechet_distance(np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32))
    with pytest.raises(ValueError, match="at least two"):
        quality.diversity(np.zeros((1, 3), np.float32))


def test_frechet_distance_of_known_gaussians() -> None:
    random = np.random.default_rng(0)
    a = random.normal(0, 1, (40_000, 3)).astype(np.float32)
    b = (random.normal(0, 2, (40_000, 3)) + np.array([1, 0, 0])).astype(np.float32)
    # ||m||^2 + sum (s1 - s2)^2 for independent columns.
    assert quality.frechet_distance(a, b) == pytest.approx(1 + 3, rel=0.03)
    assert quality.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_is_that_of_the_matrix_root() -> None:
    random = np.random.default_rng(1)
    mix = random.normal(size=(6, 6))
    a = (random.normal(size=(300, 6)) @ mix).astype(np.float32)
    b = (random.normal(size=(200, 6)) + 0.3).astype(np.float32)
    one, two = np.cov(a.astype(float), rowvar=False), np.cov(b.astype(float), rowvar=False)
    root = np.real(linalg.sqrtm(one @ two))
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(one + two - 2 * root)
    assert quality.frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_kernel_distance_by_loops_and_about_zero_for_one_kind() -> None:
    random = np.random.default_rng(2)
    a, b = (random.normal(size=(9, 4)).astype(np.float32) for _ in range(2))

    def kernel(u: np.ndarray, v: np.ndarray) -> float:  # type: ignore[type-arg]
        return float((u.astype(float) @ v.astype(float) / 4 + 1) ** 3)

    rows = range(9)
    aa = np.mean([kernel(a[i], a[j]) for i in rows for j in rows if i != j])
    bb = np.mean([kernel(b[i], b[j]) for i in rows for j in rows if i != j])
    ab = np.mean([kernel(a[i], b[j]) for i in rows for j in rows])
    assert quality.kernel_distance(a, b) == pytest.approx(aa + bb - 2 * ab, rel=1e-5)
    one = random.normal(size=(3000, 4)).astype(np.float32)
    same = quality.kernel_distance(one[:1500], one[1500:], subsets=30, size=500)
    moved = quality.kernel_distance(one[:1500], one[1500:] + 0.5, subsets=30, size=500)
    assert abs(same) < 0.05
    assert moved > 10 * abs(same)


def test_diversity_is_the_mean_over_pairs() -> None:
    rows = np.random.default_rng(3).normal(size=(7, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [1 - rows[i] @ rows[j] for i in range(7) for j in range(7) if i != j]
    assert quality.diversity(rows.astype(np.float32)) == pytest.approx(np.mean(pairs), abs=1e-6)
