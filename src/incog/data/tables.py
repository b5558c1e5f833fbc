"""Tables that come with pictures: labels.csv, and those of CelebA. Errors name the file and the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from incog.errors import InputError


def labels(data: bytes, where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row) of a labels.csv. Raises InputError when it is no such table, or a row has too many cells."""
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), restval="")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 text: {error}") from error
    columns = list(rows.fieldnames or ())
    if "file" not in columns:
        raise InputError(f"{where} must have a column file, got {', '.join(columns) or 'none'}")
    empty = True
    for row in rows:
        empty = False
        if None in row:
            raise InputError(f"{where}, line {rows.line_num}: must have {len(columns)} cells, got more")
        yield rows.line_num, row
    if empty:
        raise InputError(f"{where} has no rows")


def by_picture(path: Path, suffixes: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return CelebA's table: {file: {column: value}}. Columns without a heading are numbered.

    Raises InputError that names the file and line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a table of text: {error}") from error
    heading: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        cells = line.split(",") if path.suffix == ".csv" else line.split()
        if not cells or (number == 1 and len(cells) == 1):
            continue
        if not cells[0].lower().endswith(suffixes):
            if rows:
                raise InputError(
                    f"{path}, line {number}: must begin with the name of a picture, got {cells[0]!r}"
                )
            heading = cells[1:] if cells[0] in ("image_id", "image_name") else cells
            continue
        if heading and len(cells) != len(heading) + 1:
            raise InputError(f"{path}, line {number}: must have {len(heading)} values, got {len(cells) - 1}")
        rows[cells[0]] = dict(zip(heading or map(str, range(len(cells) - 1)), cells[1:], strict=True))
    if not rows:
        raise InputError(f"{path} holds no rows that begin with the name of a picture")
    return rows
