"""One evaluation: methods over a cast of known people, attacked and measured, as a document."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import numpy as np

from incog.data.readers import read
from incog.errors import InputError
from incog.evaluate import groups, privacy, utility
from incog.evaluate.attacks import Pairs
from incog.evaluate.document import (
    AttackRecord,
    Evaluation,
    Headline,
    MethodRecord,
    Protocol,
    RecogniserRecord,
    Value,
)
from incog.evaluate.intervals import Figure, wilson
from incog.evaluate.privacy import SHOWN, Attacked, Originals, Shown
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.samples import LEAST_PAIRS, UNFOUND, Cast, Item, choose, load
from incog.evaluate.treatments import Hidden, Treatment
from incog.keys import Secret
from incog.methods import make
from incog.perceive.attributes import JUDGE, Attributes, make_attributes
from incog.perceive.detector import CenterFace, Detector, Hog
from incog.pipeline import Perception, told
from incog.types import Bytes, Face

DETECTORS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {"centerface": lambda: CenterFace(threads=1), "hog": Hog}
)
"""Those that judge whether faces are still found; incog's own does not."""

FLOOR = "blackout"
"""The method after which nothing of the face is left: what still is recognised, its surroundings tell."""

VERSIONS = ("incog", "numpy", "opencv-python-headless", "onnxruntime", "dlib-bin", "scikit-image", "scipy")

WORDS = (
    "No person plays two parts: people who are attacked are none that attackers learn from. Attacked are people of the "
    "test part, by name, which the recipes of incog's networks leave out of training.",
    "A probe is never compared with the picture that it was made from.",
    "Attackers know where the face was in the original and its outline, and which method with which settings hid it.",
    "Intervals of 95 % are made by drawing people, not pictures, with replacement; gallery, impostors and thresholds "
    "are held fixed. Those of hits are at least as wide as Wilson's over the number of people.",
    "A gallery holds one picture of each person, also of those of whom there is only one.",
)
"""The protocol in words."""


@dataclass(frozen=True, slots=True)
class Settings:
    """people: who are attacked, at most; None for all. known: who attackers learn from, at most. seed: of all that is
    drawn. quick: said in the report."""

    people: int | None = 300
    known: int | None = 150
    pictures: int = 3
    seed: int = 0
    quick: bool = False


NEAR, NEAR_AT_LEAST = 4.0, 0.02
"""How far above chance the upper end of hits may be, as a factor and at least, for a verdict of chance."""

QUICK = Settings(people=90, known=50, pictures=2, quick=True)
"""An answer in about two minutes: too few pairs for a figure that may be quoted."""

FULL = Settings(people=None, known=600, pictures=8)
"""All people there are: for publication."""


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a run made. examples: for each treatment a few (before, after) pictures."""

    evaluation: Evaluation
    examples: list[list[tuple[Bytes, Bytes]]]


@dataclass(slots=True, eq=False)
class _Bench:
    cast: Cast
    recognisers: Sequence[Recogniser]
    originals: Originals
    untouched: list[Attacked]
    groups: Mapping[str, Sequence[str]]
    looks: list[Attributes]
    sights: dict[str, list[Face | None]]
    floor: list[Attacked] = field(default_factory=list)


def evaluate(
    treatments: Sequence[Treatment],
    data: Mapping[str, Path],
    recognisers: Sequence[Recogniser],
    perception: Perception,
    settings: Settings,
    *,
    only: Container[str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Results:
    """Treat pictures of the people of datasets, attack the results and measure what is left.

    data: sources that name people, see ``incog.data.readers``; pictures that ``only`` does not name are left
    out. Raises InputError when fewer than two people have two pictures, or no recogniser is a black box.
    """
    if not any(item.kind == "black box" for item in recognisers):
        raise InputError(
            "a recogniser must be a black box, none of those given is",
            hint="install one: pip install 'incog[eval]'",
        )
    tell("looking for faces")
    cast = _cast(data, perception, settings, only)
    originals = privacy.embed_originals(cast, recognisers, tell=tell)
    untouched = privacy.untouched(cast, recognisers, originals, seed=settings.seed)
    looks = utility.looks(cast.judged, [item.picture for item in cast.judged], make_attributes(JUDGE))
    sights = {name: utility.found_before(cast.judged, make_one()) for name, make_one in DETECTORS.items()}
    people = groups.predicted(cast.judged, looks)
    bench = _Bench(cast, recognisers, originals, untouched, people, looks, sights)
    floor = Hidden(make(FLOOR, {}), Secret.from_seed(settings.seed), perception.hulls)
    black = replace(bench, recognisers=[item for item in recognisers if item.kind == "black box"])
    bench.floor = _attacked(floor, black, settings, tell, sights=("picture",))[0]
    records, examples = [], []
    for treatment in treatments:
        record, views = _measured(treatment, bench, settings, tell)
        records.append(record)
        examples.append([(cast.judged[row].picture, views[row]) for row in _spread(len(views), 12)])
    faults = {what: len(names) for item in treatments for what, names in item.faults.items()}
    return Results(_document(data, bench, records, settings, faults), examples)


def _spread(count: int, most: int) -> list[int]:
    return [int(row) for row in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]


def _cast(
    data: Mapping[str, Path], perception: Perception, settings: Settings, only: Container[str] | None
) -> Cast:
    samples = [(source, one) for source, one in read(data) if only is None or f"{source}/{one.name}" in only]
    parts: list[list[Item]] = []
    left_out: dict[str, str] = {}
    sought: list[set[str]] = []
    for split, people in (("test", settings.people), ("train", settings.known)):
        chosen = choose(samples, split, people=people, pictures=settings.pictures)  # type: ignore[arg-type]
        items, reasons = load(chosen, perception.searcher, perception.hulls)
        parts.append(items)
        sought.append({f"{source}/{sample.name}" for source, sample in chosen})
        left_out |= reasons
    cast = Cast(parts[0], parts[1], left_out, frozenset(sought[0]))
    for items, part in ((cast.judged, "test"), (cast.known, "train")):
        several = sum(count > 1 for count in Counter(item.person for item in items).values())
        if several < 2:
            raise InputError(
                f"{', '.join(data)}: at least two people of the {part} part must have two pictures, got {several}"
            )
    return cast


def _attacked(
    treatment: Treatment,
    bench: _Bench,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    sights: Sequence[Shown] = SHOWN,
) -> tuple[list[Attacked], list[Bytes], float]:
    """Return the attacks, what became of the judged pictures, and the seconds that it took."""
    cast = bench.cast
    tell(f"{treatment.name}: hiding")
    began = time.monotonic()
    judged = treatment(cast.judged)
    seconds = time.monotonic() - began
    found = privacy.attack(
        cast,
        judged,
        treatment(cast.known),
        bench.recognisers,
        bench.originals,
        seed=settings.seed,
        sights=sights,
        tell=lambda text: tell(f"{treatment.name}: {text}"),
    )
    return found, judged, seconds


def _measured(
    treatment: Treatment, bench: _Bench, settings: Settings, tell: Callable[[str], None]
) -> tuple[MethodRecord, list[Bytes]]:
    cast, seed = bench.cast, settings.seed
    found, judged, seconds = _attacked(treatment, bench, settings, tell)
    tell(f"{treatment.name}: utility")
    figures = {
        "pixels": utility.differences(cast.judged, judged, seed=seed),
    }
    for name, make_one in DETECTORS.items():
        figures[f"detection, {name}"] = utility.detection(
            cast.judged, bench.sights[name], judged, make_one(), seed=seed
        )
    after_looks = utility.looks(cast.judged, judged, make_attributes(JUDGE))
    figures["attributes"] = utility.attributes(cast.judged, bench.looks, after_looks, seed=seed)
    own = next((item for item in bench.recognisers if item.name == "incog"), None)
    if own is not None:
        after = own(judged, [item.points for item in cast.judged])
        figures["set"] = utility.sets(bench.originals.judged[own.name, "picture"], after, seed=seed)
    lost = sum(reason == UNFOUND for name, reason in cast.left_out.items() if name in cast.sought)
    missed = sum(not item.faces for item in cast.judged) + lost
    unprotected = (
        wilson(missed, len(cast.judged) + lost)
        if treatment.unprotected
        else utility.left_open(cast.judged, judged)
    )
    headlines = [_headline(found, bench, shown, seed) for shown in SHOWN]
    record = MethodRecord(
        method=treatment.name,
        parameters=treatment.parameters,
        claims=[told(claim) for claim in treatment.claims],
        headlines=headlines,
        attacks=[AttackRecord.of(item) for item in found],
        utility={
            part: {name: Value.of(figure) for name, figure in rows.items()} for part, rows in figures.items()
        },
        unprotected=Value.of(unprotected),
        around=treatment.around(),
        seconds=round(seconds / max(len(judged), 1), 4),
        verdict=verdict(
            headlines[0],
            [
                f"{item.recogniser}, {item.attack} (AUC {item.outcome.auc.value:.2f})"
                for item in privacy.telling(found, "face")
            ],
        ),
    )
    return record, judged


def _headline(found: Sequence[Attacked], bench: _Bench, shown: Shown, seed: int) -> Headline:
    top = privacy.worst(found, shown)
    probe_people = [bench.cast.judged[row].person for row in bench.cast.gallery()[1]]
    by_group = groups.by_group(top.outcome, probe_people, bench.groups, seed=seed)

    def rank1(rows: Sequence[Attacked], attack: str) -> Figure:
        return next(
            item.outcome.rank1
            for item in rows
            if (item.attack, item.recogniser, item.shown) == (attack, top.recogniser, shown)
        )

    return Headline(
        shown=shown,
        attack=top.attack,
        recogniser=top.recogniser,
        rank1=Value.of(top.outcome.rank1),
        auc=Value.of(top.outcome.auc),
        untouched=Value.of(rank1(bench.untouched, "untouched")),
        floor=Value.of(rank1(bench.floor, top.attack)) if shown == "picture" else None,
        groups={name: Value.of(figure) for name, figure in by_group.items()},
        uneven=groups.uneven(by_group),
        chance=1 / top.outcome.people,
    )


def verdict(headline: Headline, telling: Sequence[str]) -> str:
    """Return one line on the worst attack, by the upper end of its interval.

    telling: in words, the attacks whose AUC is beyond chance.
    """
    share, low, high = headline.rank1.value or 0.0, headline.rank1.low or 0.0, headline.rank1.high or 1.0
    by, chance = f"{headline.recogniser}, {headline.attack}", headline.chance
    told = f"{100 * share:.1f} % (at most {100 * high:.1f} %) of faces are told by {by}"
    # Figures have five digits.
    if low - 1e-4 <= chance and not telling:
        if high > max(NEAR * chance, chance + NEAR_AT_LEAST):
            return f"Not told from chance with so few people: {told}; guessing gives {100 * chance:.1f} %."
        return f"At chance: {told}; guessing gives {100 * chance:.1f} %."
    if low - 1e-4 <= chance:
        return f"Leaks a little: {told}, and pairs of one person can be told from others by {telling[0]}."
    kept = high / max(headline.untouched.value or 1.0, 1e-9)
    word = "Weak" if kept > 0.5 else "Leaks" if kept > 0.1 else "Leaks a little"
    return f"{word}: {told}; {100 * (headline.untouched.value or 0):.1f} % of untouched ones."


def _document(
    data: Mapping[str, Path],
    bench: _Bench,
    records: list[MethodRecord],
    settings: Settings,
    faults: Mapping[str, int],
) -> Evaluation:
    cast = bench.cast
    pairs: Pairs = privacy.pairs_of(cast)
    people = Counter(item.person for item in cast.judged)
    count = len(cast.judged)
    different = count * (count - 1) // 2 - sum(n * (n - 1) // 2 for n in people.values())
    words = list(WORDS)
    if faults:
        words.append(
            "A part only: "
            + "; ".join(f"{count} {what}" for what, count in faults.items())
            + " were left out."
        )
    if different < LEAST_PAIRS:
        words.append(
            f"Thresholds rest on {different:,} pairs of different people. Figures that are quoted should rest on "
            f"{LEAST_PAIRS:,} at least."
        )
    return Evaluation(
        versions={name: metadata.version(name) for name in VERSIONS},
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        protocol=Protocol(
            data={name: path.name for name, path in data.items()},
            split="test",
            judged_pictures=count,
            judged_people=len(people),
            gallery_people=len(pairs.gallery),
            probes=len(pairs.probes),
            known_pictures=len(cast.known),
            known_people=len({item.person for item in cast.known}),
            pairs=different,
            seed=settings.seed,
            quick=settings.quick,
            left_out={**Counter(cast.left_out.values()), **faults},
            words=words,
        ),
        recognisers=[
            RecogniserRecord(name=item.name, kind=item.kind, note=item.note, sha256=item.sha256)
            for item in bench.recognisers
        ],
        untouched=[AttackRecord.of(item) for item in bench.untouched],
        methods=records,
    )
