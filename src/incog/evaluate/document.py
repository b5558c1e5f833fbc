"""The evaluation report as data: every figure with its interval, the protocol, versions and weights. Plain JSON."""

from __future__ import annotations

from math import isfinite
from typing import Literal

from pydantic import BaseModel, ConfigDict

from incog import __version__
from incog.evaluate.claims import Audited
from incog.evaluate.intervals import Figure
from incog.evaluate.privacy import Attacked, Shown
from incog.report import ClaimReport


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Value(_Model):
    """A figure with its 95 % interval; None is not measured. count: items it rests on; people: how many they are of."""

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0
    people: int | None = None

    @classmethod
    def of(cls, figure: Figure) -> Value:
        """Return a figure with five digits; what is not finite becomes None."""

        def rounded(number: float) -> float | None:
            return float(f"{number:.5g}") if isfinite(number) else None

        return cls(
            value=rounded(figure.value),
            low=rounded(figure.low),
            high=rounded(figure.high),
            count=figure.count,
            people=figure.people,
        )


class AttackRecord(_Model):
    """One attack by one recogniser. tar, calibrated: by FAR. roc: (FAR, TAR). cmc: hit rate at rank 1, 2, ..."""

    attack: str
    recogniser: str
    kind: str
    shown: Shown
    rank1: Value
    tar: dict[str, Value]
    calibrated: dict[str, Value]
    eer: Value
    auc: Value
    roc: list[tuple[float, float]]
    cmc: list[float]
    genuine: int
    impostor: int

    @classmethod
    def of(cls, found: Attacked) -> AttackRecord:
        """Return the record of an attack."""
        outcome = found.outcome
        return cls(
            attack=found.attack,
            recogniser=found.recogniser,
            kind=found.kind,
            shown=found.shown,
            rank1=Value.of(outcome.rank1),
            tar={f"{rate:g}": Value.of(figure) for rate, figure in outcome.tar.items()},
            calibrated={f"{rate:g}": Value.of(figure) for rate, figure in outcome.calibrated.items()},
            eer=Value.of(outcome.eer),
            auc=Value.of(outcome.auc),
            roc=[(float(f"{x:.4g}"), float(f"{y:.4g}")) for x, y in zip(*outcome.curve, strict=True)],
            cmc=[float(f"{share:.4g}") for share in outcome.cmc],
            genuine=outcome.genuine,
            impostor=outcome.impostor,
        )


class Headline(_Model):
    """The worst of all attacks by black boxes. attack, recogniser: which. rank1: its hit rate. auc: its AUC. untouched:
    the best black box's hit rate on originals. floor: the same attack's, or the nearest's, after ``blackout``: what
    surroundings tell, or of the face alone the outline of the mask. groups: hit rate by group of people, as a network
    sees them. uneven: the groups told most and least, where that is no chance."""

    shown: Shown
    attack: str
    recogniser: str
    rank1: Value
    auc: Value
    untouched: Value
    floor: Value
    groups: dict[str, Value]
    uneven: tuple[str, str] | None
    chance: float


class AuditRecord(_Model):
    """How a claim was tried. kind: see ``incog.methods.base.Check``. bound: what was claimed; measured: what was found
    in so many trials, 0 where it could not be tried. told: the same in words."""

    statement: str
    kind: str
    bound: float
    measured: float
    trials: int
    kept: bool
    told: str

    @classmethod
    def of(cls, found: Audited) -> AuditRecord:
        """Return the record of an audit."""
        check = found.claim.check
        assert check is not None
        return cls(
            statement=found.claim.statement,
            kind=check.kind,
            bound=check.bound,
            measured=float(f"{found.measured:.5g}"),
            trials=found.trials,
            kept=found.kept,
            told=found.told,
        )


class MethodRecord(_Model):
    """All that was measured of one method or folder. audits: of the claims that can be tried. utility: figures by
    measure and name. unprotected: share of pictures in which no face was hidden. around: what files tell besides
    pixels. seconds: a picture. verdict: one line."""

    method: str
    parameters: dict[str, str | int | float | bool | list[int]]
    claims: list[ClaimReport]
    audits: list[AuditRecord]
    headlines: list[Headline]
    attacks: list[AttackRecord]
    utility: dict[str, dict[str, Value]]
    unprotected: Value
    around: list[str]
    seconds: float
    verdict: str


class FloorRecord(_Model):
    """The attacks after ``blackout``: what is told by surroundings, or of the face alone by the outline of the mask."""

    attacks: list[AttackRecord]


class RecogniserRecord(_Model):
    """A recogniser that judged. sha256: of its weights."""

    name: str
    kind: str
    note: str
    sha256: str


class Protocol(_Model):
    """What was done to whom. judged, known: pictures and people that were attacked, and that attackers learnt from.
    pairs: of different people, on which thresholds were fixed. left_out: pictures that could not be used, counted by
    reason. guess_seconds: what one guess of a passphrase cost on the machine of the run. memory: most that the run
    held, in MiB; None where the system does not say."""

    data: dict[str, str]
    split: str
    judged_pictures: int
    judged_people: int
    gallery_people: int
    probes: int
    known_pictures: int
    known_people: int
    pairs: int
    seed: int
    quick: bool
    guess_seconds: float
    memory: int | None
    left_out: dict[str, int]
    words: list[str]


class Evaluation(_Model):
    """Version 1 of the evaluation report."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    versions: dict[str, str]
    date: str
    protocol: Protocol
    recognisers: list[RecogniserRecord]
    untouched: list[AttackRecord]
    floor: FloorRecord
    methods: list[MethodRecord]
