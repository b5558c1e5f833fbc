"""The section of the benchmarks on what parts of the transformer's recipe are for."""

from __future__ import annotations

from typing import Any

from page_parts import between, origin, table

WHOLE = "all of it"
PUBLISHED = "as published"

_WORDS = {
    WHOLE: "all of the recipe",
    "no distance between results": "without the distance between results (`apart`, L_dis)",
    "no wrong recoveries": "without wrong recoveries (`wrong`)",
    "no predictor of the key": "without the predictor of the key (`key`, Q)",
    "no recogniser for the way back": "without a recogniser for the way back (`recognise`)",
    PUBLISHED: "`transformer-gu.toml`, from random weights",
}

_PAIRS = {
    "I and A": "I and A",
    "I and R": "I and R",
    "I and WR": "I and WR",
    "WR and A": "WR and A",
    "A and A of another key": "two A",
}


def ablations(results: dict[str, Any]) -> str:
    """Return the section."""
    first = next(iter(results.values()))
    rows = [
        [_WORDS[name], *(f"{one['right'][key]['value']:.4f}" for key in ("dssim", "l1")),
         f"{one['wrong']['l1']['value']:.4f}"]
        for name, one in results.items()
    ]  # fmt: skip
    parts = [
        "## What parts of the transformer's recipe are for",
        f"The network that ships, trained on for {first['steps']} steps of {first['batch']} faces of {first['side']} "
        "px, once with all of its recipe and once more without each part, as in the ablations of Gu et al.; "
        "critics and other rivals begin anew. So little teaching shows which way a part pulls, and not where a "
        "network would end that never had it: that takes a GPU. "
        f"{first['faces']} held-out faces of {first['people']} people, turned inside masks"
        + (
            f"; the network by `transformer-gu.toml` had {results[PUBLISHED]['steps']} steps in all, and turns whole "
            "crops."
            if PUBLISHED in results
            else "."
        ),
        "How near the way back comes, and how far a wrong key leads:",
        table(["", "R: DSSIM", "R: L1", "WR: L1"], rows),
        "How many pairs a recogniser takes for one person, at the threshold of one in a thousand at this size. dlib "
        "had no part in training, `incog` had.",
    ]
    for judge in ("dlib", "incog-b", "incog"):
        parts.append(
            table(
                [judge, *_PAIRS.values()],
                [
                    [_WORDS[name], *(between(one["verification"][judge][pair]) for pair in _PAIRS)]
                    for name, one in results.items()
                ],
            )
        )
    parts += _read(results)
    if PUBLISHED in results and results[PUBLISHED]["right"]["dssim"]["value"] > 0.1:
        parts.append(f"By {_WORDS[PUBLISHED]}, it has learnt little more than to blur so far.")
    missing = [words for name, words in _WORDS.items() if name not in results]
    if missing:
        parts.append("Not run: " + "; ".join(missing) + ".")
    return "\n\n".join([*parts, *dict.fromkeys(origin(one) for one in results.values())])


def _read(results: dict[str, Any]) -> list[str]:
    """Return what the figures say of each part that was left out, where they say anything."""

    def pair(name: str, which: str) -> dict[str, Any]:
        found: dict[str, Any] = results[name]["verification"]["dlib"][which]
        return found

    lines = []
    for name, which, words in (
        ("no distance between results", "A and A of another key", "two keys give one person"),
        ("no wrong recoveries", "I and WR", "a wrong key brings the person back"),
        ("no predictor of the key", "A and A of another key", "two keys give one person"),
        ("no recogniser for the way back", "I and R", "the right key brings the person back"),
    ):
        if name in results and WHOLE in results:
            with_it, without = pair(WHOLE, which), pair(name, which)
            apart = without["low"] > with_it["high"] or without["high"] < with_it["low"]
            lines.append(
                f"- {_WORDS[name][0].upper()}{_WORDS[name][1:]} {words} in {without['value']:.1%}, with it in "
                f"{with_it['value']:.1%}, by dlib" + ("." if apart else ": no difference that this shows.")
            )
    return ["\n".join(lines)] if lines else []
