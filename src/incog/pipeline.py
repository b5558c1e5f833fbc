"""The whole flow: ``plan`` looks, ``render`` acts, ``hide`` does both and checks the result before it is published."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path

from incog import crowd, geometry, people, track, undoing
from incog.checking import Seen, choose, extended, look_again
from incog.deniable.choosing import check_method
from incog.deniable.coding import Deniable
from incog.errors import ExposedError, InputError, PlanError, UsageError
from incog.keys import FILE_ID_BYTES, Secret, derive, track_key
from incog.media import open_source
from incog.media.base import OutputOptions, Source
from incog.media.files import pending
from incog.methods.base import Claim, Method
from incog.perceive import attributes
from incog.perception import Perception as Perception
from incog.perception import Progress as Progress
from incog.perception import silent as silent
from incog.perception import watched
from incog.plan import Plan, PlanTrack, SourceRecord, Times, digest, tracks_of, unrolled, within
from incog.report import ClaimReport, FileReport, Rescan, VaultReport
from incog.rescan import Comparison
from incog.subjects import RISK, Named, Subjects, clear_looks, mean_looks
from incog.types import Key, Track
from incog.undoing import Changed, denied, hider_of, sealed
from incog.vault import files as vault
from incog.writing import Drawing, write

ROUNDS = 6
"""How often the output is covered and looked at again before the file is given up."""

REDRAWS = 2
"""How often a track whose new face is taken for the old one is drawn anew, by another key, before it is filled."""


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
    """Look at every frame and return where the faces are. spans: times of films to act on, (start, stop) in seconds;
    all where there are none. choice: who stays visible, or is hidden alone; the frames are then read once more.
    file_id: 16 bytes, random by default.

    Raises InputError, also when the spans hold no frame: the result would hide nothing."""
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
    made = Plan(
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
        # A photo has no times: it is hidden whatever times of films are.
        spans=spans if spans and source.kind != "photo" else [],
        scanned=timeline.scanned,
        selection=selection,
        tracks=tracks,
    )
    _check_spans(made)
    return made


def _check_spans(plan: Plan) -> None:
    """Raise InputError when the spans of a plan hold no frame: every face would stay visible."""
    moments = list(unrolled(plan.source.times))
    if moments and not any(within(time, plan.spans) for time in moments):
        raise InputError(
            f"the spans must hold a frame of the file, whose last is at {float(moments[-1]):.3g} s"
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
    _check_spans(plan)
    covered, recognised, exposed = 0, set[int](), set[int]()
    if options.deniable is not None:
        if options.sealing is not None:
            raise UsageError("a file must be sealed or hidden deniably, not both")
        method = check_method(method)
    risk = RISK if options.deniable is None else undoing.RISK
    who = subjects or _subjects(source, plan, method, secret, perception, named, risk, progress)
    scope = plan.scope

    redraws: dict[int, int] = {}
    # Deniably, faces are drawn anew by what enciphers them.
    redrawable = options.deniable is None and _redrawable(method, who)

    def key_of(number: int) -> Key:
        again = redraws.get(number) if redrawable else None
        return (
            derive(secret, "track again", scope, number, again) if again else _key(secret, scope, who, number)
        )

    hider = None
    if options.deniable is not None:
        hider = hider_of(
            source, plan, method, key_of, options.deniable, options.mask_scale, perception, who, progress
        )
    averaged = hider is None or hider.mode.averaged
    changed = Changed(source)
    witness = hider.witness if hider else (changed if options.sealing else None)
    comparison = Comparison(perception.recogniser) if options.compare else None
    with pending(target, overwrite=options.overwrite, parents=True, inputs=[source.path]) as file:
        for round_number in range(1, ROUNDS + 1):
            if comparison is not None:
                choose(comparison, source, plan)
            done = write(
                source,
                lambda: watched(source, "hiding", progress),
                plan,
                file.path,
                Drawing(
                    hider or method, key_of, perception.hulls, options.mask_scale, who, averaged=averaged
                ),
                options.output,
                recognised,
                comparison,
                witness,
            )
            seen = Seen(method, done.fallback.whole, comparison)
            findings = look_again(
                file.path, plan, perception, options.mask_scale, round_number, exposed, seen, progress
            )
            # A new face that is taken for the old one by chance is drawn anew before it is given up.
            fresh = {number for number in findings.recognised if redraws.get(number, 0) < REDRAWS}
            anew = hider.redrawn(fresh) if hider else fresh if redrawable else set[int]()
            redraws |= {number: redraws.get(number, 0) + 1 for number in anew}
            recognised |= findings.recognised - anew
            if not findings.exposed and not findings.recognised:
                break
            covered += len(findings.exposed)
            exposed |= {index for index, _ in findings.exposed}
            if findings.exposed:
                plan = extended(source, plan, findings, perception, progress)
        else:
            raise ExposedError(
                f"{len(findings.exposed) + len(findings.recognised)} face(s) could still be seen "
                f"after {ROUNDS} rounds of covering"
            )
        told_of: VaultReport | None = None
        warning: list[ClaimReport] = []
        with ExitStack() as stack:
            if hider is not None and options.deniable is not None:
                told_of, warning = stack.enter_context(
                    denied(
                        file.path,
                        target,
                        source,
                        hider,
                        plan.source.frames,
                        done.fallback.covers,
                        sidecar=options.deniable.sidecar,
                        overwrite=options.overwrite,
                    )
                )
            elif options.sealing is not None:
                told_of, warning = stack.enter_context(
                    sealed(
                        file.path, target, source, plan, options.sealing, changed, overwrite=options.overwrite
                    )
                )
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
        vault=told_of,
        decisions=done.decisions,
    )


def _subjects(
    source: Source,
    plan: Plan,
    method: Method,
    secret: Secret,
    perception: Perception,
    named: Sequence[Named],
    risk: float,
    progress: Progress,
) -> Subjects:
    """Return who the tracks are, and how they look, as far as the method asks for it. risk: see
    ``incog.crowd.grouped``."""
    stable = getattr(method, "identity", "track") == "stable"
    film = source.kind != "photo"
    if not (stable and (film or named)) and not (film and attributes.NAME in method.needs):
        return Subjects()
    frames = watched(source, "telling apart" if stable else "looking", progress)
    tracks = tracks_of(plan.tracks)
    looked = clear_looks(frames, tracks, perception.recogniser, attributes=attributes.make_attributes())
    if not (stable and named):
        of = crowd.joined(tracks, looked, perception.recogniser.calibration, risk=risk) if stable else {}
        # One frame may show somebody so that another gender or age is told: the clear ones are asked together.
        return Subjects(of, looks=mean_looks(of, looked))
    return crowd.recognised(tracks, looked, named, secret, perception.recogniser.calibration, risk=risk)


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
