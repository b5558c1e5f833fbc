"""Labels of age, gender, ethnicity and expression, and how far a network's answers are from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from incog.data.faces import Faces
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.perceive.attributes import CLASSES
from incog.train import calibration
from incog.types import Floats

AGES = 101
"""Ages are 0..100 years, one class each; older people count as 100."""

MERGED = {
    "ethnicity": {"latino": "other"},
    "expression": dict.fromkeys(("surprise", "anger", "sadness", "fear", "contempt", "disgust"), "other"),
}
"""Labels of the data that are taken together: too rare to be told apart, or part of UTKFace's "other"."""

GROUPS = ((0, 9), (10, 19), (20, 39), (40, 59), (60, 100))
"""Years, both ends included, by which errors are stated."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """years: (N,) float32, 0..100. classes: by name (N,) int64, places in ``CLASSES``. -1 is unknown everywhere."""

    years: Floats
    classes: dict[str, Integers]

    def of(self, rows: Integers) -> Labels:
        """Return the labels of some rows."""
        return Labels(self.years[rows], {name: codes[rows] for name, codes in self.classes.items()})


class Group(TypedDict):
    """Errors on the test faces of one age group, gender and ethnicity. age_bias: mean of said less labelled years."""

    age: str
    gender: str
    ethnicity: str
    faces: int
    gender_error: float
    ethnicity_error: float
    age_mae: float
    age_bias: float


def labels(faces: Faces) -> Labels:
    """Return the faces' labels. Raises InputError for one that is not known."""
    unknown = [""] * len(faces)
    texts = faces.labels.get("age", unknown)
    years = np.array([float(text) if text else -1.0 for text in texts], np.float32)
    classes: dict[str, Integers] = {}
    for name, kinds in CLASSES.items():
        merged = [MERGED.get(name, {}).get(text, text) for text in faces.labels.get(name, unknown)]
        strange = sorted(set(merged) - {"", *kinds})
        if strange:
            known = ", ".join((*kinds, *MERGED.get(name, ())))
            raise InputError(f"{strange[0]!r} is not a known label of {name}", hint=f"known: {known}")
        places = {"": -1, **{kind: place for place, kind in enumerate(kinds)}}
        classes[name] = np.array([places[text] for text in merged], np.int64)
    return Labels(np.minimum(years, AGES - 1, dtype=np.float32), classes)


def age_targets(years: Floats, spread: float) -> Floats:
    """Return Gaussians of ``spread`` years about the ages, (N, 101) float32 of sum 1; of no meaning where unknown."""
    scale = np.arange(AGES, dtype=np.float32)
    heights = np.exp(-np.square(scale - years[:, None]) / (2 * spread**2))
    return np.asarray(heights / heights.sum(1, keepdims=True), np.float32)


def class_targets(codes: Integers, name: str, smoothing: float) -> Floats:
    """Return smoothed labels of an attribute, (N, K) float32 of sum 1; of no meaning where unknown."""
    count = len(CLASSES[name])
    return np.asarray((1 - smoothing) * np.eye(count)[codes] + smoothing / count, np.float32)


def moments(shares: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation in years, (N,) float32 each, of distributions over ages (N, 101)."""
    scale = np.arange(AGES, dtype=np.float32)
    mean = shares @ scale
    return mean, np.sqrt((shares * np.square(scale - mean[:, None])).sum(1))


def class_figures(name: str, probabilities: Floats, truth: Integers, shares: Floats) -> dict[str, float]:
    """Return accuracy, mean of the classes' recalls, and calibration errors. shares: (K,), how often each class occurs.

    ``by_prior``: the recalls when each probability is taken against how often its class occurs, for rare classes.
    """
    chosen = probabilities.argmax(1)
    against = (probabilities / shares).argmax(1)
    return {
        f"{name}_accuracy": float((chosen == truth).mean()),
        f"{name}_balanced": calibration.balanced_accuracy(chosen, truth),
        f"{name}_balanced_by_prior": calibration.balanced_accuracy(against, truth),
        f"{name}_ece": calibration.expected_error(probabilities, truth),
        f"{name}_class_ece": calibration.class_error(probabilities, truth),
        f"{name}_faces": float(len(truth)),
    }


def age_figures(years: Floats, spread: Floats, truth: Floats) -> dict[str, float]:
    """Return the mean absolute error in years, and how often it lies within one and two spreads."""
    error = np.abs(years - truth)
    return {
        "age_mae": float(error.mean()),
        "age_spread": float(spread.mean()),
        "age_within_spread": float((error <= spread).mean()),
        "age_within_two_spreads": float((error <= 2 * spread).mean()),
        "age_faces": float(len(truth)),
    }


def groups(years: Floats, chosen: dict[str, Integers], truth: Labels) -> list[Group]:
    """Return errors by age group, gender and ethnicity, one row per group that occurs.

    years: (N,) as said. chosen: by name (N,) places in ``CLASSES``. truth: all known.
    """
    result: list[Group] = []
    for low, high in GROUPS:
        for gender, kind in enumerate(CLASSES["gender"]):
            for ethnicity, people in enumerate(CLASSES["ethnicity"]):
                inside = (truth.years >= low) & (truth.years <= high)
                inside &= (truth.classes["gender"] == gender) & (truth.classes["ethnicity"] == ethnicity)
                if not inside.any():
                    continue
                far = (years - truth.years)[inside]
                result.append(
                    Group(
                        age=f"{low}-{high}",
                        gender=kind,
                        ethnicity=people,
                        faces=int(inside.sum()),
                        gender_error=float((chosen["gender"][inside] != gender).mean()),
                        ethnicity_error=float((chosen["ethnicity"][inside] != ethnicity).mean()),
                        age_mae=float(np.abs(far).mean()),
                        age_bias=float(far.mean()),
                    )
                )
    return result


def margins(rows: list[Group]) -> dict[str, float]:
    """Return the errors of each age group, gender and ethnicity by itself, as figures of one name each."""
    figures: dict[str, float] = {}
    for key in ("age", "gender", "ethnicity"):
        for value in dict.fromkeys(row[key] for row in rows):
            inside = [row for row in rows if row[key] == value]
            faces = sum(row["faces"] for row in inside)
            for error in ("gender_error", "ethnicity_error", "age_mae"):
                total = sum(row[error] * row["faces"] for row in inside)
                figures[f"{error}, {key} {value}"] = total / faces
    # Children's gender shows so little in a face that it alone hides how the others fare.
    older = [row for row in rows if row["age"] != "{}-{}".format(*GROUPS[0])]
    if older:
        faces = sum(row["faces"] for row in older)
        name = f"gender_error, age {GROUPS[1][0]}-{GROUPS[-1][1]}"
        figures[name] = sum(row["gender_error"] * row["faces"] for row in older) / faces
    return figures
