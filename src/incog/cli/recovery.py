"""Which way of recovery is wanted: of the original, or deniable."""

from __future__ import annotations

from dataclasses import replace

from incog.cli.options import Recovery
from incog.deniable.choosing import check_method
from incog.deniable.coding import Deniable
from incog.errors import UsageError
from incog.methods.base import Method
from incog.pipeline import Options


def recovering(options: Options, reversible: Recovery | None, method: Method) -> Options:
    """Return the options with the passphrase where the wanted recovery takes it.

    Raises UsageError for a method or options that do not go with it.
    """
    sealing = options.sealing
    if reversible is not Recovery.deniable or sealing is None:
        return options
    if sealing.passphrase is None or sealing.recipients:
        raise UsageError("--reversible deniable must be given with a passphrase alone, got --recipient")
    if sealing.whole_file:
        raise UsageError("--reversible deniable seals no file, got --whole-file")
    check_method(method)
    deniable = Deniable(sealing.passphrase, sealing.cost, sealing.sidecar)
    return replace(options, sealing=None, deniable=deniable)
