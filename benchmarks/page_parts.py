"""What the pages are written with: tables, and figures in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; columns after the first are aligned right."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def percent(part: dict[str, Any]) -> str:
    """Return events of trials, their rate and the upper end of the 95 % interval."""
    return f"{part['events']} of {part['trials']:,}: {part['rate']:.2%} (≤ {part['high95']:.2%})"


def origin(result: dict[str, Any]) -> str:
    """Return where a result comes from: commit, date, machine, versions and command."""
    machine, versions = result["machine"], result["versions"]
    changed = f" and {result['changed_files']} changed files" if result["changed_files"] else ""
    # Of parts that were measured later and joined to it.
    changed += "".join(f", in part `{commit[:10]}`" for commit in result.get("others", []))
    return (
        f"Commit `{result['commit'][:10]}`{changed}, {result['date'][:10]}, {machine['processor']}, "
        f"{machine['cores']} cores, Python {versions['python']}, ONNX Runtime {versions['onnxruntime']}, "
        f"PyAV {versions['av']}. `{result['command']}`"
    )


def span(seconds: float) -> str:
    """Return a time in words."""
    for size, name in ((365.25 * 86400, "years"), (86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            count = seconds / size
            return f"{count:,.0f} {name}" if count < 1e6 else "over a million years"
    return f"{seconds:.0f} s"


def between(found: dict[str, Any], form: str = ".1%") -> str:
    """Return a figure with its interval."""
    return f"{found['value']:{form}} ({found['low']:{form}} to {found['high']:{form}})"
