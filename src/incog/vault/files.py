"""Sealing an original into its published file, and the four things that can be done with such a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from incog.errors import InputError, OutputError, VaultError
from incog.media.files import output_error, pending
from incog.report import ClaimReport, VaultReport
from incog.vault.carriers import SIDECAR, Carried, binding_of, embed, find, sidecar_of
from incog.vault.header import Cost
from incog.vault.stream import Passphrase, Sealer, open_vault, regrouped
from incog.vault.tails import blocks_of

STATUS: Final = "pseudonymised, not anonymous"
"""What a published file is as long as a vault of it exists."""

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sealing:
    """How to seal originals. cost: of one guess at the passphrase. sidecar: beside the file although it could be in
    it."""

    passphrase: Passphrase
    cost: Cost = field(default_factory=Cost)
    sidecar: bool = False


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was sealed. words: where the vault lies. sidecar: the file beside, if that is where. length: of the vault in
    bytes. cost: of one guess."""

    words: str
    sidecar: Path | None
    length: int
    cost: Cost

    def told(self) -> tuple[VaultReport, ClaimReport]:
        """Return what a report says of it, and the warning that every claim of a method stands under."""
        claim = ClaimReport(
            statement="Whoever has the passphrase, or guesses it, has the original.",
            holds=False,
            scope="the output with its vault",
            conditions=["other claims hold for those who do not have it and cannot guess it"],
        )
        return VaultReport(place=self.words, bytes=self.length, guess=str(self.cost)), claim


@contextmanager
def sealed(
    published: Path, target: Path, original: Path, sealing: Sealing, *, overwrite: bool = False
) -> Iterator[Sealed]:
    """Seal ``original`` into the file ``published``, which will be named ``target``, and open it again to be sure.

    A file beside it takes its name when the context is entered and loses it again when the body fails. Raises
    InputError, OutputError and VaultError; ``published`` is then not to be published.
    """
    beside = sidecar_of(target)
    with ExitStack() as stack:
        try:
            binding = binding_of(published)
            size = original.stat().st_size
            sealer = Sealer(
                sealing.passphrase,
                size=size,
                suffix=original.suffix,
                binding=binding,
                cost=sealing.cost,
            )
            vault = sealer.seal(blocks_of(original, ((0, size),)))
            length = sealer.header.length
            words = None if sealing.sidecar else embed(published, length, vault)
            if words is None:
                file = stack.enter_context(pending(beside, overwrite=overwrite, inputs=[original]))
                with file.path.open("wb") as out:
                    for block in vault:
                        out.write(block)
                _check(sealer, blocks_of(file.path, ((0, file.path.stat().st_size),)), original)
                file.publish()
            else:
                carried = find(published)
                if not carried.bound or carried.header != sealer.header:
                    raise VaultError("the vault that was written is not bound to its file")
                _check(sealer, carried.blocks(), original)
        except OSError as error:
            raise output_error(target, error) from error
        try:
            yield Sealed(words or SIDECAR, None if words else beside, length, sealing.cost)
        except BaseException:
            if words is None:
                beside.unlink(missing_ok=True)
            raise


def refuse_sidecar(target: Path, *, overwrite: bool) -> None:
    """Raise OutputError when a file lies where the vault of ``target`` may have to, or would be taken for it."""
    beside = sidecar_of(target)
    if beside.exists() and not overwrite:
        raise OutputError(f"the vault {beside.name} exists already", hint="use --overwrite to replace it")


def restore(
    carried: Carried,
    passphrase: Passphrase,
    target: Path,
    *,
    overwrite: bool = False,
    follow: bool = False,
    ignore_binding: bool = False,
) -> Path:
    """Write the original, bit for bit, readable by its owner only, and return where.

    follow: not to ``target``, but to a name beside it with the original's suffix, ``photo.restored.jpg``.
    ignore_binding: although ``check_binding`` finds something wrong. Raises VaultError and OutputError; then nothing is
    written.
    """
    check_binding(carried, ignore=ignore_binding)
    content = open_vault(carried.blocks(), carried.header, passphrase)
    place = _restored(target, content.suffix) if follow else target
    inputs = [carried.path, *([carried.picture] if carried.picture else [])]
    with pending(place, overwrite=overwrite, private=True, inputs=inputs) as file:
        try:
            with file.path.open("wb") as out:
                for block in content.blocks:
                    out.write(block)
        except OSError as error:
            raise output_error(place, error) from error
        file.publish()
    return place


def _restored(path: Path, suffix: str) -> Path:
    name = path.name.removesuffix(".incog") if path.suffix == ".incog" else path.name
    stem = Path(name).stem.removesuffix(".incog")
    # The suffix was written by whoever sealed the file: it must not lead out of the folder.
    safe = suffix if suffix.startswith(".") and suffix[1:].isalnum() else ""
    return path.with_name(f"{stem}.restored{safe}")


def check_binding(carried: Carried, *, ignore: bool = False) -> str | None:
    """Return None when the file is what the vault was made with; raise VaultError when not.

    ignore: return what is wrong instead.
    """
    if carried.bound:
        return None
    wrong = "the file is not the one that the vault was made with: it was edited, damaged or exchanged"
    if carried.binding is None:
        wrong = "the published file is not beside its vault"
    if ignore:
        return wrong
    raise VaultError(
        wrong, hint="--ignore-binding opens the vault all the same: it may belong to another picture"
    )


def strip(path: Path, target: Path, *, overwrite: bool = False) -> None:
    """Write the published file without its vault.

    Raises VaultError when there is none inside, InputError and OutputError.
    """
    carried = find(path)
    if carried.words == SIDECAR:
        raise VaultError(
            "the vault is a file of its own: the picture holds nothing of it",
            hint=f"publish the picture, and not {carried.path.name}",
        )
    with pending(target, overwrite=overwrite, inputs=[path]) as file:
        try:
            with file.path.open("wb") as out:
                for block in blocks_of(path, carried.published):
                    out.write(block)
        except OSError as error:
            raise output_error(target, error) from error
        if binding_of(file.path) != carried.binding:
            raise InputError("the file changed while it was read")
        file.publish()


def _check(sealer: Sealer, vault: Iterator[bytes], original: Path) -> None:
    """Open what was written and compare it with the original. Raises VaultError, InputError."""
    blocks = regrouped(sealer.open(vault), _BLOCK)
    with original.open("rb") as file:
        for block in blocks:
            if file.read(len(block)) != block:
                raise InputError("the file changed while it was sealed")
        if file.read(1):
            raise InputError("the file changed while it was sealed")
