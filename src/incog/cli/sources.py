"""Datasets and people on the command line: NAME=PATH."""

from __future__ import annotations

from pathlib import Path

from incog.errors import must_be


def sources(data: list[str] | None, *, option: str = "--data") -> dict[str, Path]:
    """Return NAME=PATH options as paths by name; PATH may begin with LAYOUT:, which stays.

    Raises UsageError for one that is malformed, given twice or not there.
    """
    from incog.data.readers import located

    result: dict[str, Path] = {}
    for item in data or []:
        name, mark, path = item.partition("=")
        if not mark or not name or not path:
            raise must_be(option, "NAME=PATH", item)
        if name in result:
            raise must_be(option, "given once for each name", f"{name} twice")
        if not located(Path(path))[1].exists():
            raise must_be(f"{option} {name}", "a file or folder that exists", path)
        result[name] = Path(path)
    return result


def persons(given: list[str] | None) -> tuple[tuple[str, Path], ...]:
    """Return NAME=PHOTO options as names and paths. Raises UsageError for one that is malformed, given twice or not
    there."""
    found: dict[str, Path] = {}
    for item in given or []:
        name, mark, path = item.partition("=")
        if not mark or not name or not path:
            raise must_be("--person", "NAME=PHOTO", item)
        if name in found:
            raise must_be("--person", "given once for each name", f"{name} twice")
        if not Path(path).exists():
            raise must_be(f"--person {name}", "a photo or a folder that exists", path)
        found[name] = Path(path)
    return tuple(found.items())
