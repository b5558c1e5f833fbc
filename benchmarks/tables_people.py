"""Sections of the benchmarks on methods for sets of people."""

from __future__ import annotations

from typing import Any

from page_parts import between, origin, table


def k_same(result: dict[str, Any]) -> str:
    """Return the section on k-Same."""
    attacks = (
        "same picture",
        "plain",
        "parrot",
        "parrot of another release",
        "laid back, plain",
        "laid back, parrot",
    )

    def worst(found: dict[str, Any], attack: str) -> str:
        rates = [rates[attack] for rates in found["rank1"].values() if attack in rates]
        return f"{max(rates):.1%}" if rates else "–"

    most = result["people"]
    rows = [
        [
            f"`{found['method']}`"
            + (f", {few:,} people" if (few := found.get("people", most)) != most else ""),
            found["k"],
            f"{found['bound']:.1%}",
            *(worst(found, attack) for attack in attacks),
        ]
        for found in result["figures"]
    ]
    known = ", ".join(f"{rate:.1%} by {judge}" for judge, rate in result["untouched"].items())
    kept = sum(found["kept"] for found in result["figures"])
    parts = [
        "## " + ("k-Same-Net" if result["figures"][0]["method"] == "k-same-net" else "k-Same"),
        f"{result['people']:,} people of LFW, one picture of each released and one in the gallery, told at the first "
        f"guess by the better of {' and '.join(result['untouched'])}; untouched pictures: {known}. The first four "
        "attacks see [shared pictures](subspace.md#k-same): against the very originals that were averaged, against the "
        "other original of each person, against results of the other picture in the same release, and against results "
        "of the other pictures in a release of their own. The last two see whole pictures with the face laid back, "
        "where nothing is promised. The bound is 1/k and three standard deviations of so many guesses: "
        f"{kept} of {len(rows)} rows keep it.",
        table(["method", "k", "bound", *attacks], rows),
        *(
            f"`{method}` is of another run, commit `{commit[:10]}`."
            for method, commit in {
                (found["method"], found["commit"]): 0 for found in result["figures"] if "commit" in found
            }
        ),
    ]
    return "\n\n".join([*parts, origin(result)])


def pseudonyms(result: dict[str, Any]) -> str:
    """Return the section on pseudonyms."""
    columns = (
        "untouched, one person",
        "pseudonyms, one person",
        "a face for every picture, one person",
        "pseudonyms, different people",
        "a face for every picture, different people",
        "new face and the person's other pictures",
    )
    grouped = [
        [
            f"{row['risk']:g}",
            row["clusters"],
            f"{row['purity']:.1%}",
            f"{row['completeness']:.1%}",
            row["people_whole"],
            row["clusters_of_several_people"],
        ]
        for row in result["clusters"]
    ]
    rows = [
        [f"`{method}`", judge, kind, *(f"{found[judge][kind][column]['share']:.1%}" for column in columns)]
        for method, found in result["faces"].items()
        for judge in (name for name, value in found.items() if isinstance(value, dict))
        for kind in found[judge]
    ]
    made = "; ".join(
        f"`{method}`: {found['redrawn']} drawn anew, {found['alike']} still like another's, {found['filled']} of "
        f"{found['pictures']} pictures with a filled face"
        for method, found in result["faces"].items()
    )
    parts = [
        "## Pseudonyms",
        f"{result['pictures']} pictures of {result['people']} people of LFW, of whom each has three or four, through "
        "[`--pseudonyms`](use.md#pseudonyms). First who is who, by looks alone. Purity: pictures whose cluster is "
        "mostly of their person. Completeness: pictures that lie in their person's largest cluster.",
        table(["risk", "clusters", "purity", "completeness", "people whole", "of several people"], grouped),
        "Then the new faces, with people told by folders: how many pairs of pictures match, at the threshold that one "
        "in a thousand pairs of different untouched people reaches. With pseudonyms pictures of one person should "
        "match, as untouched ones do, and of different people should not. With a face for every picture what matches "
        "is what lies around the face, and what the new face keeps. Face only: all outside of the mask is covered. "
        f"Pictures with a filled face are left out. {made}.",
        table(["method", "recogniser", "shown", *columns], rows),
    ]
    return "\n\n".join([*parts, origin(result)])


def strangers(result: dict[str, Any]) -> str:
    """Return the section on whether new faces are people of the training data."""
    rows = [
        [f"`{name}`" if name != "untouched" else "*untouched, of others*", judge,
         between(part["anybody"]), f"{part['pairs']:.3%}"]
        for judge, found in result["judges"].items()
        for name, part in found.items()
        if name != "threshold"
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## Faces that never existed, and people who did",
            f"Faces drawn over {result['faces']} pictures of {result['people']} held-out people of LFW, beside all "
            f"{result['known']:,} pictures of {result['known_people']:,} people of LFW's training part. *Anybody*: "
            "share of faces that a recogniser takes for one of these pictures at least. *Pairs*: share of all pairs "
            "that it takes for one person. Untouched pictures are of people who are not among them: what they are "
            "taken for is chance. The threshold is that of one in a thousand pairs of untouched held-out pictures of "
            "different people.",
            table(["faces", "by", "anybody", "pairs"], rows),
            origin(result),
        ]
    )
