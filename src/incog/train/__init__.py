"""Training: recipes in, networks with their cards out. The only part of incog that needs PyTorch."""

from __future__ import annotations

from incog.errors import UsageError

INSTALL = "pip install 'incog[train]'"


def require_torch() -> None:
    """Raise UsageError, with the command that mends it, where PyTorch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise UsageError("training needs PyTorch", hint=f"run: {INSTALL}") from error
