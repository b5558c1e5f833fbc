"""Datasets on the command line: NAME=PATH."""

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
