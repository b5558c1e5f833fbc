"""What is written down of a sheet of pairs: its key, and its scores. See ``incog.evaluate.human_sheet``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from incog import __version__
from incog.errors import InputError
from incog.evaluate.document import Value
from incog.evaluate.privacy import Shown
from incog.media.walk import printable

Answer = Literal["yes", "no", "unsure"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PairRecord(_Model):
    """One pair in the key. people: whom the original and the other picture show. left, right: names of the pictures.
    hidden: the side that a method changed."""

    number: int = Field(ge=1)
    method: str | None
    same: bool
    people: tuple[str, str]
    left: str
    right: str
    hidden: Literal["left", "right"] | None


class Key(_Model):
    """Version 1 of the key: which pair is which. Who answers must not see it. sheet: which sheet it belongs to."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    sheet: str = Field(pattern="^[0-9a-f]{12}$")
    shown: Shown
    seed: int
    pairs: list[PairRecord] = Field(min_length=1)

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        if [pair.number for pair in self.pairs] != list(range(1, len(self.pairs) + 1)):
            raise ValueError("pairs must be numbered 1, 2, 3 and so on")
        return self

    @classmethod
    def load(cls, path: Path) -> Key:
        """Read a key. Raises InputError when it cannot be read or is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"the key {printable(path)} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(
                f"{printable(path)} is not a key of version 1: {where}: {first['msg']}"
            ) from None


class PartRecord(_Model):
    """What answers say of one method's pairs, or of the control pairs. "Unsure" counts half, as a guess would.

    same_genuine, same_impostor: share judged to be one person, of pairs of one and of two. accuracy: share judged
    right. d_prime: see there. unsure: share. unanswered: answers that are missing.
    """

    method: str | None
    pairs: int
    same_genuine: Value
    same_impostor: Value
    accuracy: Value
    d_prime: Value
    unsure: Value
    unanswered: int
    verdict: str


class AnswererRecord(_Model):
    """What one answerer did; number: in the order given. hidden, controls: accuracy."""

    number: int
    answered: int
    unanswered: int
    hidden: Value
    controls: Value


class HumanScore(_Model):
    """Version 1 of the scores of one sheet."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    sheet: str
    shown: Shown
    seed: int
    controls: PartRecord
    methods: list[PartRecord]
    answerers: list[AnswererRecord]
