"""Family ``subspace``: faces as points of a linear space, moved there. See also ``incog.methods.k_same``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from incog.keys import Stream
from incog.methods import eigenspace
from incog.methods.aligned import SOFT_CONDITION, Aligned, inner, relit
from incog.methods.base import Check, Claim
from incog.methods.eigenspace import COUNT, NAME
from incog.methods.parameters import Parameter
from incog.methods.per_crop import CROP_CONDITION, REST_CONDITION, rest_of, scope_of
from incog.types import Floats, Key

Mode = Literal["keep", "drop", "scale", "gaussian", "laplace", "flip"]

LEVELS = 1024
"""Steps from 0 to the limit of a coordinate, for noise on whole numbers."""


@dataclass(frozen=True)
class Pca(Aligned):
    """Coefficients of eigenfaces, y = W (x - mean), changed; x' = mean + W' y'.

    keep: y' = y, ``modes`` of them. drop: the ``lead`` leading ones are 0. scale: y' = beta y. gaussian: y' = y +
    N(0, sigma^2 diag(l)), l the variances of faces. laplace: y is clipped to B = ``limit`` deviations, then y' = y +
    Laplace(2 B r / epsilon), r modes, and clipped again; steps of B / 1024 and discrete noise. flip: y' = s y, signs s
    from the key. scale, gaussian and flip leave the ``lead`` leading ones, which carry light and tone.
    """

    name: ClassVar[str] = "pca"
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str] = "coefficients of eigenfaces, changed"
    hides_from: ClassVar[str] = "simple recognisers; with mode laplace and a small epsilon, anyone"
    weak: ClassVar[str] = (
        "Most modes keep what identifies: faces of few coefficients are still recognised, dropped leading ones leave "
        "all detail, noise averages out, and flipped signs leave every magnitude to compare. Only laplace promises "
        "something, and then draws a face that is hardly related to the original."
    )
    needs: ClassVar[tuple[str, ...]] = (NAME,)
    keyed: ClassVar[bool] = True

    mode: Annotated[Mode, Parameter("what is done to the coefficients")] = "flip"
    modes: Annotated[int, Parameter("coefficients that are used", 1, COUNT)] = 60
    lead: Annotated[
        int, Parameter("leading coefficients that are dropped, or left as they are", 0, COUNT)
    ] = 5
    beta: Annotated[float, Parameter("factor of mode scale", 0, 1)] = 0.3
    sigma: Annotated[float, Parameter("noise of mode gaussian", 0, 10, unit="deviations of faces")] = 1.0
    epsilon: Annotated[float, Parameter("privacy loss of a frame in mode laplace", 0.001, 10000)] = 1.0
    limit: Annotated[
        float, Parameter("largest coefficient in mode laplace", 0.1, 10, unit="deviations of faces")
    ] = 1.0
    light: Annotated[float, Parameter("share of the original's mean colour and contrast", 0, 1)] = 0.0
    residual: Annotated[float, Parameter("share of what the coefficients leave over", 0, 1)] = 0.0

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        scope = scope_of(frames)
        told = [Claim(self._told(), holds=False, scope=scope, conditions=(SOFT_CONDITION, CROP_CONDITION))]
        if self.mode == "laplace":
            told.insert(0, self._private(frames, scope))
        return (*told, rest_of(frames))

    def _told(self) -> str:
        if self.mode == "laplace":
            return (
                f"{self.modes} coefficients share the epsilon: the smaller it is, the less the face has to do with the "
                "original, also in age, gender and expression."
            )
        if self.mode == "flip":
            return (
                f"The key alone undoes the flips, up to what {self.modes} coefficients leave out and clipping cut off; "
                "without it their magnitudes and the leading ones can still be compared."
            )
        return {
            "keep": f"The {self.modes} largest coefficients of the face come through, and can be recognised.",
            "drop": "All of the face but its light and coarsest shape comes through, and can be recognised.",
            "scale": "Dividing by beta brings the coefficients back.",
            "gaussian": "The noise is the same in all frames of a track; results with other keys average.",
        }[self.mode]

    def _private(self, frames: int, scope: str) -> Claim:
        if self.light or self.residual:
            came = " and ".join(
                word for word, share in (("light", self.light), ("residual", self.residual)) if share
            )
            return Claim(
                f"No epsilon is claimed: the {came} of the original comes through without noise.",
                holds=False,
                scope=scope,
                conditions=("light and residual are 0: then it is", CROP_CONDITION, REST_CONDITION),
            )
        total = self.epsilon * frames
        return Claim(
            f"The masked pixels are {total:g}-differentially private for any two faces: {self.epsilon:g} per frame.",
            holds=True,
            scope=scope,
            conditions=(
                "where the mask is 1: its feather blends with the surroundings",
                "both faces have the same points, box and mask: detection and alignment are not private",
                "each frame is rendered once with a secret; a second rendering, or a second mask over the same face, "
                "adds its epsilon",
                "no face was filled because it was left almost as it was or still recognised: that choice reads the "
                "original (--no-compare does without the latter)",
                "the key is secret, and the sampler's probabilities are exact to 2**-52",
            ),
            value=total,
            check=Check("epsilon", self.epsilon, 0),
        )

    def change(self, face: Floats, key: Key, frame: int) -> Floats:
        basis = eigenspace.shipped()
        codes = basis.encode(face, self.modes)
        new = basis.decode(self.moved(codes, basis.deviations[: self.modes], key, frame))
        if self.residual:
            new = new + np.float32(self.residual) * (face - basis.decode(codes))
        return relit(new, face, self.light, weight=inner(self.side))

    def moved(self, codes: Floats, deviations: Floats, key: Key, frame: int) -> Floats:
        """Return the coefficients (r,) after the change. deviations: (r,), of faces along each mode."""
        if self.mode == "keep":
            return codes
        if self.mode == "laplace":
            return self._noised(codes, deviations, key, frame)
        moved = codes.copy()
        rest = slice(self.lead, None)
        stream = Stream(key, self.name, self.mode, repr((self.modes, self.lead, self.sigma)))
        if self.mode == "drop":
            moved[: self.lead] = 0
        elif self.mode == "scale":
            moved[rest] *= np.float32(self.beta)
        elif self.mode == "gaussian":
            noise = stream.normal(len(codes)) * self.sigma * deviations
            moved[rest] += noise[rest].astype(np.float32)
        else:
            moved[rest] *= stream.signs(len(codes))[rest]
        return moved

    def _noised(self, codes: Floats, deviations: Floats, key: Key, frame: int) -> Floats:
        bounds = np.float32(self.limit) * deviations
        whole = np.rint(np.clip(codes / bounds, -1, 1) * LEVELS).astype(np.int64)
        # The settings are part of the scope: the same noise under another scale would cancel out.
        stream = Stream(key, self.name, frame, repr((self.modes, self.epsilon, self.limit)))
        noisy = whole + stream.discrete_laplace(self.noise, len(whole))
        # Clipped once more, which costs no privacy: far out there are no faces.
        return np.asarray(np.clip(noisy / LEVELS, -1, 1) * bounds, np.float32)

    @property
    def noise(self) -> float:
        """The scale of the noise of each of r coordinates in steps: each may change by 2 B, and has epsilon / r."""
        return 2 * LEVELS * self.modes / self.epsilon


@dataclass(frozen=True)
class Svd(Aligned):
    """SVD-DID (Chriskos, Mygdalis and Pitas; equations reconstructed): X = U diag(s) V' of each channel, changed.

    drop: s_i = 0 for the ``count`` largest. keep: for all others. attenuate: the ``count`` largest times beta. smooth:
    U and V under a circular moving average of ``width`` pixels. After drop and attenuate, mean and contrast of the face
    are restored. A frame depends on itself alone: where the paper smooths singular values over a track, here the same
    operation is done in every frame, and nothing is kept between them. Signs of singular vectors do not matter, since
    they are changed in pairs.
    """

    name: ClassVar[str] = "svd"
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str] = "singular values or vectors of the face, changed (SVD-DID)"
    hides_from: ClassVar[str] = "simple recognisers; people are meant to recognise the person"
    weak: ClassVar[str] = (
        "It was made for people to recognise the face while recognisers of 2016 fail; networks are far more robust, "
        "and retraining on its results defeats it. Nothing formal is promised."
    )
    side: ClassVar[int] = 128

    mode: Annotated[
        Literal["drop", "keep", "attenuate", "smooth"], Parameter("what is done to the decomposition")
    ] = "drop"
    count: Annotated[int, Parameter("leading singular values that are meant", 1, 64)] = 3
    beta: Annotated[float, Parameter("factor of mode attenuate", 0, 1)] = 0.2
    width: Annotated[int, Parameter("pixels of 128 across the template, of mode smooth", 1, 64)] = 15

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        left = {
            "drop": f"All but {self.count} of 128 singular values of each channel come through.",
            "keep": f"{self.count} of 128 singular values of each channel come through, with their vectors.",
            "attenuate": "All singular values come through, some of them scaled.",
            "smooth": "All singular values come through; the moving average can be undone but for noise.",
        }[self.mode]
        return (
            Claim(left, holds=False, scope=scope_of(frames), conditions=(CROP_CONDITION, REST_CONDITION)),
            rest_of(frames),
        )

    def change(self, face: Floats, key: Key, frame: int) -> Floats:
        new = self.decomposed(face)
        return relit(new, face) if self.mode in ("drop", "attenuate") else new

    def decomposed(self, face: Floats) -> Floats:
        """Return the face (S, S, 3) with its changed decomposition, before mean and contrast are restored."""
        left, values, right = np.linalg.svd(np.moveaxis(face, 2, 0), full_matrices=False)
        if self.mode == "smooth":
            left = circular_mean(left, self.width)
            right = circular_mean(right.transpose(0, 2, 1), self.width).transpose(0, 2, 1)
        elif self.mode == "keep":
            values[:, self.count :] = 0
        else:
            values[:, : self.count] *= 0 if self.mode == "drop" else np.float32(self.beta)
        return np.asarray(np.moveaxis((left * values[:, None]) @ right, 0, 2), np.float32)


@dataclass(frozen=True)
class Hypersphere(Aligned):
    """Hypersphere projection (Chriskos, Zoidi, Tefas and Pitas 2015; form reconstructed): x' = c + R (x - c) / |x - c|.

    c: the mean of training faces, or the centre of the smallest sphere that holds 95 % of them (SVDD). R is relative to
    the mean distance of faces from c; the paper's radius of 8 on 64 x 64 grey pixels means a deviation of 0.125.
    """

    name: ClassVar[str] = "hypersphere"
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str] = "every face at the same small distance from the mean face"
    hides_from: ClassVar[str] = (
        "classifiers that go by distance; not from recognisers that compare directions"
    )
    weak: ClassVar[str] = (
        "Only the distance from the mean face changes, not the direction: a recogniser that compares centred "
        "directions is not affected at all, and whoever knows the mean undoes it but for one number and rounding."
    )
    needs: ClassVar[tuple[str, ...]] = (NAME,)

    centre: Annotated[Literal["mean", "svdd"], Parameter("centre of the sphere")] = "mean"
    radius: Annotated[float, Parameter("radius", 0, 1, unit="mean distances of faces from the centre")] = 0.5

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                "A recogniser that compares directions from the centre is not affected: they are the original's.",
                holds=False,
                scope=scope_of(frames),
                conditions=("the radius is above 0", CROP_CONDITION, REST_CONDITION),
                value=self.radius,
            ),
            Claim(
                "It is not hard to undo: whoever knows the centre, which ships with this package, needs one number.",
                holds=False,
                scope=scope_of(frames),
                conditions=(
                    "rounding to 8 bits is all that is lost where nothing is clipped",
                    SOFT_CONDITION,
                ),
            ),
            rest_of(frames),
        )

    def change(self, face: Floats, key: Key, frame: int) -> Floats:
        basis = eigenspace.shipped()
        by_mean = self.centre == "mean"
        centre = (basis.mean if by_mean else basis.centre).reshape(face.shape)
        return projected(face, centre, self.radius * basis.reach[0 if by_mean else 1])


def projected(face: Floats, centre: Floats, radius: float) -> Floats:
    """Return the face (S, S, 3) moved along its direction from the centre to a distance of ``radius``."""
    away = face - centre
    distance = max(float(np.linalg.norm(away)), 1e-9)
    return np.asarray(centre + np.float32(radius / distance) * away, np.float32)


def circular_mean(vectors: Floats, width: int) -> Floats:
    """Return (C, S, K) vectors under a circular moving average of ``width`` along the second axis."""
    size = vectors.shape[1]
    window = np.zeros(size, np.float32)
    window[:width] = 1 / width
    kernel = np.fft.rfft(np.roll(window, -(width // 2)))
    smooth = np.fft.irfft(np.fft.rfft(vectors, axis=1) * kernel[:, None], size, axis=1)
    return np.asarray(smooth, np.float32)
