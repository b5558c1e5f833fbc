"""``incog plan`` and ``incog render``: a look at a file first, and then what is to be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from incog import geometry, parallel, people
from incog.cli.failing import failing
from incog.cli.options import (
    AllowWeak,
    AskPassphrase,
    Codec,
    DecoyFile,
    DecoyPassphraseFile,
    DetectorName,
    Device,
    DeviceName,
    Keep,
    KeepMetadata,
    KeyFile,
    MaskScale,
    MethodName,
    NoCompare,
    Only,
    OutputFile,
    Overwrite,
    PassphraseFile,
    Quality,
    Quiet,
    Recipients,
    ReportFile,
    ReportNames,
    Reversible,
    Risk,
    SecretFile,
    Seed,
    Sets,
    Sidecar,
    SlotCount,
    Spans,
    Threads,
    Threshold,
    Trace,
    Verbose,
    WholeFile,
)
from incog.cli.passphrases import Wanted, sealing
from incog.cli.recovery import recovering
from incog.cli.reports import named, refuse_names, report_place
from incog.cli.screen import Screen, tell
from incog.cli.sets import refuse_single
from incog.cli.wishes import between, refuse_codec, secret_of, selection_of, settings_of
from incog.errors import InputError
from incog.media import open_source
from incog.media.base import OutputOptions
from incog.media.files import pending
from incog.media.suffixes import check_suffix
from incog.media.walk import printable
from incog.methods import DEFAULT, make
from incog.perceive.detector import best_device
from incog.pipeline import Options, Perception
from incog.pipeline import plan as look_at
from incog.pipeline import render as act_on
from incog.plan import Plan, parse_spans
from incog.report import Report


def plan(
    source: Annotated[Path, typer.Argument(help="A photo or a video.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: NAME.plan.json beside it.")
    ] = None,
    detector: DetectorName = "centerface",
    threshold: Threshold = 0.3,
    spans: Spans = None,
    keep: Keep = None,
    only: Only = None,
    risk: Risk = None,
    threads: Threads = 0,
    device: DeviceName = Device.auto,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Trace = False,
) -> None:
    """Look where the faces are and write a plan, to be reviewed, edited and rendered."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, source):
        selection = selection_of(keep, only, risk)
        perception = Perception(
            detector=detector,
            threshold=between("--threshold", threshold, 0.05, 0.95),
            device=best_device(device.value),
            threads=threads,
        )
        choice = parallel.enrolled(selection, perception) if selection else None
        media = open_source(source)
        target = output or source.with_name(f"{source.stem}.plan.json")
        with pending(target, overwrite=overwrite, parents=True, private=True, inputs=[source]) as file:
            with screen.bar(printable(Path(source.name))) as step:
                made = look_at(
                    media,
                    perception,
                    spans=parse_spans(spans) if spans else [],
                    choice=choice,
                    progress=step,
                )
            made.save(file.path, overwrite=True)
            file.publish()
        screen.say(
            f"{printable(source)} -> {printable(target)}: {len(made.tracks)} face(s) in {made.source.frames} frame(s). "
            "The plan says where people are: treat it like the file itself."
        )
        for line in people.summary(made.selection) if made.selection else ():
            screen.say(f"  {line}")


def render(
    plan: Annotated[Path, typer.Argument(help="A plan that `incog plan` wrote.", show_default=False)],
    output: OutputFile = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", help="The file it was made from; default: found beside the plan."),
    ] = None,
    method: MethodName = DEFAULT,
    sets: Sets = None,
    mask_scale: MaskScale = geometry.MASK_SCALE,
    no_compare: NoCompare = False,
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
    threads: Threads = 0,
    device: DeviceName = Device.auto,
    keep_metadata: KeepMetadata = False,
    codec: Codec = None,
    quality: Quality = None,
    overwrite: Overwrite = False,
    report: ReportFile = None,
    report_names: ReportNames = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hide the faces of a plan in the file that it was made from."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, plan):
        refuse_names(report_names, report)
        chosen = make(method, settings_of(sets))
        refuse_single(chosen, "a plan")
        secret, randomness = secret_of(seed, secret_file)
        where = best_device(device.value)
        made = Plan.load(plan)
        if made.outside:
            size = f"{made.source.width} x {made.source.height}"
            raise InputError(
                f"track {made.outside[0]} must lie in the picture of {size} pixels, got a place outside of it"
            )
        path = source or _source_of(plan)
        media = open_source(path)
        refuse_codec(codec, [path])
        target = output or parallel.beside(path)
        check_suffix(target, media.suffix)
        options = recovering(
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
        )
        perception = Perception(
            detector=made.detector, threshold=made.threshold, device=where, threads=threads
        )
        with report_place(report, overwrite, [plan, path], [target]) as save:
            job = parallel.Job(1, path, target, follow=False)
            with screen.bar(printable(Path(path.name))) as step:
                outcome = parallel.attempt(
                    job,
                    lambda: act_on(
                        media, made, target, chosen, secret, perception, options=options, progress=step
                    ),
                    [plan, target],
                )
            tell(outcome, screen)
            summary = Report(
                device=where, randomness=randomness, files=[named(outcome, {1: path}, report_names)]
            )
            save(summary.model_dump_json(indent=2))
        if outcome.report.status == "failed":
            raise typer.Exit(1)


def _source_of(plan: Path) -> Path:
    """Return the file that a plan NAME.plan.json lies beside."""
    stem = plan.name.removesuffix(".plan.json")
    beside = [
        item
        for item in plan.parent.iterdir()
        if item.stem == stem and item != plan and item.is_file() and not item.name.endswith(".json")
    ]
    if len(beside) != 1:
        raise InputError("the source of this plan is not beside it", hint="name it with --source FILE")
    return beside[0]
