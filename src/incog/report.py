"""The Report: what was done to each file, made to be shared. It names no file, place or face unless asked to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from incog import __version__

Status = Literal["hidden", "no_faces", "failed"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClaimReport(_Model):
    """A claim of the method with its conditions; ``holds`` is false for a warning. value: of an epsilon or k."""

    statement: str
    holds: bool
    scope: str
    conditions: list[str] = []
    value: float | None = None


class Rescan(_Model):
    """What the second look at the finished output found.

    exposed: faces outside every mask that are left: 0, or the file was not written. covered: faces that the rescan
    found and that were then covered. recognised: tracks whose hidden faces still matched the original, and that were
    then filled; redrawn: those that got another new face instead, which did not. compared: hidden faces compared with
    the original in the last round; those under 24 pixels say too little. on_purpose: faces left visible because of
    ``--keep``, ``--only``, ``--spans`` or an edited plan. frames: frames looked at in the last round; rounds: how often
    the output was looked at. detectors: which looked.
    """

    exposed: int = 0
    covered: int = 0
    recognised: int = 0
    redrawn: int = 0
    compared: int = 0
    on_purpose: int = 0
    frames: int = 0
    rounds: int = 0
    detectors: list[str] = []


class VaultReport(_Model):
    """The original, sealed in the output or beside it, or what faces are brought back from. status: what the output is
    as long as it exists. mode: whether a wrong passphrase is an error (exact) or gives other faces (deniable). place:
    where the vault lies. bytes: its length. share: the same as a share of the source's length; not told of slots, since
    a decoy has another length. holds: what it brings back. guess: what one guess at the passphrase costs."""

    status: Literal["pseudonymised, not anonymous"] = "pseudonymised, not anonymous"
    mode: Literal["exact", "deniable"] = "exact"
    place: str
    bytes: int
    share: float | None = None
    holds: str = ""
    guess: str


class PseudonymReport(_Model):
    """How people were told apart and given pseudonyms; figures, no embedding.

    told_by: the folders that people lie in, or how they look. people: how many there are, bystanders included. named:
    those whose new face is the same in other runs under the same secret, by their folder's name or by ``--person``.
    met_before: those who were in the gallery. unclear: those who were never seen clearly; each is taken for a person of
    their own. redrawn: those whose first new face was like another's. alike: those for whom no other could be drawn.
    rotation: the number given. risk: with clusters, about the most that the chance may be that a given person is taken
    for another. lowest: similarity that was asked for in the group where strangers are least alike. highest: the same
    where they are most alike. vouched: whether the measured data can speak of that risk. unmeasured: groups of which
    too few faces were measured. claims: what holds.
    """

    told_by: Literal["folders", "clusters"]
    people: int = 0
    named: int = 0
    met_before: int = 0
    unclear: int = 0
    redrawn: int = 0
    alike: int = 0
    rotation: int = 0
    risk: float | None = None
    lowest: float | None = None
    highest: float | None = None
    vouched: bool = True
    unmeasured: list[str] = []
    claims: list[ClaimReport] = []


class FileReport(_Model):
    """One input. name: a running number, or the path when names were asked for. faces: face appearances hidden, summed
    over frames. tracks: distinct faces as far as tracking could tell. fallback: tracks that the method could not hide,
    or left almost as they were, or recognisable: they were filled instead, at least in the frames in question.
    selection: who stayed visible because of ``--keep`` or ``--only``, in figures. people: with ``--pseudonyms``, the
    numbers of those who are in it. decisions: what happened to all besides the pixels."""

    name: str
    status: Status
    faces: int = 0
    tracks: int = 0
    frames: int = 0
    method: str = ""
    parameters: dict[str, str | int | float | bool | list[int]] = {}
    fallback: int = 0
    seconds: float = 0.0
    rescan: Rescan = Field(default_factory=Rescan)
    claims: list[ClaimReport] = []
    selection: list[str] = []
    people: list[int] = []
    vault: VaultReport | None = None
    decisions: list[str] = []
    error: str | None = None


class Report(_Model):
    """Version 1 of the report. randomness: where keys came from; a seeded result is not private. left_alone: how many
    files were no media. pseudonyms: who was told apart, with ``--pseudonyms``."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    device: str = "cpu"
    randomness: str = "fresh, forgotten"
    left_alone: int = 0
    pseudonyms: PseudonymReport | None = None
    files: list[FileReport] = []
