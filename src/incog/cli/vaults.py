"""``incog restore``, ``inspect``, ``strip`` and ``grant``: what can be done with a file that carries a vault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from incog.cli.failing import failing
from incog.cli.options import AllowWeak, IdentityFile, KeyFile, Overwrite, PassphraseFile, Quiet, Trace
from incog.cli.passphrases import granting, opening
from incog.cli.screen import Screen, warn_of_old
from incog.deniable import files as deniable
from incog.deniable import restoring
from incog.deniable.payload import KEYS
from incog.errors import UsageError, VaultError
from incog.media import open_source
from incog.media.suffixes import check_suffix
from incog.media.walk import printable
from incog.vault import files, grants
from incog.vault.carriers import Carried, find, format_of
from incog.vault.header import FACE, PASSPHRASE, SLOT, TRACK, VERSION, Header
from incog.vault.locks import count_of
from incog.vault.opening import check_binding
from incog.vault.opening import restore as bring_back
from incog.vault.slots import told
from incog.vault.stream import Passphrase

Sealed = Annotated[Path, typer.Argument(help="A published file, or the vault beside it.", show_default=False)]


def restore(
    source: Sealed,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Default: NAME.restored.SUFFIX beside it, as the original's was."
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
    key_file: KeyFile = None,
    identity_file: IdentityFile = None,
    ignore_binding: Annotated[
        bool,
        typer.Option(
            "--ignore-binding", help="Open the vault although the file around it was edited or exchanged."
        ),
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Trace = False,
) -> None:
    """Bring back what the passphrase or identity opens: the original, or the faces that were granted; of a file that
    was hidden deniably, the faces that the passphrase gives, whichever it is."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, source):
        faces = deniable.find(source)
        if faces is not None:
            if ignore_binding:
                raise UsageError(
                    "--ignore-binding must be given with a file that has a vault, got one that was hidden deniably, "
                    "which is bound to nothing"
                )
            told_phrase = opening(passphrase_file, key_file, identity_file)
            if not isinstance(told_phrase, Passphrase):
                raise UsageError("deniable faces must be brought back by a passphrase, got an identity")
            place = restoring.restore(
                faces, told_phrase, output or source, overwrite=overwrite, follow=output is None
            )
            screen.say(
                f"{printable(source)} -> {printable(place)}: the faces that this passphrase gives. Nothing "
                "stored tells whether they are the right ones; faces that were filled stay filled. Only you can read "
                "the file"
            )
            return
        carried = find(source)
        wrong = check_binding(carried, ignore=ignore_binding)
        if wrong:
            screen.error(f"warning: {wrong}")
        restored = bring_back(
            carried,
            opening(passphrase_file, key_file, identity_file),
            output or source,
            overwrite=overwrite,
            follow=output is None,
            ignore_binding=ignore_binding,
        )
        screen.say(
            f"{printable(source)} -> {printable(restored.path)}: {restored.words}; only you can read the file"
        )


def inspect(source: Sealed, verbose: Trace = False) -> None:
    """Say what is sealed in a file, how, and how large it is. Needs no passphrase, and proves nothing without it."""
    with failing(Screen(verbose=verbose), source):
        faces = deniable.find(source)
        if faces is not None:
            what = "the nonces of keys (2^32 are possible)" if faces.payload.mode == KEYS else "the codes"
            _list(
                {
                    "status": files.STATUS,
                    "mode": "deniable: every passphrase gives some faces; nothing stored tells the right ones",
                    "holds": f"{what} of {len(faces.payload.subjects)} person(s), {faces.words}, "
                    f"{len(faces.data)} bytes",
                    "one guess": str(faces.payload.cost),
                }
            )
            return
        carried = find(source)
        header = carried.header
        wrong = check_binding(carried, ignore=True)
        phrases = any(lock.kind == PASSPHRASE for lock in header.locks)
        lines = {
            "status": files.STATUS,
            "vault": f"{carried.words}, {_size(carried)}",
            "holds": _holds(header, _published(carried)),
            "opens with": _locks(header),
            "format": f"version {VERSION}, ChaCha20-Poly1305 in chunks of 64 KiB",
            "one guess": str(header.cost) if phrases else "none: there is no passphrase",
            "binding": wrong or "the file is the one that the vault was made with",
        }
        _list(lines)
        for number, (x, y, width, height) in grants.faces_of(header).items():
            typer.echo(f"{f'face {number}:':<12}{width} x {height} pixels at {x}, {y}")
        for number, item in grants.tracks_of(header).items():
            x, y, width, height = item.box
            frames = f"frames {item.first} to {item.last}"
            typer.echo(f"{f'face {number}:':<12}{frames}, half way {width} x {height} pixels at {x}, {y}")


def _list(lines: Mapping[str, str]) -> None:
    for name, words in lines.items():
        typer.echo(f"{name + ':':<12}{words}")


def strip(
    source: Annotated[Path, typer.Argument(help="A file that carries a vault.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to publish.", show_default=False)],
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Trace = False,
) -> None:
    """Write the file without its vault: the version to publish."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, source):
        faces = deniable.find(source)
        if format_of(source) is not None:
            check_suffix(output, open_source(source).suffix)
        if faces is not None:
            deniable.strip(faces, output, overwrite=overwrite)
        else:
            files.strip(source, output, overwrite=overwrite)
        screen.say(f"{printable(source)} -> {printable(output)}: without a vault")
        warn_of_old(output, screen)


def grant(
    source: Sealed,
    faces: Annotated[
        str,
        typer.Option(
            "--faces",
            metavar="N,...",
            help="Their numbers, as `incog inspect` lists them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: NAME.granted.SUFFIX beside it.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    key_file: KeyFile = None,
    identity_file: IdentityFile = None,
    to_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--to-passphrase-file",
            help="The passphrase of the grant, on one line of a file that only its owner can read; else asked for.",
        ),
    ] = None,
    to_recipient: Annotated[
        list[str] | None,
        typer.Option(
            "--to-recipient",
            metavar="AGE1...",
            help="Grant to the holder of this public key of age. Repeatable.",
        ),
    ] = None,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone", help="Leave out the original and all other grants: a copy for those who get the grant."
        ),
    ] = False,
    allow_weak: AllowWeak = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Trace = False,
) -> None:
    """Let somebody bring back some of a file's faces, and no others. A grant cannot be revoked."""
    screen = Screen(quiet=quiet, verbose=verbose)
    with failing(screen, source):
        if deniable.find(source) is not None:
            raise VaultError("the vault has no single faces to grant: they were hidden deniably")
        carried = find(source)
        numbers = _numbers(faces)
        if output is not None and carried.picture is not None:
            check_suffix(output, open_source(carried.picture).suffix)
        owner = opening(passphrase_file, key_file, identity_file, "Your passphrase: ")
        holder = granting(to_passphrase_file, to_recipient or (), allow_weak=allow_weak, screen=screen)
        picture = carried.picture or source
        target = output or picture.with_name(f"{picture.stem}.granted{picture.suffix}")
        done = grants.grant(carried, owner, numbers, holder, target, alone=alone, overwrite=overwrite)
        named = ", ".join(str(number) for number in numbers)
        beside = f" and {printable(done.sidecar)}" if done.sidecar else ""
        screen.say(
            f"{printable(source)} -> {printable(target)}{beside}: face(s) {named} granted, "
            f"a vault of {done.length} bytes"
        )
        screen.say("  A grant cannot be revoked: whoever has this file and the key has these faces for good.")
        if done.sidecar is None:
            warn_of_old(target, screen)
        if not alone:
            screen.say("  The file still holds the original under your key; --alone leaves it out.")


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(item) for item in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers:
        raise UsageError(f"--faces must be numbers such as 2,5, got {text!r}")
    return numbers


def _published(carried: Carried) -> int:
    return sum(len(item) if isinstance(item, bytes) else item[1] - item[0] for item in carried.published)


def _size(carried: Carried) -> str:
    published = _published(carried)
    share = f", {carried.length / published:.0%} of the published file" if published else ""
    return f"{carried.length} bytes{share}"


def _holds(header: Header, published: int) -> str:
    words = [
        f"{files.HOLDS[part.kind]}, padded to {part.payload} bytes"
        for part in header.parts
        if part.kind in files.HOLDS
    ]
    if header.parts[0].kind == SLOT:
        words.append(told(header, published))
    granted = [part for part in header.parts if part.kind in {FACE, TRACK}]
    if granted:
        numbers = ", ".join(str(part.number) for part in granted)
        words.append(f"face(s) {numbers} for grants, {sum(part.length for part in granted)} bytes")
    return "; ".join(words)


def _locks(header: Header) -> str:
    if any(part.kind == SLOT for part in header.parts):
        return "passphrases"
    kinds = Counter[tuple[str, int]]()
    for lock in header.locks:
        kinds["passphrase" if lock.kind == PASSPHRASE else "recipient", lock.opens] += count_of(lock)
    return ", ".join(
        f"{count} {kind}(s)" + (f" for {opens} face(s) each" if opens else "")
        for (kind, opens), count in kinds.items()
    )
