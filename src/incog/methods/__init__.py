"""All methods, by name."""

from __future__ import annotations

from collections.abc import Mapping

from incog.methods.appearance import AppearanceReplace, KSameM
from incog.methods.autoencode import Autoencode
from incog.methods.base import Method
from incog.methods.fill import Fill
from incog.methods.generated import Replace
from incog.methods.k_same import KSameEigen, KSameFurthest, KSamePixel, KSameSelect
from incog.methods.k_same_net import KSameNet
from incog.methods.noise import DpPixelate, GaussianNoise, ImpulseNoise
from incog.methods.obscure import Blackout, Blur, Darken, LowResolution, Pixelate
from incog.methods.parameters import parse, unknown
from incog.methods.policies import Blend, Donor
from incog.methods.stylise import Cartoon, Edges, Superpixel
from incog.methods.subspace import Hypersphere, Pca, Svd
from incog.methods.transformer import Transformer

METHODS: dict[str, type[Method]] = {
    "fill": Fill,
    "blackout": Blackout,
    "pixelate": Pixelate,
    "blur": Blur,
    "low-resolution": LowResolution,
    "superpixel": Superpixel,
    "cartoon": Cartoon,
    "edges": Edges,
    "darken": Darken,
    "gaussian-noise": GaussianNoise,
    "impulse-noise": ImpulseNoise,
    "dp-pixelate": DpPixelate,
    "pca": Pca,
    "svd": Svd,
    "hypersphere": Hypersphere,
    "k-same-pixel": KSamePixel,
    "k-same-eigen": KSameEigen,
    "k-same-select": KSameSelect,
    "k-same-furthest": KSameFurthest,
    "k-same-m": KSameM,
    "appearance-replace": AppearanceReplace,
    "autoencode": Autoencode,
    "replace": Replace,
    "donor": Donor,
    "blend": Blend,
    "k-same-net": KSameNet,
    "transformer": Transformer,
}

DEFAULT = "fill"
"""The method that is used when none is named, and for faces that another method finds unfit."""


def make(name: str, settings: Mapping[str, str]) -> Method:
    """Return the method ``name`` with the parameters that ``settings`` holds as text, else with defaults.

    Raises UsageError for unknown names, with the nearest one as hint, and for wrong values.
    """
    return parse(kind_of(name), settings)


def kind_of(name: str) -> type[Method]:
    """Return the class of the method ``name``. Raises UsageError for unknown names, with the nearest one as hint."""
    if name not in METHODS:
        raise unknown("the method", f"one of {', '.join(METHODS)}", name, METHODS)
    return METHODS[name]
