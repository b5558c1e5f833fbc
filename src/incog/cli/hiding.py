"""``incog hide``: files, folders, sets of people, people under pseudonyms."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import typer

from incog import __version__, geometry, parallel
from incog.cli.failing import failing
from incog.cli.jobs import jobs_of
from incog.cli.options import (
    AllowWeak,
    AskPassphrase,
    Codec,
    DecoyFile,
    DecoyPassphraseFile,
    DetectorName,
    Device,
    DeviceName,
    GalleryFile,
    GalleryPassphraseFile,
    Inputs,
    Keep,
    KeepGoing,
    KeepMetadata,
    KeyFile,
    MaskScale,
    MethodName,
    NoCompare,
    Only,
    Output,
    Overwrite,
    PassphraseFile,
    PeopleBy,
    Persons,
    Pseudonyms,
    Quality,
    Quiet,
    Recipients,
    Recovery,
    ReportFile,
    ReportNames,
    Reversible,
    Risk,
    Rotate,
    SecretFile,
    Seed,
    Sets,
    ShareBackground,
    Sidecar,
    SlotCount,
    Spans,
    Threads,
    Threshold,
    Verbose,
    WholeFile,
    Workers,
)
from incog.cli.passphrases import Wanted, sealing
from incog.cli.pseudonyms import PSEUDONYMS, Wishes, hide_pseudonyms, refuse_alone
from incog.cli.recovery import recovering
from incog.cli.reports import named, refuse_names, report_place
from incog.cli.screen import Screen, failure, recall, tell
from incog.cli.sets import hide_set, is_set
from incog.cli.sources import persons
from incog.cli.wishes import between, cores, refuse_codec, secret_of, selection_of, settings_of
from incog.cli.working import outcomes
from incog.dataset import Wish
from incog.deniable.choosing import METHOD as DENIABLE
from incog.errors import UsageError, must_be
from incog.media.base import OutputOptions
from incog.media.walk import printable
from incog.methods import DEFAULT, make
from incog.methods.base import SetMethod
from incog.perceive.detector import best_device, known_detector
from incog.pipeline import Options
from incog.plan import parse_spans
from incog.report import FileReport, Report


def hide(
    context: typer.Context,
    inputs: Inputs,
    output: Output = None,
    method: MethodName = DEFAULT,
    sets: Sets = None,
    detector: DetectorName = "centerface",
    threshold: Threshold = 0.3,
    mask_scale: MaskScale = geometry.MASK_SCALE,
    spans: Spans = None,
    keep: Keep = None,
    only: Only = None,
    risk: Risk = None,
    no_compare: NoCompare = False,
    share_background: ShareBackground = False,
    pseudonyms: Pseudonyms = False,
    people_by: PeopleBy = None,
    person: Persons = None,
    gallery: GalleryFile = None,
    gallery_passphrase_file: GalleryPassphraseFile = None,
    rotate: Rotate = 0,
    seed: Seed = None,
    secret_file: SecretFile = None,
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = None,
    key_file: KeyFile = None,
    reversible: Reversible = None,
    allow_weak: AllowWeak = False,
    recipient: Recipients = None,
    slots: SlotCount = None,
    decoy: DecoyFile = None,
    decoy_passphrase_file: DecoyPassphraseFile = None,
    whole_file: WholeFile = False,
    sidecar: Sidecar = False,
    workers: Workers = 1,
    threads: Threads = 0,
    device: DeviceName = Device.auto,
    keep_metadata: KeepMetadata = False,
    codec: Codec = None,
    quality: Quality = None,
    overwrite: Overwrite = False,
    keep_going: KeepGoing = False,
    report: ReportFile = None,
    report_names: ReportNames = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hide the faces in photos, videos and folders. Nothing is written in which a face is still found."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen):
        refuse_names(report_names, report)
        parameters = settings_of(sets)
        source = context.get_parameter_source("method")
        if source is not None and source.name == "DEFAULT":
            method = PSEUDONYMS if pseudonyms else DENIABLE if reversible is Recovery.deniable else method
        chosen = make(method, parameters)
        if not pseudonyms:
            refuse_alone(people_by, person, gallery or gallery_passphrase_file, rotate, chosen)
        secret, randomness = secret_of(seed, secret_file)
        where = best_device(device.value)
        settings = parallel.Settings(
            method=method,
            parameters=parameters,
            secret=secret,
            detector=known_detector(detector),
            threshold=between("--threshold", threshold, 0.05, 0.95),
            device=where,
            threads=threads or max(1, cores() // workers),
            seeded=seed is not None,
            spans=parse_spans(spans) if spans else [],
            selection=selection_of(keep, only, risk, clusters=pseudonyms and people_by != "folders"),
            persons=persons(person),
            options=recovering(
                Options(
                    mask_scale=between("--mask-scale", mask_scale, 1, 3),
                    compare=not no_compare,
                    output=OutputOptions(codec=codec, quality=quality, keep_metadata=keep_metadata),
                    overwrite=overwrite,
                    sealing=sealing(
                        Wanted(
                            passphrase=passphrase,
                            passphrase_file=passphrase_file,
                            key_file=key_file,
                            allow_weak=allow_weak,
                            recipients=tuple(recipient or ()),
                            reversible=reversible,
                            slots=slots,
                            decoy=decoy,
                            decoy_passphrase_file=decoy_passphrase_file,
                            whole_file=whole_file,
                            sidecar=sidecar,
                        ),
                        screen,
                    ),
                ),
                reversible,
                chosen,
            ),
        )
        if share_background and not is_set(chosen):
            raise UsageError(
                f"--share-background must be given with a method on sets of people, got {method}"
            )
        if workers > 1 and is_set(chosen):
            raise UsageError(f"--workers must not be given with {method}: the pictures of a set are one work")
        if report_names and is_set(chosen):
            raise UsageError(
                f"--report-names must not be given with {method}: its reports go by the numbers of pictures"
            )
        if decoy is not None and (len(inputs) > 1 or inputs[0].is_dir()):
            raise UsageError("--decoy must be given with a single file, which it takes the place of")
        if pseudonyms:
            hide_pseudonyms(
                chosen,
                inputs,
                output,
                settings,
                Wishes(
                    people_by,
                    rotate,
                    risk,
                    workers,
                    keep_going,
                    share_background,
                    secret_file is not None,
                    gallery,
                    gallery_passphrase_file,
                ),
                randomness,
                lambda sources, targets: report_place(report, overwrite, sources, targets),
                report_names,
                screen,
            )
            return
        if is_set(chosen):
            hide_set(
                cast("SetMethod", chosen),
                inputs,
                output,
                settings,
                Wish(share_background, keep_going, seed is not None, settings.options),
                secret,
                randomness,
                lambda sources, targets: report_place(report, overwrite, sources, targets),
                screen,
            )
            return
        # Before anything is written: a photo that does not serve is a wrong option.
        if settings.selection:
            parallel.enrolled(settings.selection, parallel.perception_of(settings))
        if settings.persons:
            parallel.named(settings.persons, parallel.perception_of(settings))
        jobs, left_alone, problems = jobs_of(inputs, output, screen)
        refuse_codec(codec, [job.path for job in jobs])
        parallel.check_targets(jobs)
        if settings.options.deniable is not None and len(jobs) > 1:
            raise must_be(
                "the files of --reversible deniable",
                "one at a time: somebody who is in two under one passphrase can be found out",
                len(jobs),
            )
        settings = replace(settings, claimed=parallel.claimed(jobs))
        summary = Report(device=where, randomness=randomness, left_alone=left_alone)
        paths, targets = [job.path for job in jobs], [job.target for job in jobs]
        with report_place(report, overwrite, paths, targets) as save:
            screen.say(f"incog {__version__}: {method} on {where}, {len(jobs)} file(s)")
            if chosen.weak:
                screen.say(f"Note: {method} is weak. {chosen.weak}")
            if seed is not None:
                screen.say("Note: seeded, so not private: whoever knows the seed knows every key.")
            for job in jobs if workers > 1 and len(jobs) > 1 else ():
                screen.say(f"[{job.number}] {printable(job.path)}")
            failures = list(problems)
            names = {job.number: job.path for job in jobs}
            reports: dict[int, FileReport] = {}
            for message in problems:
                screen.error(message)
            if not problems or keep_going:
                for outcome in outcomes(jobs, settings, workers, keep_going, screen):
                    if outcome.report.status == "failed":
                        failures.append(failure(outcome))
                    tell(outcome, screen)
                    reports[outcome.job.number] = named(outcome, names, report_names)
            summary.files = [reports[number] for number in sorted(reports)]
            save(summary.model_dump_json(indent=2))
        skipped = len(jobs) - len(summary.files)
        if skipped:
            screen.error(f"{skipped} file(s) were not tried", "--keep-going goes on after a failure")
        if len(summary.files) > 1:
            recall(failures, screen)
        if failures or skipped:
            raise typer.Exit(1)
