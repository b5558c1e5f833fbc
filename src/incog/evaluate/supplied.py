"""Measures by networks that do not ship and that the user brings as ONNX: LPIPS, and FID and KID by Inception."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from incog.errors import ModelError
from incog.evaluate import quality
from incog.evaluate.intervals import Figure, mean_over_people
from incog.evaluate.onnx_file import Settings, opened
from incog.evaluate.samples import Item
from incog.types import Bytes, Floats

LEAST_IMAGES = 10_000
"""Pictures below which a FID is mostly its own bias, and is not to be quoted."""

SMALLEST, LARGEST = 64, 512
"""Sides in pixels: LPIPS leaves out pictures with a shorter one, and takes those with a longer one smaller."""

SHIFT: Floats = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE: Floats = np.array([0.458, 0.448, 0.450], np.float32)
"""What LPIPS subtracts of values -1..1 and divides by, R'G'B', before a backbone (Zhang et al. 2018, version 0.1)."""

INCEPTION_SIDE = 299

WIDTH = 2048
"""Numbers in Inception's last pooling layer, over which alone a Frechet distance is called FID."""

_BATCH = 16


class Lpips:
    """Learned perceptual distance of two pictures (Zhang, Isola, Efros, Shechtman, Wang 2018): 0 for equal ones.

    sha256: of the ONNX file. settings: the SHA-256 of the weights beside it, '' without.
    """

    def __init__(self, path: Path, *, weights: Path | None = None, threads: int = 1) -> None:
        """path: an ONNX file.

        weights: None for a network of two pictures (1, 3, H, W) float32, R'G'B' in -1..1, that gives their distance.
        Else an NPZ file with the weights (C,) of each output, by its name, of a backbone: it takes one picture,
        (values - SHIFT) / SCALE, and gives features (1, C, h, w). Weights are factors of squared differences, as the
        package ``lpips`` holds them. A network may fix H and W; else pictures are taken at their size.
        threads: of ONNX Runtime, 0 for one per core. Raises ModelError when a file cannot be read or run, takes and
        gives something else, or does not give 0 for equal pictures alone.
        """
        self._what = f"the LPIPS network {path.name}"
        self._session, self.sha256 = opened(self._what, path, threads=threads)
        inputs = self._session.get_inputs()
        count = 2 if weights is None else 1
        fits = len(inputs) == count and all(map(_takes_pictures, inputs))
        # A side that is left open has a name in place of a number.
        sides = [
            {item.shape[axis] for item in inputs if isinstance(item.shape[axis], int)} if fits else set()
            for axis in (2, 3)
        ]
        if not fits or max(map(len, sides)) > 1:
            raise _takes(self._what, inputs, f"{count} x (B, 3, H, W) float32, B open or 1")
        self._inputs = [str(item.name) for item in inputs]
        self._height, self._width = (next(iter(side), None) for side in sides)
        names = [str(item.name) for item in self._session.get_outputs()]
        self._weights = None if weights is None else _weights(weights, names)
        self.settings = "" if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
        noise = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
        itself = self(noise[0], noise[0])
        if abs(itself) > 1e-4:
            raise ModelError(f"{self._what} must give 0 for a picture and itself, got {itself:.4g}")
        apart = self(noise[0], noise[1])
        if not apart > 1e-4:
            # An export that was shown one tensor twice looks at its first input only.
            raise ModelError(
                f"{self._what} must tell two pictures apart, got {apart:.4g} for noise and other noise"
            )

    def __call__(self, before: Bytes, after: Bytes) -> float:
        """Return the distance of two pictures (H, W, 3) uint8 R'G'B' of one shape.

        Raises ValueError for other pictures, ModelError when the network fails or gives anything but one finite number.
        """
        if before.shape != after.shape or before.ndim != 3 or before.shape[2] != 3:
            raise ValueError(f"pictures must be of one shape (H, W, 3), got {before.shape} and {after.shape}")
        first, second = (self._values(one) for one in (before, after))
        if self._weights is not None:
            return backbone_distance(self._features(first), self._features(second), self._weights)
        found = np.asarray(
            _run(self._what, self._session, dict(zip(self._inputs, (first, second), strict=True)))[0]
        )
        if found.size != 1 or not np.isfinite(found).all():
            raise ModelError(f"{self._what} must give one finite number for two pictures, got {_said(found)}")
        return float(found.reshape(-1)[0])

    def _values(self, picture: Bytes) -> Floats:
        height, width = picture.shape[:2]
        share = min(1.0, LARGEST / max(height, width))
        size = self._width or round(width * share), self._height or round(height * share)
        values = (
            _resized(picture, (max(1, size[0]), max(1, size[1]))).astype(np.float32) / np.float32(127.5) - 1
        )
        if self._weights is not None:
            values = (values - SHIFT) / SCALE
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def _features(self, values: Floats) -> list[Floats]:
        assert self._weights is not None
        found = [np.asarray(one) for one in _run(self._what, self._session, {self._inputs[0]: values})]
        for features, weights in zip(found, self._weights, strict=True):
            if (
                features.ndim != 4
                or features.shape[:2] != (1, len(weights))
                or not np.isfinite(features).all()
            ):
                raise ModelError(
                    f"{self._what} must give finite features (1, {len(weights)}, h, w), got {_said(features)}"
                )
        return found


def backbone_distance(first: Sequence[Floats], second: Sequence[Floats], weights: Sequence[Floats]) -> float:
    """Return the LPIPS of two pictures' features: per layer (1, C, h, w) each, and weights (C,).

    The sum over layers of the mean over places of sum_c w_c (f_c / |f| - g_c / |g|)^2, with lengths over channels.
    """
    total = 0.0
    for f, g, w in zip(first, second, weights, strict=True):
        a, b = (one / (np.sqrt(np.square(one).sum(1, keepdims=True)) + 1e-10) for one in (f, g))
        total += float((np.square(a - b) * w[None, :, None, None]).sum(1).mean())
    return total


class Inception:
    """Inception's features of whole pictures, over which distances of sets are called FID and KID.

    sha256: of the ONNX file. settings: how it takes pictures. note: what the settings say of it.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """path: an ONNX file, (B, 3, S, S) float32 to the last pooling layer, (B, 2048) or (B, 2048, 1, 1).

        A TOML file of the same name beside it may say size (299 by default), channels, mean, scale and note, see
        ``onnx_file.Settings``; values are -1..1 by default. threads: of ONNX Runtime, 0 for one per core. Raises
        ModelError when the file cannot be read or run or takes and gives something else, and for its settings as
        ``Settings.load`` does.
        """
        self._what = f"the Inception network {path.name}"
        beside = path.with_suffix(".toml")
        may = ("size", "channels", "mean", "scale", "note")
        self._settings = (
            Settings.load(beside, size=INCEPTION_SIDE, only=may)
            if beside.exists()
            else Settings(size=INCEPTION_SIDE)
        )
        self.note, self.settings = self._settings.note, repr(self._settings)
        self._session, self.sha256 = opened(self._what, path, threads=threads)
        inputs, side = self._session.get_inputs(), self._settings.size
        open_or_side = all(
            not isinstance(given, int) or given == side for item in inputs for given in item.shape[2:]
        )
        if len(inputs) != 1 or not _takes_pictures(inputs[0]) or not open_or_side:
            raise _takes(self._what, inputs, f"(B, 3, {side}, {side}) float32, B open or 1")
        self._input = str(inputs[0].name)
        self._step = 1 if inputs[0].shape[0] == 1 else _BATCH
        self(np.zeros((2, side, side, 3), np.uint8))

    def __call__(self, pictures: Sequence[Bytes] | Bytes) -> Floats:
        """Return the features (N, 2048) float32 of pictures (H, W, 3) uint8 R'G'B', each resized to the network's size.

        Raises ModelError when the network fails or gives anything but so many finite numbers.
        """
        size = self._settings.size, self._settings.size
        parts = [np.zeros((0, WIDTH), np.float32)]
        for start in range(0, len(pictures), self._step):
            some = np.stack([_resized(one, size) for one in pictures[start : start + self._step]])
            found = np.asarray(_run(self._what, self._session, {self._input: self._settings.values(some)})[0])
            if (
                found.shape not in ((len(some), WIDTH), (len(some), WIDTH, 1, 1))
                or not np.isfinite(found).all()
            ):
                raise ModelError(
                    f"{self._what} must give finite features ({len(some)}, {WIDTH}), got {_said(found)}"
                )
            parts.append(found.reshape(len(some), WIDTH).astype(np.float32))
        return np.concatenate(parts)


def figures(
    items: Sequence[Item],
    after: Sequence[Bytes],
    *,
    lpips: Lpips | None = None,
    inception: Inception | None = None,
    before: Floats | None = None,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return how far whole pictures and their set moved, to the networks that there are.

    lpips: mean distance, of pictures at least 64 px wide and high. fid: Frechet distance over Inception's features.
    kid: kernel distance, times 1000. Both are of a set, without intervals, and only of two pictures and more. before:
    Inception's features of the originals, taken here when not given.
    """
    found: dict[str, Figure] = {}
    if lpips is not None:
        kept = [row for row, view in enumerate(after) if min(view.shape[:2]) >= SMALLEST]
        values = np.array([lpips(items[row].picture, after[row]) for row in kept], np.float64)
        found["lpips"] = mean_over_people(values, [items[row].person for row in kept], seed=seed)
    if inception is not None and len(items) > 1:
        first = inception([item.picture for item in items]) if before is None else before
        second = inception(after)
        distances = {
            "fid": quality.frechet_distance(first, second),
            "kid": 1000 * quality.kernel_distance(first, second, seed=seed),
        }
        found |= {name: Figure(value, nan, nan, len(second)) for name, value in distances.items()}
    return found


def warning(count: int) -> str:
    """Return what readers of FID and KID over ``count`` pictures must know."""
    told = f"FID and KID rest on {count:,} pictures."
    if count >= LEAST_IMAGES:
        return told
    return (
        f"{told} FID is too high for few: below {LEAST_IMAGES:,} pictures compare it within this report only. KID is "
        "not biased so."
    )


def _takes_pictures(item: Any) -> bool:
    """Whether an input of a network is (B, 3, H, W) float32, with a batch that is open or one."""
    shape = item.shape
    if len(shape) != 4 or item.type != "tensor(float)":
        return False
    batch, channels = shape[:2]
    return (not isinstance(batch, int) or batch == 1) and (not isinstance(channels, int) or channels == 3)


def _takes(what: str, inputs: Sequence[Any], must: str) -> ModelError:
    got = ", ".join(f"{item.shape} {item.type}" for item in inputs)
    return ModelError(f"{what} must take {must}, got {got}")


def _said(values: npt.NDArray[Any]) -> str:
    numbers = "" if np.isfinite(values).all() else ", not all finite"
    return f"{values.shape}{numbers}"


def _run(what: str, session: Any, feeds: Mapping[str, Floats]) -> Sequence[Any]:
    try:
        outputs: Sequence[Any] = session.run(None, dict(feeds))
    except Exception as error:
        raise ModelError(f"{what} cannot be run: {error}") from error
    return outputs


def _resized(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """Return the picture at (width, height): averaged where it shrinks, else between pixels."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    shrinks = size[0] <= width and size[1] <= height
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def _weights(path: Path, names: Sequence[str]) -> list[Floats]:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: np.asarray(file[name], np.float32).reshape(-1) for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"the weights {path.name} cannot be read: {error}") from error
    if sorted(found) != sorted(names):
        raise ModelError(
            f"the weights {path.name} must be of the outputs {', '.join(names)}, got {', '.join(sorted(found))}"
        )
    for name, values in found.items():
        if not len(values) or not np.isfinite(values).all() or values.min() < 0:
            raise ModelError(f"the weights {name} in {path.name} must be finite and at least 0")
    return [found[name] for name in names]
