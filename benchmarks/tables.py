"""Write docs/benchmarks.md from the result files: ``python benchmarks/tables.py``. No figure in it is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import common
from tables_ablations import ablations
from tables_finding import detector, leaks, photos, speed, steadiness
from tables_gu import gu2020
from tables_networks import attributes, landmarks, networks
from tables_people import k_same, pseudonyms, strangers
from tables_recovery import deniable, guesses, kdf, many, transformer

PAGE = common.ROOT / "docs" / "benchmarks.md"

SECTIONS = {
    "leaks": leaks,
    "speed": speed,
    "photos": photos,
    "detector": detector,
    "landmarks": landmarks,
    "attributes": attributes,
    "networks": networks,
    "k-same": k_same,
    "k-same-net": k_same,
    "pseudonyms": pseudonyms,
    "strangers": strangers,
    "kdf": kdf,
    "deniable-replace": deniable,
    "deniable-many": many,
    "deniable": deniable,
    "transformer": transformer,
    "guesses": guesses,
    "steadiness": steadiness,
    "gu2020": gu2020,
    "ablations": ablations,
}


def page(results: Path) -> str:
    """Return the whole page from the result files of a folder; a missing one is named."""
    parts = ["# Benchmarks", "Made by `python benchmarks/tables.py` from `benchmarks/results/`."]
    for name, section in SECTIONS.items():
        path = results / f"{name}.json"
        parts.append(
            section(json.loads(path.read_text())) if path.exists() else f"`{name}.json` was not made yet."
        )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(common.RESULTS))
    print(PAGE.relative_to(common.ROOT))


if __name__ == "__main__":
    main()
