"""Family ``obscure``, the drawn ones: superpixels, edges, cartoon. They keep more than they seem to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
from skimage.segmentation import slic

from incog.errors import must_be
from incog.methods.base import Claim
from incog.methods.parameters import Parameter
from incog.methods.per_crop import CROP_CONDITION, LUMA, REST_CONDITION, PerCrop, scope_of, window_of
from incog.types import Floats, Key

# Magnitude that the strongest gradient gets in 16-bit integers: its square and sums of squares fit into 32
# bits.
_TOP = 20000
# A gradient of one 8-bit level per pixel (Sobel's weights add up to 8): below it there are no edges, only
# rounding.
_LEAST = 8 / 255
# The size of face that the bilateral filter's published numbers (d = 9, sigma 7 px at 128 px crops) belong
# to.
_CARTOON_FACE = 72
_CARTOON_BLOCK = 0.13


@dataclass(frozen=True)
class Superpixel(PerCrop):
    """SLIC superpixels (Achanta et al. 2012), each in the mean of its pixels; on L*a*b*, 10 iterations."""

    name: ClassVar[str] = "superpixel"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "regions of like colour, each in its mean"
    hides_from: ClassVar[str] = "people at a glance; not from retrained recognisers or restoration"
    weak: ClassVar[str] = (
        "The borders of the regions draw the face: a network trained to undo superpixels came within a "
        "perceptual distance (LPIPS) of 0.09 of the original, where 0 is equal (Gu et al., 2020, table 2)."
    )

    segments: Annotated[int, Parameter("regions in a square as large as the face", 1, 1000)] = 40
    compactness: Annotated[float, Parameter("weight of nearness against likeness of colour", 0.1, 100)] = 10.0

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"About {self.segments} colours of the face come through in a frame, with their outlines.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=float(self.segments),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        # SLIC is slow, so it sees the masked part alone, with a region's width around it.
        step = face / self.segments**0.5
        window = window_of(mask, round(step))
        part = pixels[window]
        height, width = part.shape[:2]
        count = max(1, round(height * width / step**2))
        labels = slic(part, count, self.compactness, max_num_iter=10, start_label=0, channel_axis=-1)
        flat = labels.ravel()
        areas = np.bincount(flat)
        means = [np.bincount(flat, part[..., channel].ravel()) / areas for channel in range(3)]
        drawn = pixels.copy()
        drawn[window] = np.stack(means, axis=1)[labels]
        return drawn


@dataclass(frozen=True)
class Edges(PerCrop):
    """Edge map, white on black: luma, Gaussian, Sobel, thinning and hysteresis (Canny 1986)."""

    name: ClassVar[str] = "edges"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "white outlines on black"
    hides_from: ClassVar[str] = "simple recognisers; not from acquaintances or retrained recognisers"
    weak: ClassVar[str] = (
        "The places of eyes, nose, mouth and chin survive as lines; a network trained to undo edge maps came "
        "within a perceptual distance (LPIPS) of 0.25 of the original, where 0 is equal (Gu et al., 2020)."
    )

    sigma: Annotated[
        float, Parameter("standard deviation of the smoothing", 0.005, 0.2, unit="of the face")
    ] = 0.015
    low: Annotated[float, Parameter("edges that continue one, from this share of the strongest", 0, 1)] = 0.1
    high: Annotated[float, Parameter("edges that start one, from this share of the strongest", 0, 1)] = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise must_be("edges: low", f"at most high, which is {self.high:g}", self.low)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                "Colours and shading do not survive, the outlines and proportions of the face do.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        luma = cv2.GaussianBlur(pixels @ LUMA, (0, 0), self.sigma * face, borderType=cv2.BORDER_REFLECT)
        across = cv2.Sobel(luma, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
        down = cv2.Sobel(luma, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
        # The strongest edge of the face counts: a brighter one beside it must not put the face's edges out.
        strongest = max(_LEAST, float(np.hypot(across, down)[mask > 0].max()))
        dx, dy = (
            np.clip(np.rint(d * (_TOP / strongest)), -_TOP, _TOP).astype(np.int16) for d in (across, down)
        )
        lines = cv2.Canny(dx, dy, self.low * _TOP, self.high * _TOP, L2gradient=True)
        return np.repeat((lines > 0).astype(np.float32)[..., None], 3, axis=2)


@dataclass(frozen=True)
class Cartoon(PerCrop):
    """Cartoon: repeated bilateral filter (Tomasi and Manduchi 1998), few levels per channel, dark outlines.

    The filter (d = 9, sigma 0.1 in colour, 7 in space) runs on a copy where the face is at most 72 px large.
    """

    name: ClassVar[str] = "cartoon"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "flat colours and dark outlines"
    hides_from: ClassVar[str] = "hardly anyone: likeness is what a cartoon keeps"
    weak: ClassVar[str] = (
        "A cartoon keeps outlines, proportions and colours, more than superpixels do, from which a trained "
        "network came within a perceptual distance (LPIPS) of 0.09 of the original (Gu et al., 2020)."
    )

    passes: Annotated[int, Parameter("how often the bilateral filter is applied", 1, 20)] = 5
    levels: Annotated[int, Parameter("levels per colour channel", 2, 64)] = 8

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"Fine texture does not survive; outlines and {self.levels} levels per colour channel do.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=float(self.levels),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        size = len(pixels)
        small_size = max(8, round(size * min(1.0, _CARTOON_FACE / face)))
        smooth = cv2.resize(pixels, (small_size, small_size), interpolation=cv2.INTER_AREA)
        for _ in range(self.passes):
            smooth = cv2.bilateralFilter(smooth, 9, 0.1, 7)
        smooth = cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR)
        luma = np.rint(np.clip(smooth @ LUMA, 0, 1) * 255).astype(np.uint8)
        block = 2 * round(_CARTOON_BLOCK * face / 2) + 1
        lines = cv2.adaptiveThreshold(
            luma, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, max(3, block), 5
        )
        steps = self.levels - 1
        return np.asarray(np.rint(smooth * steps) / steps * lines[..., None], np.float32)
