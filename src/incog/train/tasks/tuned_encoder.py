"""A tuned encoder: the second stage of Nousi et al. (2019), with a decoder that stays as it is.

The encoder learns to give each training face the code that the tables lead to. ``autoencode`` does the same without
learning, by the tables themselves; this task tells how far the two differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from incog.code_tables import VARIANTS
from incog.data.seeds import Integers
from incog.errors import must_be
from incog.train.coding import Coding, Tables, facts
from incog.train.loop import Batch
from incog.train.nets_autoencoder import AutoencoderNet, ShippedEncoder, halves, rounded
from incog.train.recipe import Recipe
from incog.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Tables):
    """variant, alpha: where codes are led, see ``incog.code_tables``; and how the tables are made."""

    variant: str = "attributes"
    alpha: float = 1.0


class TunedEncoder(Coding):
    """The task: see ``incog.train.loop.Task``. It begins with the weights of an autoencoder (--start)."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.options = recipe.section("options", Options)
        if self.options.variant not in VARIANTS:
            raise must_be("variant", f"one of {', '.join(VARIANTS)}", self.options.variant)
        super().__init__(recipe, data, device, self.options)
        self.variant = VARIANTS[VARIANTS.index(self.options.variant)]
        halves(self.modules["network"])[1].requires_grad_(False)
        self.modules["teacher"] = AutoencoderNet(self.network).requires_grad_(False)
        # Whether the teacher has the weights that this run began with: a resumed run must not take its own.
        self.modules["teacher"].register_buffer("given", torch.zeros(()))
        self._goals: Tensor | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        encoder, decoder = halves(self.modules["network"])
        decoder.eval()
        # Codes that are led to means vary less than those of faces, so nothing may bring them back to variance 1.
        encoder.norm.eval()
        if self._goals is None:
            self._goals = torch.from_numpy(self.goals(self.train_rows)).to(self.device)
        images = self.sized(self.pixels.take(self.train_rows[batch.items]))
        with batch.quick:
            codes = encoder(images.contiguous(memory_format=torch.channels_last))
        return {"code": (codes.float() - self._goals[batch.rows]).square().mean()}

    def goals(self, rows: Integers) -> Floats:
        """Return where the tables lead the codes that the first encoder gave to rows, (N, C)."""
        teacher = self.modules["teacher"]
        given = teacher.given
        assert isinstance(given, Tensor)
        if not bool(given):
            teacher.load_state_dict(self.modules["network"].state_dict(), strict=False)
            given.fill_(1)
        tables = self.fitted(self.encoded(teacher, self.train_rows))
        return self.led(tables, self.encoded(teacher, rows), rows, self.variant, self.options.alpha)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Held-out faces by this encoder and by the tables over the codes of the first: how far codes and pictures are
        apart, the cosine to the face before, and the diversity."""
        network = rounded(network)
        codes, goals = self.encoded(network, self.test), self.goals(self.test)
        made, mapped = self.decoded(network, codes), self.decoded(network, goals)
        before = self.identities(self.sized(self.pixels.take(self.test)))
        figures = {
            "code_error": float(np.square(codes - goals).mean()),
            "psnr": float(-10 * (made - mapped).square().mean((1, 2, 3)).log10().mean()),
            "faces": float(len(self.test)),
        }
        for name, pictures in (("tuned", made), ("mapped", mapped)):
            after = self.identities(pictures)
            figures[f"cosine_{name}"] = float((before * after).sum(1).mean())
            figures[f"diversity_{name}"] = self.diversity(after)
        return figures

    def variants(self, network: nn.Module, codes: Floats, rows: Integers) -> list[Floats]:
        return [codes, self.goals(rows)]

    def example(self) -> Tensor:
        return self.sized(self.pixels.take(self.test[:8])) * 255

    def shipped(self, network: nn.Module) -> nn.Module:
        return ShippedEncoder(rounded(network).encoder)

    def card(self) -> dict[str, Any]:
        return facts(self.network.side, self.network.code, self.sources())["encoder"]
