"""The options that commands share: their types, names and help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incog.perceive.detector import DETECTORS
from incog.vault.slots import LEAST, MOST, USUAL


class Recovery(StrEnum):
    """What a passphrase brings back."""

    exact = "exact"
    slots = "slots"
    deniable = "deniable"


class Device(StrEnum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Inputs = Annotated[list[Path], typer.Argument(help="Photos, videos or folders.", show_default=False)]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="File, or folder for several inputs; a slash at its end makes it a folder; default: NAME.incog.SUFFIX "
        "beside each.",
    ),
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Default: NAME.incog.SUFFIX beside it.")
]
MethodName = Annotated[str, typer.Option("--method", help="How faces are hidden; `incog methods` lists all.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method; repeatable."),
]
DetectorName = Annotated[str, typer.Option("--detector", help=f"Face detector: {', '.join(DETECTORS)}.")]
Threshold = Annotated[
    float,
    typer.Option("--threshold", help="Detector score that makes a face, 0.05 to 0.95; lower finds more."),
]
MaskScale = Annotated[
    float, typer.Option("--mask-scale", help="Size of the mask relative to the detector's box, 1 to 3.")
]
Spans = Annotated[
    str | None,
    typer.Option(
        "--spans",
        metavar="START-STOP,...",
        help="Times of films to act on, such as 0:10-0:30,2:00-end; default all.",
    ),
]
Keep = Annotated[
    list[Path] | None,
    typer.Option(
        "--keep",
        metavar="PHOTO",
        help="Leave this person visible where it is proved to be them; a folder holds several photos of one person. "
        "Repeatable.",
    ),
]
Only = Annotated[
    list[Path] | None,
    typer.Option(
        "--only",
        metavar="PHOTO",
        help="Hide this person alone, and whoever cannot be told; a folder holds several photos of one person. "
        "Repeatable.",
    ),
]
Risk = Annotated[
    float | None,
    typer.Option(
        "--risk",
        help="With --keep: the most that the chance of a wrong face left visible in a file may be; default 0.01. With "
        "--people clusters: about the most that the chance may be that a person is taken for another; default 0.05.",
        show_default=False,
    ),
]
Pseudonyms = Annotated[
    bool,
    typer.Option(
        "--pseudonyms",
        help="One new face for each person in all photos and videos of a folder, and keyed tokens for names. The "
        "method is then replace unless another is named.",
    ),
]
PeopleBy = Annotated[
    str | None,
    typer.Option(
        "--people",
        help="With --pseudonyms: folders, a folder for each person, or clusters, by how faces look; default: folders "
        "where the pictures of each look like one person.",
    ),
]
Persons = Annotated[
    list[str] | None,
    typer.Option(
        "--person",
        metavar="NAME=PHOTO",
        help="With --pseudonyms, or a method with identity=stable: this person has the same new face in all files; a "
        "folder holds several photos of one person. Repeatable.",
    ),
]
GalleryFile = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        metavar="FILE",
        help="With --pseudonyms: people of earlier runs keep their new faces. Holds what faces look like, and the "
        "secret, sealed under a passphrase that is asked for; made when it is not there.",
    ),
]
GalleryPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--gallery-passphrase-file", help="The gallery's passphrase, as --passphrase-file has the original's."
    ),
]
Rotate = Annotated[
    int,
    typer.Option(
        "--rotate",
        min=0,
        help="With --pseudonyms and --secret-file: another number, other faces and names under the same secret.",
    ),
]
ShareBackground = Annotated[
    bool,
    typer.Option(
        "--share-background",
        help="With a method on sets of people: one whole picture per group, the same bytes for all its members, named "
        "by keyed tokens.",
    ),
]
NoCompare = Annotated[
    bool,
    typer.Option(
        "--no-compare",
        help="Do not compare hidden faces with the original; else those still recognised are drawn anew or filled.",
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="For tests: repeatable randomness, which is not private.")
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--secret-file", help="32 random bytes that all keys come from; readable by the owner only."
    ),
]
AskPassphrase = Annotated[
    bool,
    typer.Option(
        "--passphrase",
        help="Seal the original into the output, under a passphrase that is asked for. The output is then "
        "pseudonymised, not anonymous.",
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="The passphrase, on one line of a file that only its owner can read."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="In place of a passphrase: 32 random bytes or more, in a file that only its owner can read.",
    ),
]
AllowWeak = Annotated[
    bool, typer.Option("--allow-weak", help="Take a passphrase of less than about 40 bits too.")
]
Sidecar = Annotated[
    bool, typer.Option("--sidecar", help="Seal the original into NAME.incog beside the output, not into it.")
]
WholeFile = Annotated[
    bool,
    typer.Option(
        "--whole-file",
        help="Seal the file itself, also where its changed pixels and metadata are smaller and bring back the picture.",
    ),
]
Recipients = Annotated[
    list[str] | None,
    typer.Option(
        "--recipient",
        metavar="AGE1...",
        help="Seal the original for the holder of this public key of age too; needs no passphrase. Repeatable.",
    ),
]
IdentityFile = Annotated[
    Path | None,
    typer.Option(
        "--identity-file", help="Open with the age identities in a file that only its owner can read."
    ),
]
Reversible = Annotated[
    Recovery | None,
    typer.Option(
        "--reversible",
        help="exact: one original (default). slots: several payloads of one size, of which some may be random bytes. "
        "deniable: no original; every passphrase brings some faces back, the right one about those that were there. "
        "With the methods replace (default), appearance-replace and transformer.",
    ),
]
SlotCount = Annotated[
    int | None,
    typer.Option(
        "--slots", metavar="N", help=f"With --reversible slots: how many, {LEAST} to {MOST}; default {USUAL}."
    ),
]
DecoyFile = Annotated[
    Path | None,
    typer.Option(
        "--decoy",
        metavar="FILE",
        help="With --reversible slots: what another passphrase brings back, which is asked for.",
    ),
]
DecoyPassphraseFile = Annotated[
    Path | None,
    typer.Option("--decoy-passphrase-file", help="The decoy's passphrase, in a file like the other."),
]
Workers = Annotated[int, typer.Option("--workers", min=1, max=256, help="Files worked on at the same time.")]
Threads = Annotated[
    int, typer.Option("--threads", min=0, max=256, help="Threads of the networks; 0: all cores.")
]
DeviceName = Annotated[Device, typer.Option("--device", help="Where networks run.")]
KeepMetadata = Annotated[
    bool,
    typer.Option("--keep-metadata", help="Keep time, camera settings and copyright; never place or serials."),
]
Codec = Annotated[str | None, typer.Option("--codec", help="Video encoder; default by container.")]
Quality = Annotated[
    int | None,
    typer.Option("--quality", min=1, max=100, help="1 (small) to 100 (best); default near lossless."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs; never the input.")]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="After a failure go on with the other files.")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write a report as JSON, made to be shared.")
]
ReportNames = Annotated[
    bool, typer.Option("--report-names", help="Name files in the report; else they are numbered.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also say what happened to streams and tags.")]
Trace = Annotated[bool, typer.Option("--verbose", "-v", help="Also say where an internal error is.")]
