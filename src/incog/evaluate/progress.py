"""What a run has finished, kept in a folder until the report is written, so that a run that was stopped goes on.

Figures and hidden pictures alone are kept: no original, no embedding.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from incog.evaluate.document import FloorRecord, MethodRecord
from incog.types import Bytes


class Progress:
    """Records by name, of one run: another run's are never read."""

    def __init__(self, folder: Path, run: str) -> None:
        """folder: of its own; made when something is kept. run: all that figures depend on, but for the name."""
        self._folder, self._run = folder, run

    def _path(self, name: str, suffix: str) -> Path:
        digest = hashlib.sha256(f"{self._run}\n{name}".encode()).hexdigest()
        return self._folder / f"{digest[:32]}{suffix}"

    def method(self, name: str) -> tuple[MethodRecord, list[Bytes]] | None:
        """Return what ``keep`` kept, or None. Damaged records count as none."""
        try:
            text = self._path(name, ".json").read_text(encoding="utf-8")
            # From memory, as NumPy leaves a damaged file open.
            with np.load(io.BytesIO(self._path(name, ".npz").read_bytes())) as file:
                return MethodRecord.model_validate_json(text), [file[key] for key in file.files]
        except (OSError, ValidationError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, name: str, record: MethodRecord, views: Sequence[Bytes]) -> None:
        """Keep a method's record and some of its results."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(name, ".npz").open("wb") as file:
            np.savez(file, *views)
        self._write(self._path(name, ".json"), record.model_dump_json())

    def floor(self) -> FloorRecord | None:
        """Return the floor that ``keep_floor`` kept, or None."""
        try:
            return FloorRecord.model_validate_json(self._path("", ".json").read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def keep_floor(self, floor: FloorRecord) -> None:
        """Keep the attacks after ``blackout``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(self._path("", ".json"), floor.model_dump_json())

    def clear(self) -> None:
        """Remove all that is kept."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        half = path.with_suffix(".part")
        half.write_text(text, encoding="utf-8")
        half.replace(path)
