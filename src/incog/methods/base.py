"""The contract of all methods: one function of aligned crops and keys, with claims that name their conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from incog.types import Crops, Floats, Key


@dataclass(frozen=True, slots=True)
class Check:
    """How an evaluation tries to refute a claim.

    kind: ``span``: results of one geometry span at most ``bound`` dimensions, whatever the faces; ``epsilon``: one
    frame is ``bound``-differentially private for crops that differ in ``pixels`` pixels, 0 for any two crops;
    ``k-anonymity``: each result stands for at least ``bound`` people.
    """

    kind: Literal["span", "epsilon", "k-anonymity"]
    bound: float
    pixels: int = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that a method promises, or openly does not.

    statement: one sentence. holds: False for a warning (the method is weak here). scope: what it covers.
    conditions: what must be true for it. value: the figure, where the claim has one (an epsilon, a k). check: how it is
    audited; None where nothing but attacks can tell.
    """

    statement: str
    holds: bool
    scope: str
    conditions: tuple[str, ...] = ()
    value: float | None = None
    check: Check | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """pixels: (B, S, S, 3) float32 in 0..1, the new crops. unfit: (B,) bool, True where the method cannot do this face;
    the pipeline then obscures the whole track instead."""

    pixels: Floats
    unfit: npt.NDArray[np.bool_]


class Method(Protocol):
    """A de-identification method. Its parameters are the fields of a frozen dataclass, checked when it is built."""

    name: ClassVar[str]
    """As the user types it, lower case with hyphens."""
    family: ClassVar[str]
    summary: ClassVar[str]
    """One line for the method table."""
    hides_from: ClassVar[str]
    """From whom it hides: people, recognisers, retrained recognisers; the honest short form."""
    weak: ClassVar[str]
    """A warning that is shown when the method is chosen, or empty."""
    needs: ClassVar[tuple[str, ...]]
    """Names of the models that it uses."""
    granularity: ClassVar[Literal["image", "track", "set"]]
    reversible: ClassVar[bool]
    keyed: ClassVar[bool]
    """True when the key changes the result."""

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track; epsilons are composed over them."""

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops. ``keys`` has one track key per crop; input arrays are not changed.

        Pixels where ``crops.masks`` is 0 come back unchanged. A crop's result depends on that crop, its key and its
        frame index alone, not on the batch.
        """


@runtime_checkable
class PersonMethod(Method, Protocol):
    """A method that draws a person from a key: the same key and look, the same person, in whatever picture."""

    def likeness(self, key: Key, look: Floats) -> Floats:
        """Return what the package's recogniser makes of the person of a key and a look, (9,): (D,) float32 of unit
        norm, to be compared by the thresholds of ``incog.perceive.calibration``."""


class SetMethod(Method, Protocol):
    """A method whose result for a face depends on a set of people: it is fitted to them, and hides them alone."""

    k: int
    """People who get the same face, at least."""

    def fit(self, crops: Iterable[Crops], people: Sequence[str]) -> SetMethod:
        """Return the method fitted to crops, in batches, and who each shows. Raises InputError for too few people."""

    def group(self, crop: Crops) -> int | None:
        """Return the group that a crop (a batch of one) was put into, or None."""

    @property
    def faces(self) -> Sequence[Floats]:
        """The face of each group in the template, (side, side, 3) float32 in 0..1."""

    @property
    def members(self) -> Sequence[int]:
        """How many people are in each group."""
