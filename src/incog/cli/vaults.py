"""``incog restore``, ``inspect`` and ``strip``: what can be done with a file that carries a vault."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from incog.cli.failing import failing
from incog.cli.options import Overwrite, PassphraseFile, Quiet
from incog.cli.passphrases import opening
from incog.cli.screen import Screen
from incog.media.walk import printable
from incog.vault import files
from incog.vault.carriers import find
from incog.vault.header import VERSION

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
    ignore_binding: Annotated[
        bool,
        typer.Option(
            "--ignore-binding", help="Open the vault although the file around it was edited or exchanged."
        ),
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Bring the original back, bit for bit, with the passphrase that it was sealed under."""
    screen = Screen(quiet=quiet)
    with failing(screen, source):
        carried = find(source)
        wrong = files.check_binding(carried, ignore=ignore_binding)
        if wrong:
            screen.error(f"warning: {wrong}")
        passphrase = opening(passphrase_file)
        target = files.restore(
            carried,
            passphrase,
            output or source,
            overwrite=overwrite,
            follow=output is None,
            ignore_binding=ignore_binding,
        )
        screen.say(
            f"{printable(source)} -> {printable(target)}: the original, bit for bit; only you can read the file"
        )


def inspect(source: Sealed) -> None:
    """Say what is sealed in a file, how, and how large it is. Needs no passphrase, and proves nothing without it."""
    with failing(Screen(), source):
        carried = find(source)
        header = carried.header
        wrong = files.check_binding(carried, ignore=True)
        lines = {
            "status": files.STATUS,
            "vault": f"{carried.words}, {carried.length} bytes",
            "holds": f"one file, padded to {header.payload} bytes",
            "format": f"version {VERSION}, ChaCha20-Poly1305 in chunks of 64 KiB",
            "one guess": str(header.cost),
            "binding": wrong or "the file is the one that the vault was made with",
        }
        for name, words in lines.items():
            typer.echo(f"{name + ':':<11}{words}")


def strip(
    source: Annotated[Path, typer.Argument(help="A file that carries a vault.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to publish.", show_default=False)],
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the file without its vault: the version to publish."""
    screen = Screen(quiet=quiet)
    with failing(screen, source):
        files.strip(source, output, overwrite=overwrite)
        screen.say(f"{printable(source)} -> {printable(output)}: without a vault")
