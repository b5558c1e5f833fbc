"""The section of the benchmarks beside Gu et al.: what they published, and how ours is told."""

from __future__ import annotations

from typing import Any

from incog.models import cards
from page_parts import between, origin, span, table

GU_RECOVERED = (
    ("superpixel", ".09", ".10", ".06", ".01"),
    ("edge map", ".25", ".24", ".25", ".24"),
    ("blur", ".30", ".21", ".12", ".04"),
    ("noise", ".12", ".12", ".07", ".01"),
    ("part of the face masked", ".10", ".09", ".07", ".02"),
    ("their transformer, right password, CASIA", ".03", ".03", ".04", ".004"),
    ("their transformer, right password, LFW", ".04", ".03", ".04", ".004"),
)
"""Gu et al., ECCV 2020, tables 1 and 2: LPIPS, DSSIM, L1, L2."""

GU_FURTHER = (
    ("their transformer, right password, FFHQ", ".0602", ".0471", ".0509", ".0057"),
    ("Ren et al., CASIA", ".08", ".07", ".06", ".009"),
)
"""The same, from the same paper."""

GU_SHIFTS = {"box": (1.81, 1.62, 1.91), "points": (0.94, 0.76, 0.89)}
"""The same, table 3: CASIA, LFW, FFHQ."""

GU_SIGMAS = 3
"""Standard deviations above chance from which recoveries count as told apart."""

GU_LFW = {"dssim": 0.03, "l1": 0.04, "l2": 0.004}

GU_SECONDS, GU_FACES = 0.0266, 12
"""Of their network for a batch of faces on a Titan V."""

_STAGES = {
    "I and A": "original, and what the key makes of it",
    "I and R": "original, and what the negative key brings back",
    "I and WR": "original, and what a wrong negative key brings back",
    "WR and A": "what a wrong key brings back, and what it was given",
    "A and A of another key": "what two keys make of one face",
    "other picture and I": "another picture of the person, and the original",
    "other picture and A": "another picture, and what the key makes",
    "other picture and R": "another picture, and what the negative key brings back",
    "other picture and WR": "another picture, and what a wrong one brings back",
}


def gu_faces(result: dict[str, Any]) -> list[str]:
    """Return what recognisers and a detector say of the transformer's faces."""
    judges, moved, kinds = result["verification"], result["shift"], result["variety"]
    seen, scale = moved["centerface"], moved["scale"]
    rows = [[words, *(between(found[name]) for found in judges.values())] for name, words in _STAGES.items()]
    shifts = [
        [
            f"ours, {name}",
            f"{part['found']:.1%}",
            *(between(part[key], ".2f") for key in ("box", "points")),
            *(f"{part[key]['value'] * scale:.2f}" for key in ("box", "points")),
            between(moved["landmarks"][name], ".2f"),
        ]
        for name, part in seen.items()
    ]
    shifts += [
        [
            f"published, A, {name}",
            "",
            "",
            "",
            *(f"{GU_SHIFTS[key][row]:.2f}" for key in ("box", "points")),
            "",
        ]
        for row, name in enumerate(("CASIA", "LFW", "FFHQ"))
    ]
    apart = result["told apart"]
    accuracies = ", ".join(f"{one['accuracy']:.1%} by {name}" for name, one in apart.items())
    tested = next(iter(apart.values()))["tested"]
    told = max(one["sigma"] for one in apart.values()) > GU_SIGMAS
    near = kinds["between keys"]["high"] < kinds["different people"]
    turned = "all of which is" if result.get("whole", True) else "of which what is inside of a mask is"
    return [
        "### Who is taken for whom",
        f"{result['faces']} faces of {result['people']} held-out people of LFW, crops of 128 px with hair and "
        f"background, {turned} turned. "
        "I is the original, A what a key makes of it, R what the negative key makes of A, WR what the "
        "negative of a wrong key makes of A. Shares of pairs above the threshold that one in a thousand pairs of "
        "untouched pictures of different people exceeds, with 95 % intervals over people. dlib's network had no part "
        "in training; `incog-b` had none either, but its teacher is of the family of those that had; `incog` was a "
        "judge in training, and its figures are no claim. How good each is itself, the row of another picture and the "
        "original tells. Pairs of one picture share pose, light, hair and background; "
        "pairs with another picture of the person do not.",
        table(["taken for one person", *judges], rows),
        "Gu et al. show this as curves (figure 4), whose numbers are not to be had; people took A for I in 4.7 % of "
        "150 pairs (published). Ours were not shown to people.",
        "### How far a detector sees the face move",
        "Mean absolute difference of coordinates in px of the crop, by CenterFace, which had no part in training. Our "
        f"faces are larger in their 128 px than those of whole pictures of LFW: times {scale:.2f} the figures are in "
        "px of such a picture, as the published ones, which are by MTCNN. The last column is by our landmark network, "
        f"which was a judge in training. CenterFace finds {moved['found before']:.1%} of the originals.",
        table(
            [
                "",
                "found",
                "box",
                "five points",
                "box, their px",
                "points, their px",
                "130 points, not a claim",
            ],
            shifts,
        ),
        f"**{worse(seen['A']['box']['value'] * scale, GU_SHIFTS['box'][1])} for boxes and "
        f"{worse(seen['A']['points']['value'] * scale, GU_SHIFTS['points'][1])} for points** beside their LFW row.",
        "### How far keys take a face",
        f"Mean of 1 - cosine by dlib between what {kinds['keys']} keys make of one face, {kinds['faces']} faces: "
        f"{between(kinds['between keys'], '.3f')}. Between untouched pictures of one person it is "
        f"{kinds['one person']:.3f}, of different people {kinds['different people']:.3f}: the faces that keys give "
        + (
            "are less unlike each other than strangers are."
            if near
            else "are as unlike each other as strangers."
        ),
        "### Whether a right recovery can be told from a wrong one",
        "Classifiers that saw, of other people, A, the recovery, and figures of sharpness, seam and background, half "
        f"right and half wrong: {accuracies}, of {tested}. One half is chance. "
        + (
            "**Wrong recoveries do not look like right ones to somebody who has the network: they deny nothing.**"
            if told
            else f"That is within {GU_SIGMAS} standard deviations of chance."
        ),
    ]


def worse(found: float, published: float) -> str:
    """Return in words how a figure of which less is better compares."""
    if found <= published:
        return f"As good as published ({found:.3g} against {published:.3g})"
    return f"{found / published:.1f} times the published figure ({found:.3g} against {published:.3g})"


def gu_learnt(result: dict[str, Any]) -> list[str]:
    """Return how far faces come back, and whether keys can be read."""
    keys = ("dssim", "l1", "l2")
    more = ["lpips"] if "lpips" in result["full"]["right"] else []
    low = result["low"]
    names = {"edges": "edge map", "gaussian-noise": "noise", "blackout": "face masked"}

    def cells(part: dict[str, Any]) -> list[str]:
        return [*(f"{part[key]['value']:.4f}" for key in (*keys, *more)), between(part["recognised"])]

    rows = [["our transformer, negative key, nothing learnt", *cells(low["negative key"]["learnt"])]]
    for name, parts in low.items():
        for kind, words in (("learnt", "U-Net"), ("as it is", "as it is shown")):
            if name != "negative key":
                rows.append([f"{names.get(name, name)}, {words}", *cells(parts[kind])])
    full = [
        [
            f"ours, {words}",
            *([f"{part['lpips']['value']:.3f}"] if more else [""]),
            *cells(part)[:3],
            cells(part)[-1],
        ]
        for name, words in (
            ("right", "negative key"),
            ("right after JPEG", "negative key, after JPEG"),
            ("wrong", "wrong key"),
            ("none", "A, no key"),
        )
        for part in [result["full"][name]]
    ]
    full += [[f"published: {name}", *figures, ""] for name, *figures in (*GU_RECOVERED, *GU_FURTHER)]
    right = result["full"]["right"]
    reading = [
        [name, between(part["signs"]), between(part["best"])] for name, part in result["readings"].items()
    ]
    return [
        "### How far faces come back",
        f"One small U-Net for each row, {result['steps']} steps, learns from {result['train']:,} pairs of other people "
        "to bring back the original, at 64 px. Methods are incog's own over the whole face with default settings, "
        f"not those of the paper. {result['faces']} held-out faces; values 0 to 1; the last column is how many dlib "
        "takes for the original at the threshold of one in a thousand at this size. The U-Net on the transformer's "
        "pictures has no key: what it reaches is what anybody reaches who has the network and faces of his own.",
        table(["64 px", "DSSIM", "L1", "L2", *(["LPIPS"] if more else []), "taken for the original"], rows),
        "The transformer at its own 128 px, beside what was published. Not the same protocol: theirs are whole "
        "pictures, and the network that undoes the obfuscations saw some 364,000 of them. "
        + ("" if more else "LPIPS of ours was not measured: it takes a network that incog does not bring (`--lpips`)."),
        table(["128 px", "LPIPS", "DSSIM", "L1", "L2", "taken for the original"], full),
        "Beside their LFW row: " + "; ".join(
            f"{key.upper()}: {worse(right[key]['value'], GU_LFW[key])}" for key in keys
        ) + ".",
        "### Whether a picture tells its key",
        f"A network of the predictor's kind, {result['rounds']} passes over {result['train']:,} pictures under a key "
        "each, tells the signs of keys on held-out people. One half is chance. With original and result together they "
        "can be told, as in training; from the result alone a transformer with perfect realism would tell nothing. "
        "The best sign's interval allows for its being the best of all.",
        table(["the network sees", "signs read rightly", "the best sign"], reading),
        "It reads keys where it sees both, so that what it finds in A alone counts."
        if result["readings"].get("I and A", {"signs": {"low": 0}})["signs"]["low"] > 0.5
        else "**It does not read keys even where it sees both: it learnt too little, and its failure on A alone shows "
        "nothing.**",
    ]  # fmt: skip


def gu_keys(result: dict[str, Any]) -> list[str]:
    """Return what neighbouring keys do, how long a sweep takes, and where the right key stands in it."""
    near, sweep, places = result["neighbours"], result["sweep"], result["ranks"]
    rows = [
        [row["signs"], f"{row['pairs']:,}", f"{row['distance']:.3f}", f"{row['same']:.1%}"]
        for row in near["by signs"]
    ]
    published = 2**16 * GU_SECONDS / GU_FACES
    return [
        "### Neighbouring keys",
        "All 256 keys that share 24 signs, for the face of Eileen Collins (NASA, public domain), with the network "
        "that was measured. How natural they look, the picture tells; nobody was asked.",
        "![256 keys that share 24 signs, for one face](images/transformer-keys.jpg)",
        f"The same for {near['faces']} faces: how far the results of two keys are by dlib (1 - cosine), and how many "
        "are taken for one person.",
        table(["signs that differ", "pairs", "distance", "taken for one person"], rows),
        "### Trying all keys",
        f"A face takes {1000 * sweep['processor seconds a face']:.0f} ms of one core here. All 2^16 keys of a password "
        f"as the paper has it take {span(sweep['seconds']['16'])} ({published:.0f} s on a Titan V, by the published "
        f"time for a batch of {GU_FACES}); all 2^32 of ours take {span(sweep['seconds']['32'])} of one core. Keys are "
        "tried without the passphrase, so no slow derivation of keys helps against it, and the work divides among "
        "machines.",
        f"Where the right key stands among {places['wrong']} wrong ones, 0 the first, 0.5 as by chance, and the p "
        f"value of the Kolmogorov-Smirnov test that it stands anywhere; {places['faces']} faces. Cycle: how near "
        "turning a recovery again comes to the shown face.",
        table(
            ["sorted by", "mean rank", "p"],
            [
                [name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"]
                for name, one in places["by oracle"].items()
            ],
        ),
        "Where a row's p is small, a sweep with it finds the right key, or a short list with the right key in it.",
    ]


def _network(part: dict[str, Any]) -> list[str]:
    """Return, where a part of the result is not of the network that ships, what it is of."""
    ships, digest = cards()["transformer"].sha256, part["network_sha256"]
    if digest == ships:
        return []
    what = "whole crops" if part.get("whole", True) else "what is inside of masks"
    return [f"*Not of the network that ships: of an earlier one, `{digest[:10]}...`, over {what}.*"]


def gu2020(result: dict[str, Any]) -> str:
    """Return the section on the transformer and the paper that it follows."""
    shown = {"faces": gu_faces, "learnt": gu_learnt, "keys": gu_keys}
    missing = [f"The part `{name}` was not measured yet." for name in shown if name not in result]
    lines: list[str] = []
    for name, part in shown.items():
        if name in result:
            first, *rest = part(result[name])
            lines += [first, *_network(result[name]), *rest]
    origins = dict.fromkeys(origin(result[name]) for name in shown if name in result)
    digests = dict.fromkeys(result[name]["network_sha256"][:10] for name in shown if name in result)
    return "\n\n".join(
        [
            "## The face identity transformer, beside Gu et al.",
            "The tables of Gu, Luo, Ryoo, Lee (ECCV 2020) for our transformer, SHA-256 "
            + " and ".join(f"`{digest}...`" for digest in digests)
            + ". What is marked as published is theirs, and none of it was measured again.",
            *lines,
            "What the parts of the recipe are for is [below](#what-parts-of-the-transformers-recipe-are-for).",
            *missing,
            *origins,
        ]
    )
