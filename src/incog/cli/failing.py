"""How failures are told: one line, the next step where there is one, and an exit status."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from incog.cli.screen import Screen
from incog.errors import IncogError, UsageError
from incog.media.walk import printable


@contextmanager
def failing(screen: Screen, path: Path | None = None) -> Iterator[None]:
    """Turn errors into one line and an exit status. path: what the work is about, to be named."""
    try:
        if screen.quiet and screen.verbose:
            raise UsageError("--quiet and --verbose must not be given together")
        yield
    except UsageError as error:
        screen.error(str(error), error.hint)
        raise typer.Exit(2) from None
    except IncogError as error:
        screen.error(_about(path, str(error)), error.hint)
        raise typer.Exit(1) from None
    except OSError as error:
        name = error.filename if isinstance(error.filename, str | Path) else path or "a file"
        screen.error(f"{printable(name)}: {error.strerror or type(error).__name__}")
        raise typer.Exit(1) from None
    except MemoryError:
        screen.error(_about(path, "there is not enough memory for this"))
        raise typer.Exit(1) from None
    except (typer.Exit, typer.Abort, EOFError):
        # Typer's own: an answer that was refused, or a terminal that was closed, is no bug.
        raise
    except Exception as error:
        tell_bug(error, screen, path)
        raise typer.Exit(1) from None


def tell_bug(error: Exception, screen: Screen, path: Path | None = None) -> None:
    """Say on one line that something went wrong that nobody thought of, and where, when much is to be said."""
    screen.error(_about(path, f"internal error ({type(error).__name__})"))
    if screen.verbose:
        screen.console.print("".join(traceback.format_exception(error)))


def _about(path: Path | None, words: str) -> str:
    return f"{printable(path)}: {words}" if path else words
