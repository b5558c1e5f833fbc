"""Sections of the benchmarks on what comes back: passphrases, deniable recovery, keys that turn faces."""

from __future__ import annotations

from typing import Any

from page_parts import origin, span, table

BANDWIDTH = 3.35e12
"""Bytes a second of the memory of an H100 SXM GPU, by NVIDIA's data sheet."""

BITS = (28, 40, 52, 60, 65, 77)


def transformer(result: dict[str, Any]) -> str:
    """Return the section on faces that a key turns, and turns back."""
    judges, near, films = result["judges"], result["pictures"], result["films"]

    def row(words: str, name: str, *, share: bool = True) -> list[str]:
        return [words, *(f"{one[name]:.1%}" if share else f"{one[name]:.3f}" for one in judges.values())]

    parts = [
        "## Faces that a key turns",
        f"{result['faces']} pictures of as many held-out people of LFW, hidden by `transformer`, turned back by the "
        f"right key, without loss and from JPEG of quality 90, and by {result['wrong']} random keys; "
        f"{result['unfit']} more could not be turned. Thresholds as for deniable recovery. What it means is in [Faces "
        "that a key turns](transformer.md).",
        table(
            ["", *judges],
            [
                row("right key, without loss: taken for the original", "lossless_is_original"),
                row("right key, from JPEG: taken for it", "jpeg_is_original"),
                row("mean cosine, without loss", "lossless_cosine", share=False),
                row("mean cosine, from JPEG", "jpeg_cosine", share=False),
                row("wrong key, without loss: not taken for the original", "wrong_is_not_original"),
                row("wrong key: not taken for the shown face", "wrong_is_not_shown"),
                row("two wrong keys: not taken for each other", "wrong_is_not_another_wrong"),
                row("shown face not taken for the original", "shown_is_not_original"),
            ],
        ),
        f"Within the box of the mask, from the original: L1 {near['lossless_l1']:.3f} and DSSIM "
        f"{near['lossless_dssim']:.3f} without loss, {near['jpeg_l1']:.3f} and {near['jpeg_dssim']:.3f} from JPEG. A "
        "face is found in "
        + ", ".join(f"{share:.1%} of the {name}" for name, share in result["detected"].items())
        + f" pictures. A run of the network takes {result['seconds_per_run']:.2f} s on one core of this machine.",
        "Where the right key stands when keys are sorted by what their faces look like, as above:",
        table(
            ["sorted by", "mean rank", "p"],
            [[name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"] for name, one in result["ranks"].items()],
        ),
        "Films of 24 frames, H.264 as incog codes it by default. *Averaged* is what would come of averaging new faces "
        "over neighbouring frames, as other methods do:",
        table(
            ["film", "faces", "L1", "DSSIM", "bytes carried"],
            [
                [f"{film}, {words.replace('_', ' ')}", str(one["faces"]), f"{one['l1']:.3f}", f"{one['dssim']:.3f}",
                 f"{one['carried_bytes']:,}"]
                for film, both in films.items() for words, one in both.items()
            ],
        ),
        origin(result),
    ]  # fmt: skip
    return "\n\n".join(parts)


_TITLES = {
    "replace": "## Deniable recovery",
    "appearance-replace": "## Deniable recovery by the appearance model",
}


def deniable(result: dict[str, Any]) -> str:
    """Return the section on deniable recovery by a method."""
    judges = result["judges"]
    # Of a result from before there were two.
    method = result.get("method", "appearance-replace")
    plain = (
        "the network's own picture of the person" if method == "replace" else "the whole model's own picture"
    )

    def apart(words: str, found: dict[str, Any]) -> list[list[str]]:
        return [
            [words, name, f"{one['accuracy']:.1%}", f"{one['sigma']:.1f}", str(one["tested"])]
            for name, one in found.items()
        ]

    near = result["pictures"]
    rows = [
        *apart("pictures, with the ranks above", result["told_apart_by_pictures"]),
        *(apart("codes", result["codes"]["codes"]) if "codes" in result else []),
        *(apart("persons", result["codes"]["persons"]) if "codes" in result else []),
    ]
    for name, one in result.get("codes_of_others", {}).items():
        rows += apart(f"codes, {name}", one["codes"])
    parts = [
        _TITLES[method],
        f"{result['faces']} pictures of as many held-out people of LFW, hidden by `{method}`, coded as JPEG, and "
        f"restored with the right key and with {result['wrong']} wrong ones; {result['unread']} more could not be "
        "read. Thresholds are those at which one in a thousand pairs of pictures of different people is accepted. "
        "Pictures that are compared here show the same pose, light, hair and background, which makes strangers alike. "
        "What it means is "
        "in [Deniable recovery](deniable.md).",
        table(["", *judges], _likeness(judges, plain)),
        f"Within the box of the mask, from the original: DSSIM {near['right_dssim']:.3f} and L1 {near['right_l1']:.3f} "
        f"of right recoveries, {near['full_dssim']:.3f} and {near['full_l1']:.3f} of {plain}. "
        "A face is found in "
        + ", ".join(f"{share:.1%} of the {name}" for name, share in result["detected"].items())
        + " pictures.",
        "Where the right key stands when all are sorted by what somebody with the file and all models can compute, 0 "
        "the first, 0.5 as by chance, and the p value of the Kolmogorov-Smirnov test that it stands anywhere:",
        table(
            ["sorted by", "mean rank", "p"],
            [[name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"] for name, one in result["ranks"].items()],
        ),
        "Classifiers that were trained on other people to tell right from wrong, half and half:",
        table(["by", "classifier", "right", "sigmas above chance", "tested"], rows),
        origin(result),
    ]
    return "\n\n".join(parts)


def _likeness(judges: dict[str, Any], plain: str) -> list[list[str]]:
    def row(words: str, name: str, *, share: bool = True) -> list[str]:
        return [words, *(f"{one[name]:.1%}" if share else f"{one[name]:.3f}" for one in judges.values())]

    return [
        row("right recovery taken for the original", "right_is_original"),
        row(f"{plain} taken for it", "full_is_original"),
        row("mean cosine of right recovery and original", "right_cosine", share=False),
        row(f"the same of {plain}", "full_cosine", share=False),
        row("wrong recovery not taken for the original", "wrong_is_not_original"),
        row("wrong recovery not taken for the shown face", "wrong_is_not_shown"),
        row("shown face not taken for the original", "shown_is_not_original"),
        row("two wrong recoveries not taken for each other", "wrong_is_not_another_wrong"),
    ]


def many(result: dict[str, Any]) -> str:
    """Return the section on many wrong passphrases of a few faces."""
    judges = result["judges"]
    rows = [
        row for row in _likeness(judges, "the network's own picture") if row[0].startswith(("wrong", "two"))
    ]
    return "\n\n".join([
        f"### {result['wrong']} wrong keys for each face",
        f"The same for {result['faces']} faces with {result['wrong']} wrong keys each, "
        f"{result['faces'] * result['wrong']:,} recoveries:",
        table(["", *judges], rows),
        table(
            ["sorted by", "mean rank", "p"],
            [[name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"] for name, one in result["ranks"].items()],
        ),
        origin(result),
    ])  # fmt: skip


def kdf(result: dict[str, Any]) -> str:
    """Return the section on guessing the passphrases of vaults."""
    names = list(result["costs"])
    cores = result["processes"]
    rows = [
        [
            f"{name}: {cost['passes']} passes, {cost['memory_kib'] // 1024} MiB, {cost['lanes']} lanes",
            f"{cost['seconds']:.3f}",
            f"{cost['cpu_seconds']:.3f}",
            f"{cost['least_cpu_seconds']:.3f}",
            f"{cost['guesses_a_second']:.1f}",
        ]
        for name, cost in result["costs"].items()
    ]
    first = result["costs"][names[0]]
    # Of each KiB, two are read and one is written, in each pass.
    touched = 3 * 1024 * first["passes"] * first["memory_kib"]
    rates = {
        f"this machine, {cores} cores": cores / first["least_cpu_seconds"],
        "1,000 guesses/s": 1e3,
        f"a GPU, at most {BANDWIDTH / touched:,.0f} guesses/s": BANDWIDTH / touched,
        "1,000 such GPUs": 1e3 * BANDWIDTH / touched,
    }
    guessed = [[f"{bits}", *(span(2.0 ** (bits - 1) / rate) for rate in rates.values())] for bits in BITS]
    parts = [
        "## Guessing passphrases",
        f"One guess at the passphrase of a [vault](format.md): {result['guesses']} of them one after another, in "
        f"seconds by the clock and of the processor, and guesses a second of {cores} processes at once. The machine "
        f"had other work to do (load {result['machine']['load_before']}): the least processor time says the most.",
        table(["cost", "clock, median", "processor, median", "processor, least", "guesses/s"], rows),
        "From that, how long it takes on average to find a passphrase of so many bits, at the default cost. The first "
        "column goes by the least processor time. The GPU is a calculation and a bound: Argon2id cannot go faster than "
        f"{touched / 2**20:.0f} MiB a guess pass through its memory, at {BANDWIDTH / 1e12} TB/s for an H100.",
        table(["bits", *rates], guessed),
        "Four words of diceware have 52 bits, five 65, six 77; `incog hide` wants 40 at least.",
    ]
    return "\n\n".join([*parts, origin(result)])


def guesses(result: dict[str, Any]) -> str:
    """Return the section on wrong passphrases."""
    measured = [(name, result["cheap"], row) for name, row in result["vaults"].items()]
    measured.append(("one passphrase", result["default"], result["at the default cost"]))
    rows = [
        [
            name,
            f"{cost['passes']} passes, {cost['memory_kib'] // 1024} MiB, {cost['lanes']} lanes",
            f"{row['guesses']:,}",
            f"{row['opened']}",
            f"{row['cpu_seconds']:.4f}",
        ]
        for name, cost, row in measured
    ]
    parts = [
        "## Wrong passphrases",
        "Half of them drawn as `incog` draws them, half the right one with one character changed, left out or put in, "
        "against [vaults](format.md) of three kinds. Most were tried at less than the default cost, which changes how "
        "long a guess takes and nothing else.",
        table(["vault", "cost", "guesses", "opened", "processor seconds, median"], rows),
    ]
    return "\n\n".join([*parts, origin(result)])
