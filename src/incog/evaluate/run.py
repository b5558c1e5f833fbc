"""One evaluation: methods over a cast of known people, attacked and measured, as a document."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import numpy as np

import incog
from incog import models
from incog.data.faces import Split
from incog.data.readers import read
from incog.errors import InputError
from incog.evaluate import claims, groups, privacy, unet, utility
from incog.evaluate.attacks import FEWEST, LEAST_LEARNT, RATES, Pairs
from incog.evaluate.claims import Audited
from incog.evaluate.classical import Eigenfaces
from incog.evaluate.document import (
    AttackRecord,
    AuditRecord,
    Evaluation,
    FloorRecord,
    Headline,
    MethodRecord,
    Protocol,
    RecogniserRecord,
    Value,
)
from incog.evaluate.intervals import wilson
from incog.evaluate.looks import landmarks_of, pose_and_gaze
from incog.evaluate.privacy import SHOWN, Attacked, Learner, Originals, Shown
from incog.evaluate.progress import Progress
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.samples import LEAST_PAIRS, UNFOUND, Cast, Item, choose, load
from incog.evaluate.supplied import Inception, Lpips, warning
from incog.evaluate.supplied import figures as supplied_figures
from incog.evaluate.treatments import Hidden, Treatment
from incog.evaluate.verdict import floor_of, verdict
from incog.keys import SALT_BYTES, Secret
from incog.methods import make
from incog.perceive.attributes import JUDGE, Attributes, make_attributes
from incog.perceive.detector import CenterFace, Detector, Hog
from incog.perceive.landmarks import Landmarker, Landmarks, make_landmarker
from incog.pipeline import Perception, told
from incog.types import Bytes, Face, Floats

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
    "The trained inversion and attacks that go by how a method works are made on the face alone.",
)
"""The protocol in words."""


@dataclass(frozen=True, slots=True)
class Settings:
    """people: who are attacked, at most; None for all. known: who attackers learn from, at most. seed: of all that is
    drawn. steps: of training the inverting network; 0 for none. eigenfaces: components of a recogniser that is made
    from the pictures of known people; 0 for none. quick: said in the report."""

    people: int | None = 300
    known: int | None = 150
    pictures: int = 3
    seed: int = 0
    steps: int = 400
    eigenfaces: int = 0
    quick: bool = False


EXAMPLES = 12
"""Pictures of a method that the report shows."""

QUICK = Settings(people=90, known=50, pictures=2, steps=0, quick=True)
"""An answer in about two minutes: too few pairs for a figure that may be quoted."""

FULL = Settings(people=None, known=600, pictures=8, steps=2000)
"""All people there are: for publication."""


@dataclass(frozen=True, slots=True, eq=False)
class Supplied:
    """What a user may bring beyond recognisers. learner: of the trained inversion. lpips, inception: see
    ``incog.evaluate.supplied``."""

    learner: Learner | None = None
    lpips: Lpips | None = None
    inception: Inception | None = None


NOTHING = Supplied()


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a run made. examples: for each treatment a few (before, after) pictures. judged, looks: the pictures that
    were attacked, and what their faces look like to a network."""

    evaluation: Evaluation
    examples: list[list[tuple[Bytes, Bytes]]]
    judged: list[Item]
    looks: list[Attributes]


@dataclass(slots=True, eq=False)
class _Bench:
    cast: Cast
    recognisers: Sequence[Recogniser]
    originals: Originals
    untouched: list[Attacked]
    groups: Mapping[str, Sequence[str]]
    looks: list[Attributes]
    known_looks: list[Attributes]
    geometry: list[Landmarks]
    landmarker: Landmarker
    sights: dict[str, list[Face | None]]
    supplied: Supplied
    features: Floats | None
    floor: list[AttackRecord] = field(default_factory=list)


def evaluate(
    treatments: Sequence[Treatment],
    data: Mapping[str, Path],
    recognisers: Sequence[Recogniser],
    perception: Perception,
    settings: Settings,
    *,
    only: Container[str] | None = None,
    supplied: Supplied = NOTHING,
    progress: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Results:
    """Treat pictures of the people of datasets, attack the results and measure what is left.

    data: sources that name people, see ``incog.data.readers``; pictures that ``only`` does not name are left
    out. progress: a folder of its own for what is finished; the same run goes on from it, and whoever has written the
    results removes it. Raises InputError when fewer than two people have two pictures, or no recogniser is a black box.
    """
    if not any(item.kind == "black box" for item in recognisers):
        raise InputError(
            "a recogniser must be a black box, none of those given is",
            hint="install one: pip install 'incog[eval]'",
        )
    tell("looking for faces")
    cast = _cast(data, perception, settings, only)
    if settings.eigenfaces:
        known, points = [item.picture for item in cast.known], [item.points for item in cast.known]
        # The first three follow the light.
        count = min(settings.eigenfaces, len(known) // 2)
        recognisers = [*recognisers, Eigenfaces(known, points, components=count, dropped=3)]
    originals = privacy.embed_originals(cast, recognisers, tell=tell)
    untouched = privacy.untouched(cast, recognisers, originals, seed=settings.seed)
    sees = make_attributes(JUDGE)
    looks, known_looks = (
        utility.looks(items, [item.picture for item in items], sees) for items in (cast.judged, cast.known)
    )
    sights = {name: utility.found_before(cast.judged, make_one()) for name, make_one in DETECTORS.items()}
    people = groups.predicted(cast.judged, looks)
    landmarker = make_landmarker()
    before = [item.picture for item in cast.judged]
    bench = _Bench(
        cast,
        recognisers,
        originals,
        untouched,
        people,
        looks,
        known_looks,
        landmarks_of(cast.judged, before, landmarker),
        landmarker,
        sights,
        supplied,
        supplied.inception(before) if supplied.inception else None,
    )
    store = None if progress is None else Progress(progress, _fingerprint(bench, settings))
    floor = store.floor() if store else None
    if floor is None:
        black = replace(
            bench, recognisers=[item for item in recognisers if item.kind == "black box"], supplied=NOTHING
        )
        nothing = Hidden(make(FLOOR, {}), Secret.from_seed(settings.seed), perception.hulls)
        attacks, _ = _attacked(nothing, nothing(cast.judged), black, settings, tell)
        floor = FloorRecord(attacks=[AttackRecord.of(item) for item in attacks])
        if store:
            store.keep_floor(floor)
    bench.floor = floor.attacks
    rows = _spread(len(cast.judged), EXAMPLES)
    records, examples = [], []
    for treatment in treatments:
        done = store.method(treatment.mark()) if store else None
        if done is not None:
            tell(f"{treatment.name}: measured before")
            record, shown = done
        else:
            record, views = _measured(treatment, bench, settings, tell)
            shown = [views[row] for row in rows]
            if store:
                store.keep(treatment.mark(), record, shown)
        records.append(record)
        examples.append([(cast.judged[row].picture, view) for row, view in zip(rows, shown, strict=True)])
    faults = {what: len(names) for item in treatments for what, names in item.faults.items()}
    return Results(_document(data, bench, records, settings, faults), examples, cast.judged, looks)


def _fingerprint(bench: _Bench, settings: Settings) -> str:
    """Return what all figures of a run depend on but the method: who, seen by whom, with which program."""
    digest = hashlib.sha256(repr((settings, bench.supplied.learner is None, _versions())).encode())
    # The code itself: the version stays the same while somebody works on it.
    package = Path(incog.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in ("cli", "train"):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name, network in sorted(models.RECORDS.items()):
        digest.update(f"{name}\n{network.sha256}\n".encode())
    for items in (bench.cast.judged, bench.cast.known):
        for item in items:
            digest.update(f"{item.name}\n{item.person}\n{item.hull.tobytes().hex()}\n".encode())
            digest.update(hashlib.sha256(item.picture.tobytes()).digest())
    for recogniser in bench.recognisers:
        digest.update(
            f"{recogniser.name}\n{recogniser.kind}\n{recogniser.sha256}\n{recogniser.settings}\n".encode()
        )
    for brought in (bench.supplied.lpips, bench.supplied.inception):
        digest.update(f"{brought.sha256}\n{brought.settings}\n".encode() if brought else b"\n")
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    names = [*VERSIONS, "torch"] if unet.available() else VERSIONS
    return {name: metadata.version(name) for name in names}


def _guess_seconds() -> float:
    """Return how long one guess of a passphrase takes here."""
    began = time.perf_counter()
    Secret.from_passphrase("a guess", bytes(SALT_BYTES))
    return time.perf_counter() - began


def _memory() -> int | None:
    """Return the most memory that this process held, in MiB."""
    if sys.platform not in ("linux", "darwin"):
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most // (1024 if sys.platform == "linux" else 1024**2))


def _spread(count: int, most: int) -> list[int]:
    return [int(row) for row in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]


def _cast(
    data: Mapping[str, Path], perception: Perception, settings: Settings, only: Container[str] | None
) -> Cast:
    samples = [(source, one) for source, one in read(data) if only is None or f"{source}/{one.name}" in only]
    parts: list[list[Item]] = []
    left_out: dict[str, str] = {}
    sought: list[set[str]] = []
    seen: set[bytes] = set()
    # Those of the dev part first: incog's own networks were not trained on them.
    roles: list[tuple[list[Split], int | None]] = [
        (["test"], settings.people),
        (["dev", "train"], settings.known),
    ]
    for splits, people in roles:
        chosen = choose(samples, splits, people=people, pictures=settings.pictures)
        items, reasons = load(chosen, perception.searcher, perception.hulls, seen=seen)
        parts.append(items)
        sought.append({f"{source}/{sample.name}" for source, sample in chosen})
        left_out |= reasons
    cast = Cast(parts[0], parts[1], left_out, frozenset(sought[0]))
    for items, part in ((cast.judged, "test"), (cast.known, "dev and train")):
        several = sum(count > 1 for count in Counter(item.person for item in items).values())
        if several < 2:
            raise InputError(
                f"{', '.join(data)}: at least two people of the {part} part must have two pictures, got {several}",
                hint="one person in five is of the test part, one in twenty of dev, by their names: give more people",
            )
    if len(cast.known) < LEAST_LEARNT:
        raise InputError(
            f"{', '.join(data)}: attackers must have at least {LEAST_LEARNT} pictures of the dev and train part to "
            f"learn from, got {len(cast.known)}"
        )
    return cast


def _attacked(
    treatment: Treatment,
    judged: Sequence[Bytes],
    bench: _Bench,
    settings: Settings,
    tell: Callable[[str], None],
    known: Sequence[Bytes] | None = None,
) -> tuple[list[Attacked], dict[str, Bytes]]:
    """Return the attacks, and what they brought back, see ``privacy.attack``. judged, known: what became of the
    pictures."""
    return privacy.attack(
        bench.cast,
        judged,
        treatment(bench.cast.known) if known is None else known,
        bench.recognisers,
        bench.originals,
        seed=settings.seed,
        extras=treatment.extras(bench.cast.judged, judged),
        learner=bench.supplied.learner,
        tell=lambda text: tell(f"{treatment.name}: {text}"),
    )


def _measured(
    treatment: Treatment, bench: _Bench, settings: Settings, tell: Callable[[str], None]
) -> tuple[MethodRecord, list[Bytes]]:
    cast, seed = bench.cast, settings.seed
    tell(f"{treatment.name}: hiding")
    began = time.monotonic()
    judged = treatment(cast.judged)
    seconds = time.monotonic() - began
    known = treatment(cast.known)
    found, recovered = _attacked(treatment, judged, bench, settings, tell, known)
    tell(f"{treatment.name}: utility")
    figures = {
        "pixels": utility.differences(cast.judged, judged, seed=seed),
        "seam": utility.seam(cast.judged, judged, seed=seed),
    }
    for name, make_one in DETECTORS.items():
        figures[f"detection, {name}"] = utility.detection(
            cast.judged, bench.sights[name], judged, make_one(), seed=seed
        )
    hidden = {"left by the method": privacy.crops(cast.judged, privacy.pictures(cast.judged, judged, "face"))}
    for name, back in (hidden | recovered).items():
        figures[f"face, {name}"] = utility.recovered(cast.judged, back, seed=seed)
    after_looks = utility.looks(cast.judged, judged, make_attributes(JUDGE))
    figures["attributes"] = utility.attributes(cast.judged, bench.looks, after_looks, seed=seed)
    figures["pose and gaze"] = pose_and_gaze(
        cast.judged, bench.geometry, landmarks_of(cast.judged, judged, bench.landmarker), seed=seed
    )
    if bench.supplied.lpips or bench.supplied.inception:
        figures["supplied networks"] = supplied_figures(
            cast.judged,
            judged,
            lpips=bench.supplied.lpips,
            inception=bench.supplied.inception,
            before=bench.features,
            seed=seed,
        )
    figures["attributes taught"] = utility.taught(
        cast.known, known, bench.known_looks, cast.judged, bench.looks, seed=seed
    )
    own = next((item for item in bench.recognisers if item.name == "incog"), None)
    if own is not None:
        after = own(judged, [item.points for item in cast.judged])
        figures["set"] = utility.sets(bench.originals.judged[own.name, "picture"], after, seed=seed)
    audited: list[Audited] = []
    if treatment.method is not None:
        if treatment.method.keyed and own is not None:
            figures["keys"] = utility.over_keys(treatment, cast.judged, own, seed=seed)
        figures["speed, ms a face"] = utility.speed(treatment.method, cast.known, seed=seed)
        audited = claims.audit(
            treatment.method, cast.known, seed=seed, tell=lambda text: tell(f"{treatment.name}: {text}")
        )
    lost = sum(reason == UNFOUND for name, reason in cast.left_out.items() if name in cast.sought)
    missed = sum(not item.faces for item in cast.judged) + lost
    unprotected = (
        wilson(missed, len(cast.judged) + lost)
        if treatment.unprotected
        else utility.left_open(cast.judged, judged)
    )
    headlines = [_headline(found, bench, shown, seed) for shown in SHOWN]
    attacks = [AttackRecord.of(item) for item in found]
    record = MethodRecord(
        method=treatment.name,
        parameters=treatment.parameters,
        claims=[told(claim) for claim in treatment.claims],
        audits=[AuditRecord.of(item) for item in audited],
        headlines=headlines,
        attacks=attacks,
        utility={
            part: {name: Value.of(figure) for name, figure in rows.items()} for part, rows in figures.items()
        },
        unprotected=Value.of(unprotected),
        around=treatment.around(),
        seconds=round(seconds / max(len(judged), 1), 4),
        verdict=verdict(headlines[0], attacks, bench.floor),
    )
    return record, judged


def _headline(found: Sequence[Attacked], bench: _Bench, shown: Shown, seed: int) -> Headline:
    top = privacy.worst(found, shown)
    probe_people = [bench.cast.judged[row].person for row in bench.cast.gallery()[1]]
    by_group = groups.by_group(top.outcome, probe_people, bench.groups, seed=seed)

    untouched = max(
        (item.outcome.rank1 for item in bench.untouched if item.kind == "black box" and item.shown == shown),
        key=lambda figure: figure.value,
    )
    return Headline(
        shown=shown,
        attack=top.attack,
        recogniser=top.recogniser,
        rank1=Value.of(top.outcome.rank1),
        auc=Value.of(top.outcome.auc),
        untouched=Value.of(untouched),
        floor=floor_of(bench.floor, AttackRecord.of(top)).rank1,
        groups={name: Value.of(figure) for name, figure in by_group.items()},
        uneven=groups.uneven(by_group),
        chance=1 / top.outcome.people,
    )


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
    if bench.supplied.inception:
        words.append(warning(count))
    untold = [rate for rate in RATES if different * rate < FEWEST]
    if untold:
        rates = ", ".join(f"{rate:g}" for rate in untold)
        words.append(
            f"Not told: true acceptance at FAR {rates}. That needs {FEWEST / max(untold):,.0f} pairs of different "
            f"people at least, and there are {different:,}."
        )
    if different < LEAST_PAIRS:
        words.append(
            f"Thresholds rest on {different:,} pairs of different people. Figures that are quoted should rest on "
            f"{LEAST_PAIRS:,} at least."
        )
    return Evaluation(
        versions=_versions(),
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
            guess_seconds=float(f"{_guess_seconds():.3g}"),
            memory=_memory(),
            left_out={**Counter(cast.left_out.values()), **faults},
            words=words,
        ),
        recognisers=[
            RecogniserRecord(name=item.name, kind=item.kind, note=item.note, sha256=item.sha256)
            for item in bench.recognisers
        ],
        untouched=[AttackRecord.of(item) for item in bench.untouched],
        floor=FloorRecord(attacks=bench.floor),
        methods=records,
    )
