"""Family ``obscure``, the keyed ones: noise over the face, and the mosaic with differential privacy.

The grain of a noise is a share of the face, not a pixel of the crop: crops are larger than small faces, and
noise finer than the picture's pixels would average out on the way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from incog.keys import Stream
from incog.methods.base import Check, Claim
from incog.methods.obscure import block_side, block_sums, spread
from incog.methods.parameters import Parameter
from incog.methods.per_crop import CROP_CONDITION, REST_CONDITION, PerCrop, scope_of
from incog.types import Floats, Key

_SAME_PATTERN = (
    "all frames of a track have the same pattern, so averaging frames does not remove it, "
    "as long as the size of the face in the crop stays the same"
)
_CHANNELS = 3


@dataclass(frozen=True)
class GaussianNoise(PerCrop):
    """Additive Gaussian noise: x' = clip(x + N(0, sigma^2)), independent in every grain and channel."""

    name: ClassVar[str] = "gaussian-noise"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "additive Gaussian noise, one pattern per track"
    hides_from: ClassVar[str] = "simple recognisers; not from people, denoising or retrained recognisers"
    weak: ClassVar[str] = (
        "Noise leaves the coarse structure of the face: a network trained to undo it came within a "
        "perceptual distance (LPIPS) of 0.12 of the original, where 0 is equal (Gu et al., 2020, table 2)."
    )
    keyed: ClassVar[bool] = True

    sigma: Annotated[float, Parameter("standard deviation", 0.05, 10, unit="of the range 0 to 1")] = 0.55
    grain: Annotated[float, Parameter("side of a grain", 0.004, 0.25, unit="of the face")] = 0.02

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"Noise of standard deviation {self.sigma:g} lies over the face; its coarse structure stays.",
                holds=False,
                scope=scope_of(frames),
                conditions=(_SAME_PATTERN, CROP_CONDITION, REST_CONDITION),
                value=self.sigma,
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        side, cells = grains(self.grain, face, len(pixels))
        noise = (
            Stream(key, self.name, repr((self.sigma, self.grain))).normal((cells, cells, _CHANNELS))
            * self.sigma
        )
        return pixels + spread(noise, side, len(pixels))


@dataclass(frozen=True)
class ImpulseNoise(PerCrop):
    """Impulse noise: with probability ``share`` a grain becomes black or white, each with probability 1/2."""

    name: ClassVar[str] = "impulse-noise"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "black and white specks, one pattern per track"
    hides_from: ClassVar[str] = "simple recognisers; not from people, median filters or retrained recognisers"
    weak: ClassVar[str] = (
        "What is between the specks stays as it is: a median filter or a trained network fills the rest in, "
        "as for other noise (LPIPS 0.12 to the original, where 0 is equal; Gu et al., 2020, table 2)."
    )
    keyed: ClassVar[bool] = True

    share: Annotated[float, Parameter("share of the grains that are replaced", 0.01, 1)] = 0.7
    grain: Annotated[float, Parameter("side of a grain", 0.004, 0.25, unit="of the face")] = 0.02

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"About {1 - self.share:.0%} of the face's pixels come through unchanged.",
                holds=False,
                scope=scope_of(frames),
                conditions=(_SAME_PATTERN, CROP_CONDITION, REST_CONDITION),
                value=1 - self.share,
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        side, cells = grains(self.grain, face, len(pixels))
        chance = spread(
            Stream(key, self.name, repr((self.share, self.grain))).uniform((cells, cells, 1)),
            side,
            len(pixels),
        )
        speck = np.where(chance < self.share / 2, np.float32(0), np.float32(1))
        return np.where(chance < self.share, speck, pixels)


@dataclass(frozen=True)
class DpPixelate(PerCrop):
    """DP-Pix (Fan 2018): a mosaic whose blocks have Laplace noise, epsilon-differentially private per frame.

    Neighbouring images differ in at most ``pixels`` pixels (m) of the crop, each in all three channels.
    Pixels are rounded to 8 bits, so the sums over the blocks of one channel differ by at most 255 m together.
    A frame's epsilon is split evenly over the three channels (sequential composition); the noise on a block's
    integer sum is discrete Laplace of scale 255 m / (epsilon / 3). In a whole block of b x b pixels, the mean
    has noise of Fan's scale 255 m / (b^2 epsilon') with epsilon' = epsilon / 3. Division, clipping and all
    that follows is post-processing. Noise is fresh in every frame, so n frames of a track compose to n
    epsilon.
    """

    name: ClassVar[str] = "dp-pixelate"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "mosaic with Laplace noise: differentially private for m pixels (DP-Pix)"
    hides_from: ClassVar[str] = "anyone, for changes of up to m pixels; whole faces are larger than that"
    weak: ClassVar[str] = (
        "The epsilon is for images that differ in m pixels, not for whole faces, and adds up over the frames "
        "of a video; beyond that it is a mosaic, from which retrained recognisers named 71 % of people at "
        "the first guess (McPherson, Shokri and Shmatikov, 2016)."
    )
    keyed: ClassVar[bool] = True

    epsilon: Annotated[float, Parameter("privacy loss of a frame, all channels together", 0.001, 1000)] = 1.0
    pixels: Annotated[int, Parameter("m: pixels in which neighbouring images may differ", 1, 1_000_000)] = 16
    blocks: Annotated[int, Parameter("blocks across the longer side of the face", 1, 64)] = 8

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        total = self.epsilon * frames
        return (
            Claim(
                f"The masked pixels are {total:g}-differentially private for images that differ in at most "
                f"m = {self.pixels} pixels of the crop: {self.epsilon:g} per frame.",
                holds=True,
                scope=scope_of(frames),
                conditions=(
                    "the m pixels lie where the mask is 1",
                    "where the crop enlarges the face, a pixel of the frame is several of the crop's",
                    "both images have the same box, tilt and mask: detection and alignment are not private",
                    "each frame is rendered once with a secret; a second rendering, or a second mask over "
                    "the same face, adds its epsilon",
                    "the key is secret, and the sampler's probabilities are exact to 2**-52",
                ),
                value=total,
                check=Check("epsilon", self.epsilon, self.pixels),
            ),
            Claim(
                f"Two faces differ in far more than {self.pixels} pixels; for k times as many pixels the "
                "epsilon is k times as large.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        size = len(pixels)
        side = block_side(face, self.blocks, size)
        levels = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.int64)
        sums, counts = block_sums(levels, side)
        # The settings are part of the scope: the same noise under another scale or grid would cancel out.
        stream = Stream(key, self.name, frame, size, side, self.pixels, repr(self.epsilon))
        noise = stream.discrete_laplace(self.scale, sums.shape)
        return spread((sums + noise) / (255 * counts[..., None]), side, size)

    @property
    def scale(self) -> float:
        """The scale of the noise on the sum of a block's 8-bit levels in one channel."""
        return 255 * self.pixels * _CHANNELS / self.epsilon


def grains(grain: float, face: float, size: int) -> tuple[int, int]:
    """Return the side of a grain in pixels, and how many of them cover the crop's side."""
    side = min(size, max(1, round(grain * face)))
    return side, -(-size // side)
