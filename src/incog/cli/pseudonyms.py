"""``incog hide FOLDER --pseudonyms``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import typer

from incog import __version__, casting, gallery, parallel, pseudonyms
from incog.casting import BY, By, Sighting
from incog.cli import passphrases
from incog.cli.screen import Screen, tell
from incog.cli.sets import Place
from incog.cli.wishes import refuse_codec
from incog.cli.working import outcomes
from incog.errors import UsageError, must_be
from incog.gallery import Gallery, Known
from incog.media.walk import printable
from incog.methods.base import Method
from incog.pipeline import told
from incog.pseudonyms import File
from incog.report import FileReport, Report
from incog.subjects import RISK, Named
from incog.vault.stream import Passphrase

PSEUDONYMS = "replace"
"""The method, where none is named."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants, as typed. kept: whether the secret is in a file. gallery, gallery_passphrase: files."""

    people: str | None
    rotate: int
    risk: float | None
    workers: int
    keep_going: bool
    share: bool
    kept: bool
    gallery: Path | None = None
    gallery_passphrase: Path | None = None


def refuse_alone(
    by: str | None, persons: Sequence[str] | None, place: Path | None, rotate: int, method: Method
) -> None:
    """Raise UsageError for options that make no sense without ``--pseudonyms``. place: a gallery's."""
    wrong = {"--people": by is not None, "--gallery": place is not None, "--rotate": rotate != 0}
    for option, given in wrong.items():
        if given:
            raise UsageError(f"{option} must be given with --pseudonyms")
    if persons and getattr(method, "identity", "track") != "stable":
        raise UsageError(
            f"--person must be given with --pseudonyms or a method with identity=stable, got {method.name}",
            hint=f"--method {PSEUDONYMS} --set identity=stable",
        )


def hide_pseudonyms(
    method: Method,
    inputs: Sequence[Path],
    output: str | None,
    settings: parallel.Settings,
    wishes: Wishes,
    randomness: str,
    place: Place,
    names: bool,
    screen: Screen,
) -> None:
    """Hide the people of one folder under pseudonyms. Raises UsageError for what makes no sense with them; see
    ``incog.pseudonyms``."""
    drawing = pseudonyms.usable(method)
    _refuse(settings, wishes)
    if len(inputs) != 1 or not inputs[0].is_dir():
        raise UsageError(
            f"--pseudonyms must be given one folder, got {', '.join(map(printable, inputs))}",
            hint="put all files of a release into one folder",
        )
    risk = RISK if wishes.risk is None else wishes.risk
    if not 1e-6 <= risk <= 0.5:
        raise must_be("--risk", "a number from 1e-06 to 0.5", f"{risk:g}")
    folder = inputs[0]
    out = Path(output) if output is not None else parallel.beside_folder(folder)
    parallel.check_outside(out, folder)
    opened = _opened(wishes, screen)
    if opened is not None:
        settings, randomness = replace(settings, secret=opened[0].secret), "from a sealed gallery"
    settings = replace(settings, secret=pseudonyms.rotated(settings.secret, wishes.rotate))
    perception = parallel.perception_of(settings)
    known = _known(opened, parallel.named(settings.persons, perception))
    if settings.selection:
        parallel.enrolled(settings.selection, perception)
    files, left_alone = pseudonyms.files_of(folder, out, settings.secret)
    jobs = [file.job for file in files]
    refuse_codec(settings.options.output.codec, [job.path for job in jobs])
    summary = Report(device=settings.device, randomness=randomness, left_alone=left_alone)
    with place([job.path for job in jobs], [out]) as save:
        screen.say(f"incog {__version__}: {method.name} on {settings.device}, {len(files)} file(s)")
        if left_alone:
            screen.say(f"{left_alone} file(s) that are no photo or video, or links, left alone")
        if method.weak:
            screen.say(f"Note: {method.name} is weak. {method.weak}")
        sightings, failed = _looked(files, settings, wishes, screen)
        if not failed or wishes.keep_going:
            calibration = perception.recogniser.calibration
            places = {file.job.number: file.place for file in files}
            by = cast("By | None", wishes.people) or (
                "clusters" if known or opened else casting.told_by(places, sightings, calibration)
            )
            found = casting.cast(
                places, sightings, drawing, settings.secret, calibration,
                by=by, known=known, risk=risk, rotation=wishes.rotate,
            )  # fmt: skip
            if opened is not None and wishes.gallery is not None:
                # Before any file, so that none shows a face that the gallery does not know.
                gallery.write(wishes.gallery, replace(opened[0], people=found.known), opened[1])
            claims = [
                told(claim)
                for claim in pseudonyms.claims(found.record, kept=wishes.kept or opened is not None)
            ]
            summary.pseudonyms = found.record.model_copy(update={"claims": claims})
            for line in pseudonyms.summary(found.record):
                screen.say(line)
            due = [
                replace(job, plan=sightings[job.number].plan, subjects=found.subjects[job.number])
                for job in jobs
                if job.number in sightings
            ]
            try:
                for outcome in outcomes(due, settings, wishes.workers, wishes.keep_going, screen):
                    tell(outcome, screen)
                    sightings.pop(outcome.job.number)
                    if outcome.report.status == "failed":
                        failed.append(outcome.report)
                    else:
                        outcome.report.people = found.people[outcome.job.number]
                        summary.files.append(outcome.report)
            finally:
                if out.is_dir():
                    pseudonyms.settle(out)
            for claim in claims:
                screen.say(f"  {'holds' if claim.holds else 'note'}: {claim.statement} ({claim.scope})")
        skipped = len(jobs) - len(summary.files) - len(failed)
        summary.files = sorted([*summary.files, *failed], key=lambda report: int(report.name))
        if names:
            of = {str(file.job.number): printable(file.job.path) for file in files}
            summary.files = [report.model_copy(update={"name": of[report.name]}) for report in summary.files]
        save(summary.model_dump_json(indent=2))
    if skipped:
        screen.error(f"{skipped} file(s) were not tried", "--keep-going goes on after a failure")
    if failed or skipped:
        raise typer.Exit(1)


def _refuse(settings: parallel.Settings, wishes: Wishes) -> None:
    wrong = {
        "--seed": settings.seeded,
        "--share-background": wishes.share,
        "--overwrite": settings.options.overwrite,
        "--keep-metadata": settings.options.output.keep_metadata,
    }
    for option, given in wrong.items():
        if given:
            raise UsageError(f"{option} must not be given with --pseudonyms")
    if wishes.people is not None and wishes.people not in BY:
        raise must_be("--people", " or ".join(BY), wishes.people)
    if wishes.people == "folders" and settings.persons:
        raise UsageError("--person must not be given with --people folders: folders name people already")
    if wishes.people == "folders" and wishes.gallery is not None:
        raise UsageError("--gallery must not be given with --people folders: folders name people already")
    if wishes.gallery is None and wishes.gallery_passphrase is not None:
        raise UsageError("--gallery-passphrase-file must be given with --gallery")
    if wishes.gallery is not None and wishes.kept:
        raise UsageError("--secret-file must not be given with --gallery, which holds a secret of its own")
    if wishes.rotate and not wishes.kept:
        raise UsageError("--rotate must be given with --secret-file: a fresh secret has other faces anyway")


def _opened(wishes: Wishes, screen: Screen) -> tuple[Gallery, Passphrase] | None:
    """Return the gallery and its passphrase, a new one where there is none yet, or None where none was asked for."""
    if wishes.gallery is None:
        return None
    new = not wishes.gallery.exists()
    passphrase = passphrases.of_gallery(wishes.gallery_passphrase, new=new, screen=screen)
    return (Gallery() if new else gallery.read(wishes.gallery, passphrase)), passphrase


def _known(opened: tuple[Gallery, Passphrase] | None, named: Sequence[Named]) -> list[Known]:
    """Return who is known beforehand: the gallery's people, and those with a name who are not among them."""
    people = list(opened[0].people) if opened is not None else []
    there = {person.name for person in people if person.given}
    return people + [Known.of(person) for person in named if person.name not in there]


def _looked(
    files: Sequence[File], settings: parallel.Settings, wishes: Wishes, screen: Screen
) -> tuple[dict[int, Sighting], list[FileReport]]:
    """Return what was seen, by the job's number, and the reports of files that failed."""
    found: dict[int, Sighting] = {}
    failed: list[FileReport] = []
    jobs = [file.job for file in files]
    for outcome in outcomes(jobs, settings, wishes.workers, wishes.keep_going, screen, pseudonyms.look):
        if outcome.report.status == "failed":
            tell(outcome, screen)
            failed.append(outcome.report)
        else:
            found[outcome.job.number] = outcome.found
    return found, failed
