"""The whole flow: ``plan`` looks, ``render`` acts, ``hide`` does both and checks the result before it is published."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path

from incog import compose, crowd, geometry, people, track
from incog.deniable import files as deniable_files
from incog.deniable.hiding import Codes, Deniable, Hider, check_method
from incog.errors import ExposedError, InputError, PlanError, UsageError
from incog.keys import FILE_ID_BYTES, Secret, derive, track_key
from incog.media import open_source
from incog.media.base import OutputOptions, Source
from incog.media.files import pending
from incog.methods.base import Claim, Method
from incog.perceive.detector import Hog, make_detector
from incog.perceive.hulls import make_hulls
from incog.perceive.recogniser import make_recogniser
from incog.perceive.search import Searcher
from incog.plan import Plan, PlanTrack, SourceRecord, Times, digest, tracks_of, unrolled, within
from incog.report import ClaimReport, FileReport, Rescan
from incog.rescan import COMPARED_SECONDS, Comparison, Findings, Rescanner
from incog.subjects import Named, Subjects, clear_looks, linked
from incog.types import Face, Floats, Frame, Key, Origin, Track
from incog.vault import files as vault
from incog.vault.patches import Changes
from incog.vault.tracks import Region, Tracks
from incog.writing import Drawing, Sides, looked_at, write

Progress = Callable[[str, int, int | None], None]
"""Called as progress(stage, frames done, frames in all or None)."""

ROUNDS = 4
"""How often the output is covered and looked at again before the file is given up."""

REDRAWS = 2
"""How often a track whose new face is taken for the old one is drawn anew, by another key, before it is filled."""

RESCAN_LEAST = 8
"""Frames that the rescan looks at, at least, in a video that has as many."""

RESCAN_SECONDS = 0.64
"""Time between the frames of a video that the rescan looks at."""


def silent(stage: str, done: int, total: int | None) -> None:
    """The progress of callers that want none."""


class Perception:
    """The networks, loaded once per process. Raises ModelError when one is missing, UsageError for a bad name."""

    def __init__(
        self, *, detector: str = "centerface", threshold: float = 0.3, device: str = "cpu", threads: int = 0
    ):
        self.detector, self.threshold = detector, threshold
        self.settings = track.Settings(threshold=threshold, low=min(threshold, track.Settings().low))
        first = make_detector(detector, device=device, threads=threads)
        self.searcher = Searcher(first, threshold=threshold, low=self.settings.low)
        self.rescanner = Rescanner(first, Hog(), self.searcher, threshold=threshold)
        self.hulls = make_hulls(device=device)
        self.recogniser = make_recogniser(self.searcher.look, device=device, threads=threads)


@dataclass(frozen=True, slots=True)
class Options:
    """How to render. mask_scale: size of the mask relative to the detector's box. compare: whether hidden faces are
    compared with the original, and drawn anew or filled where they are still recognised. sealing: whether the original
    is sealed into the result. deniable: whether any passphrase shall bring some faces back; not together with sealing.
    See OutputOptions for the file."""

    mask_scale: float = geometry.MASK_SCALE
    compare: bool = True
    output: OutputOptions = field(default_factory=OutputOptions)
    overwrite: bool = False
    sealing: vault.Sealing | None = None
    deniable: Deniable | None = None


def plan(
    source: Source,
    perception: Perception,
    *,
    spans: list[tuple[float, float]] | None = None,
    choice: people.Choice | None = None,
    file_id: bytes | None = None,
    progress: Progress = silent,
) -> Plan:
    """Look at every frame and return where the faces are. choice: who stays visible, or is hidden alone; the frames
    are then read once more. file_id: 16 bytes, random by default."""
    file_id = file_id or secrets.token_bytes(FILE_ID_BYTES)
    before = digest(source.path, file_id)
    times = Times()
    frames = watched(source, "looking", progress, times)
    if source.kind == "photo":
        only = next(frames, None)
        if only is None:
            raise InputError("the file holds no picture")
        faces = perception.searcher.frame(only)
        timeline = track.Timeline(track.single(faces), 1 + sum(1 for _ in frames), [0], [])
    else:
        settings = perception.settings if source.kind == "video" else track.every_frame(perception.settings)
        tracker = track.Tracker(
            perception.searcher.scan, perception.searcher.look, rate=source.rate, settings=settings
        )
        timeline = tracker.run(frames)
    if timeline.frames == 0:
        raise InputError("the file holds no picture")
    tracks, selection = [PlanTrack.of(item) for item in timeline.tracks], None
    if choice is not None and timeline.tracks:
        decision = _decided(source, timeline.tracks, choice, perception, progress)
        tracks = [
            item.model_copy(
                update={"hide": item.id not in decision.visible, "show": decision.shown.get(item.id)}
            )
            for item in tracks
        ]
        selection = decision.record
    if digest(source.path, file_id) != before:
        raise InputError("the file changed while it was read")
    return Plan(
        file_id=file_id.hex(),
        source=SourceRecord(
            kind=source.kind,
            width=source.width,
            height=source.height,
            frames=timeline.frames,
            times=times.record(),
            digest=before,
        ),
        detector=perception.detector,
        threshold=perception.threshold,
        spans=spans or [],
        scanned=timeline.scanned,
        selection=selection,
        tracks=tracks,
    )


def _decided(
    source: Source,
    tracks: list[Track],
    choice: people.Choice,
    perception: Perception,
    progress: Progress,
) -> people.Decision:
    sights = people.look(
        watched(source, "recognising", progress), tracks, choice, perception.recogniser, rate=source.rate
    )
    return people.decide(
        sights, tracks, choice, perception.recogniser.calibration, photo=source.kind == "photo"
    )


def render(
    source: Source,
    plan: Plan,
    target: Path,
    method: Method,
    secret: Secret,
    perception: Perception,
    *,
    named: Sequence[Named] = (),
    subjects: Subjects | None = None,
    options: Options | None = None,
    progress: Progress = silent,
) -> FileReport:
    """Hide the plan's faces in ``source``, look at the result again, and publish it as ``target``.

    named: people whom a method with ``identity=stable`` gives the same new face in every file of a secret. subjects:
    who the tracks are, where that is known beforehand; else it is told here, for such a method.

    Nothing appears under ``target`` before the rescan is satisfied and the original is sealed, where that is wanted.
    Raises PlanError when the plan is not this source's, ExposedError when a face stays visible, InputError, VaultError
    and OutputError.
    """
    options = options or Options()
    began = time.monotonic()
    if digest(source.path, plan.scope) != plan.source.digest:
        raise PlanError("this plan was made from another file, or the file has changed since")
    covered, recognised, exposed = 0, set[int](), set[int]()
    if options.deniable is not None:
        if options.sealing is not None:
            raise UsageError("a file must be sealed or hidden deniably, not both")
        method = check_method(method)
    who = subjects or _subjects(source, plan, method, secret, perception, named, progress)
    scope = plan.scope

    redraws: dict[int, int] = {}
    redrawable = _redrawable(method, who)

    def key_of(number: int) -> Key:
        again = redraws.get(number)
        return (
            derive(secret, "track again", scope, number, again) if again else _key(secret, scope, who, number)
        )

    hider = _hider(source, plan, method, key_of, options, perception, who, progress)
    changes: Changes | None = None
    tracked: dict[int, dict[int, Region]] = {}

    def witness(before: Frame, after: Frame, drawn: Sequence[compose.Drawn]) -> None:
        nonlocal changes
        if source.kind == "photo":
            changes = Changes.between(before, after, [item.job.face for item in drawn], source.suffix)
        else:
            regions = {
                item.job.track.id: compose.region_of(item.job.face, item.seen.outline, before)
                for item in drawn
            }
            tracked[before.index] = {
                number: region
                for number, region in regions.items()
                if region[0] < region[2] and region[1] < region[3]
            }

    comparison = Comparison(perception.recogniser) if options.compare else None
    with pending(target, overwrite=options.overwrite, parents=True, inputs=[source.path]) as file:
        for round_number in range(1, ROUNDS + 1):
            if comparison is not None:
                _choose(comparison, source, plan)
            done = write(
                source,
                lambda: watched(source, "hiding", progress),
                plan,
                file.path,
                Drawing(hider or method, key_of, perception.hulls, options.mask_scale, who),
                options.output,
                recognised,
                comparison,
                hider.witness
                if hider
                else (witness if options.sealing is not None and source.kind != "animation" else None),
            )
            seen = _Seen(method, done.fallback.whole, comparison)
            findings = _rescan(file.path, plan, perception, options, round_number, exposed, seen, progress)
            # A shown face that is taken for the old one by chance is drawn anew before it is given up.
            anew = hider.redrawn(findings.recognised) if hider and round_number < ROUNDS - 1 else set[int]()
            for number in findings.recognised - anew:
                if redrawable and redraws.get(number, 0) < REDRAWS:
                    redraws[number] = redraws.get(number, 0) + 1
                else:
                    recognised.add(number)
            if not findings.exposed and not findings.recognised:
                break
            covered += len(findings.exposed)
            exposed |= {index for index, _ in findings.exposed}
            if findings.exposed:
                plan = _extended(source, plan, findings, perception, progress)
        else:
            raise ExposedError(
                f"{len(findings.exposed) + len(findings.recognised)} face(s) could still be seen "
                f"after {ROUNDS} rounds of covering"
            )
        sealed, warning = None, list[ClaimReport]()
        if hider is not None and options.deniable is not None:
            payload = hider.payload(plan.source.frames, done.fallback.covers)
            with deniable_files.embedded(
                file.path,
                target,
                source.path,
                payload,
                sidecar=options.deniable.sidecar,
                overwrite=options.overwrite,
            ) as placed:
                sealed = placed.told(payload)
                file.publish()
        elif options.sealing is None:
            file.publish()
        else:
            with vault.sealed(
                file.path,
                target,
                source.path,
                options.sealing,
                changes=Tracks.of(tracked) if source.kind == "video" else changes,
                overwrite=options.overwrite,
            ) as made:
                sealed, *warning = made.told()
                # Sealed is what lay there just now; hidden were the faces of what the plan was made from.
                if digest(source.path, plan.scope) != plan.source.digest:
                    raise PlanError("the file changed while its faces were hidden")
                file.publish()
    return FileReport(
        name="",
        status="hidden" if plan.tracks else "no_faces",
        faces=done.faces,
        tracks=len(done.tracks),
        frames=plan.source.frames,
        method=method.name,
        parameters=parameters(method),
        fallback=len(done.fallback.tracks),
        seconds=round(time.monotonic() - began, 3),
        rescan=Rescan(
            covered=covered,
            recognised=len(recognised),
            redrawn=len(redraws.keys() - recognised),
            compared=findings.compared,
            on_purpose=findings.on_purpose,
            frames=findings.frames,
            rounds=round_number,
            detectors=perception.rescanner.detectors,
        ),
        claims=[
            *(told(claim) for claim in ((hider or method).claims(frames=done.frames) if done.faces else ())),
            *(told(claim) for claim in (people.claims(plan.selection) if plan.selection else ())),
            *warning,
        ],
        selection=people.summary(plan.selection) if plan.selection else [],
        vault=sealed,
        decisions=done.decisions,
    )


def _subjects(
    source: Source,
    plan: Plan,
    method: Method,
    secret: Secret,
    perception: Perception,
    named: Sequence[Named],
    progress: Progress,
) -> Subjects:
    """Return who the tracks are, as far as the method asks for it."""
    if getattr(method, "identity", "track") != "stable" or (source.kind == "photo" and not named):
        return Subjects()
    frames = watched(source, "telling apart", progress)
    tracks = tracks_of(plan.tracks)
    if not named:
        return Subjects(linked(frames, tracks, perception.recogniser))
    looked = clear_looks(frames, tracks, perception.recogniser)
    return crowd.recognised(tracks, looked, named, secret, perception.recogniser.calibration)


def _redrawable(method: Method, who: Subjects) -> bool:
    """Whether another key draws another face for a track alone: not where a person has one face in several places."""
    stable = getattr(method, "identity", "track") == "stable" or who.keys
    return method.keyed and method.granularity == "track" and not stable


def _key(secret: Secret, scope: bytes, subjects: Subjects, number: int) -> Key:
    """Return the key of a track: its person's own, or that of the person's first track."""
    person = subjects.person(number)
    if (key := subjects.keys.get(person)) is not None:
        return key
    return track_key(secret, scope, person if isinstance(person, int) else number)


def _hider(
    source: Source,
    plan: Plan,
    method: Method,
    key_of: Callable[[int], Key],
    options: Options,
    perception: Perception,
    who: Subjects,
    progress: Progress,
) -> Hider | None:
    """Return what hides faces so that any passphrase brings some back, with the codes of the plan's people, if that is
    wanted. Raises UsageError for people enrolled by name, whose faces are the same in several files."""
    if options.deniable is None:
        return None
    if who.keys:
        raise UsageError(
            "people enrolled by name must not be hidden deniably: files with one face can be compared"
        )
    people_of = {track: person for track, person in who.of.items() if isinstance(person, int)}
    codes, keys = Codes(people_of), dict[Key, int]()
    drawing = Drawing(method, key_of, perception.hulls, options.mask_scale, who)
    for looked, tracks in looked_at(watched(source, "reading", progress), Times(), plan, drawing):
        for item, face, seen in zip(tracks, looked.faces, looked.seen, strict=True):
            crop = compose.crop_of(
                looked.frame,
                face,
                mask_scale=options.mask_scale,
                hulls=lambda frame, faces, scale, seen=seen: [seen],  # type: ignore[misc]
            )
            codes.look(crop, item.id)
            keys[key_of(item.id)] = codes.person(item.id)
    return Hider(method, codes, options.deniable, keys)


def told(claim: Claim) -> ClaimReport:
    """Return a method's claim as reports hold it."""
    return ClaimReport(
        statement=claim.statement,
        holds=claim.holds,
        scope=claim.scope,
        conditions=list(claim.conditions),
        value=claim.value,
    )


def hide(
    path: Path,
    target: Path | Callable[[Source], Path],
    method: Method,
    secret: Secret,
    perception: Perception,
    *,
    spans: list[tuple[float, float]] | None = None,
    choice: people.Choice | None = None,
    named: Sequence[Named] = (),
    options: Options | None = None,
    file_id: bytes | None = None,
    progress: Progress = silent,
) -> FileReport:
    """Plan and render one file. target: where to, or a function that says so once the content is known. choice: who
    stays visible, or is hidden alone; everybody is hidden by default. named: see ``render``.

    Raises what ``plan`` and ``render`` raise; in every such case there is no new file.
    """
    began = time.monotonic()
    options = options or Options()
    source = open_source(path)
    goal = target(source) if callable(target) else target
    # Refuse a place that cannot be written before the long work, not after it.
    with pending(goal, overwrite=options.overwrite, parents=True, inputs=[path]):
        if options.sealing is not None or options.deniable is not None:
            vault.refuse_sidecar(goal, overwrite=options.overwrite)
        made = plan(source, perception, spans=spans, choice=choice, file_id=file_id, progress=progress)
    report = render(
        source, made, goal, method, secret, perception, named=named, options=options, progress=progress
    )
    report.seconds = round(time.monotonic() - began, 3)
    return report


def parameters(method: Method) -> dict[str, str | int | float | bool | list[int]]:
    """Return the method's parameters as a report shows them."""
    names: list[str] = [item.name for item in fields(method)] if is_dataclass(method) else []
    values = {name: getattr(method, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the rescan compares hidden faces by. fallback: tracks that were filled throughout."""

    method: Method
    fallback: set[int]
    comparison: Comparison | None

    def check(self, frame: Frame, findings: Findings) -> None:
        if self.comparison is not None:
            self.comparison.check(
                frame, findings, lambda number: number in self.fallback or not self.method.weak
            )


def _choose(comparison: Comparison, source: Source, plan: Plan) -> None:
    """Have the comparison choose its frames among those in which tracks are hidden."""
    plans = {item.id: item for item in plan.tracks}
    acted = [within(time, plan.spans) for time in unrolled(plan.source.times)] if plan.spans else None

    def hidden(number: int, index: int) -> bool:
        return not plans[number].visible(index) and (acted is None or acted[index])

    window = max(1, round(COMPARED_SECONDS * source.rate)) if source.kind == "video" else 1
    comparison.plan(tracks_of(plan.tracks), hidden, window=window)


def watched(source: Source, stage: str, progress: Progress, times: Times | None = None) -> Iterator[Frame]:
    """Yield the frames of a source, and tell how far it is. times: takes in their presentation times."""
    for frame in source.frames():
        if times is not None:
            times.add(frame.time)
        yield frame
        progress(stage, frame.index + 1, source.frame_count)


def _rescan(
    path: Path,
    plan: Plan,
    perception: Perception,
    options: Options,
    round_number: int,
    again: set[int],
    seen: _Seen,
    progress: Progress,
) -> Findings:
    """Look at the written file: at frames between the plan's own keyframes, at other ones in each round, and at those
    in which an earlier round found something (``again``). Hidden faces are compared with what they were."""
    output = open_source(path)
    sides, compared = Sides(plan), Findings()
    acted: dict[int, bool] = {}

    def frames() -> Iterator[Frame]:
        count = 0
        # By the source's times, since a container may round those of the output.
        times = unrolled(plan.source.times)
        timed = zip(watched(output, "checking", progress), chain(times, repeat(Fraction(0))), strict=False)
        for frame, moment in timed:
            acted[frame.index] = within(moment, plan.spans)
            count += 1
            seen.check(frame, compared)
            yield frame
            acted.pop(frame.index, None)
        if count != plan.source.frames:
            raise ExposedError(f"the written file has {count} frames, the source {plan.source.frames}")

    def masks(frame: Frame) -> list[Floats]:
        if not acted[frame.index]:
            return []
        return [perception.hulls.least(face, options.mask_scale) for _, face in sides.hidden(frame.index)]

    def visible(frame: Frame) -> list[Face]:
        if acted[frame.index]:
            return [face for _, face in sides.visible(frame.index)]
        everywhere = Face(box=(0, 0, frame.width, frame.height))
        return [everywhere]

    spaced = min(round(RESCAN_SECONDS * output.rate), plan.source.frames // RESCAN_LEAST)
    step = max(1, spaced) if output.kind == "video" else 1
    scanned = plan.scanned
    offset = ((scanned[1] - scanned[0]) // 2 if len(scanned) > 1 else 0) + round_number - 1
    last = plan.source.frames - 1
    findings = perception.rescanner.look(
        frames(),
        masks=masks,
        visible=visible,
        photo=output.kind == "photo",
        wanted=lambda index: index % step == offset % step or index == last or index in again,
    )
    findings.exposed += compared.exposed
    findings.recognised, findings.compared = compared.recognised, compared.compared
    return findings


def _extended(
    source: Source, plan: Plan, findings: Findings, perception: Perception, progress: Progress
) -> Plan:
    """Return the plan with tracks for the faces that the rescan found, followed in both directions in time."""
    first = max((item.id for item in plan.tracks), default=0) + 1
    if source.kind == "photo":
        found = track.single([face for _, face in findings.exposed])
    else:
        seeds: dict[int, list[Face]] = {}
        for index, face in findings.exposed:
            sure = Face(box=face.box, score=1.0, points=face.points)
            seeds.setdefault(index, []).append(sure)
        tracker = track.Tracker(
            lambda frame, depth: seeds.get(frame.index, []),
            perception.searcher.look,
            rate=source.rate,
            settings=perception.settings,
            keyframes=frozenset(seeds),
        )
        found = tracker.run(watched(source, "following", progress)).tracks
    if not found:
        raise ExposedError(f"{len(findings.exposed)} face(s) seen in the output could not be followed")
    added = [PlanTrack.of(_renumbered(item, first + number)) for number, item in enumerate(found)]
    return plan.model_copy(update={"tracks": [*plan.tracks, *added]})


def _renumbered(item: Track, number: int) -> Track:
    origins = item.origins.copy()
    origins[:] = Origin.ADDED
    return Track(
        number, item.start, item.boxes, item.points, item.scores, origins, item.grow + 0.1, item.hide
    )
