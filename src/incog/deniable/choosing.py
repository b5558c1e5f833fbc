"""Which methods can bring faces back deniably, and what hides by them."""

from __future__ import annotations

from typing import Final

from incog.errors import UsageError, must_be
from incog.methods.appearance import AppearanceReplace
from incog.methods.base import Method
from incog.methods.generated import Replace
from incog.methods.transformer import Transformer

METHOD: Final = Replace.name
"""The method that is taken where none is named."""


def check_method(method: Method) -> AppearanceReplace | Replace | Transformer:
    """Return the method, with one face or key for each person, when its faces can be brought back deniably. Raises
    UsageError when they cannot."""
    for kind in (Replace, AppearanceReplace, Transformer):
        # Others are made from these: they are not meant.
        if type(method) is kind:
            stable = kind(identity="stable")
            if method not in (stable, kind()):
                raise UsageError(
                    "the parameters of a method must be its defaults for deniable recovery, since all faces come from "
                    "one prior"
                )
            return stable
    known = f"{Replace.name}, {AppearanceReplace.name} or {Transformer.name} with deniable recovery"
    raise must_be("the method", known, method.name)
