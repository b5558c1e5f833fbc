"""What became of the picture: differences pixel by pixel, and between sets of pictures. Pure functions.

Pictures are (H, W, 3) uint8 R'G'B'; differences are of values in 0..1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import linalg
from skimage import metrics

from incog.types import Bytes, Floats

Values = npt.NDArray[np.float64]


def _two(first: Bytes, second: Bytes) -> tuple[Floats, Floats]:
    if first.shape != second.shape or first.ndim != 3 or first.shape[2] != 3:
        raise ValueError(f"pictures must be of one shape (H, W, 3), got {first.shape} and {second.shape}")
    return first.astype(np.float32) / np.float32(255), second.astype(np.float32) / np.float32(255)


def l1(first: Bytes, second: Bytes) -> float:
    """Return the mean absolute difference, 0..1."""
    a, b = _two(first, second)
    return float(np.abs(a - b).mean())


def l2(first: Bytes, second: Bytes) -> float:
    """Return the mean squared difference, 0..1."""
    a, b = _two(first, second)
    return float(np.square(a - b).mean())


def psnr(first: Bytes, second: Bytes) -> float:
    """Return the peak signal-to-noise ratio in dB, -10 log10 of the mean squared difference; inf for equal pictures."""
    error = l2(first, second)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(first: Bytes, second: Bytes) -> float:
    """Return the structural similarity (Wang et al. 2004) of the lumas: Gaussian window of 11 px, sigma 1.5, at most 1.

    Raises ValueError for pictures below 11 px.
    """
    _two(first, second)
    if min(first.shape[:2]) < 11:
        raise ValueError(
            f"pictures must be at least 11 px wide and high, got {first.shape[1]}x{first.shape[0]}"
        )
    lumas = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255 for one in (first, second))
    compare: Any = metrics.structural_similarity
    return float(
        compare(*lumas, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
    )


def dssim(first: Bytes, second: Bytes) -> float:
    """Return the structural dissimilarity (1 - SSIM) / 2, 0..1."""
    return (1 - ssim(first, second)) / 2


def frechet_distance(first: Floats, second: Floats) -> float:
    """Return the Frechet distance of two sets of features (N, D), as if normal (Heusel et al. 2017).

    ||m1 - m2||^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)). Over Inception's features it is called FID, over a face recogniser's
    FED. It is too high for small sets: compare sets of one size only. Raises ValueError for sets below two.
    """
    _sets(first, second)
    a, b = first.astype(np.float64), second.astype(np.float64)
    one, two = (np.cov(values, rowvar=False).reshape(a.shape[1], -1) for values in (a, b))
    # The trace of the root is the sum of the roots of the eigenvalues, which are those of a positive matrix.
    root = _root(one)
    values = np.clip(linalg.eigvalsh(root @ two @ root), 0, None)
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    return max(0.0, float(apart + np.trace(one) + np.trace(two) - 2 * np.sqrt(values).sum()))


def _root(matrix: Values) -> Values:
    values, vectors = linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T, np.float64)


def kernel_distance(
    first: Floats, second: Floats, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> float:
    """Return the unbiased squared maximum mean discrepancy under (u.v / D + 1)^3 (Binkowski et al. 2018).

    The mean over ``subsets`` of at most ``size`` features (N, D) of each set; about 0, also below, for sets of one
    kind. Over Inception's features it is called KID, over a face recogniser's KED.
    """
    _sets(first, second)
    random = np.random.default_rng(seed)
    count = min(size, len(first), len(second))
    found = []
    for _ in range(subsets if count < max(len(first), len(second)) else 1):
        a, b = (
            values[random.permutation(len(values))[:count]].astype(np.float64) for values in (first, second)
        )
        aa, bb, ab = ((x @ y.T / x.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
        pairs = count * (count - 1)
        within = (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / pairs
        found.append(within - 2 * ab.mean())
    return float(np.mean(found))


def diversity(embeddings: Floats) -> float:
    """Return the mean of 1 - cosine over all pairs of outputs (N, D) of unit norm, for different keys or people."""
    if len(embeddings) < 2:
        raise ValueError(f"embeddings must be at least two, got {len(embeddings)}")
    rows = embeddings.astype(np.float64)
    total = np.square(rows.sum(0)).sum() - np.square(rows).sum()
    return float(1 - total / (len(rows) * (len(rows) - 1)))


def _sets(first: Floats, second: Floats) -> None:
    if (
        first.ndim != 2
        or second.ndim != 2
        or first.shape[1] != second.shape[1]
        or min(map(len, (first, second))) < 2
    ):
        raise ValueError(
            f"features must be two sets (N, D) of one D and N of at least 2, got {first.shape} and {second.shape}"
        )
