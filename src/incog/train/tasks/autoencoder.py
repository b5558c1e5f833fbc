"""Autoencoder: faces as codes and back, with the tables that lead codes elsewhere (Nousi et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.code_tables import VARIANTS
from incog.data.seeds import Integers
from incog.train import augment
from incog.train.coding import Coding, Tables, facts
from incog.train.likeness import dssim
from incog.train.loop import Batch, Part
from incog.train.nets_autoencoder import Critic, ShippedDecoder, ShippedEncoder, halves, rounded
from incog.train.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Tables):
    """Weights of the losses, and how the tables are made.

    picture: L1, weighted by the face. shape: 1 - SSIM. identity: 1 - cosine of the embedder, of a share ``judged`` of
    the batch. critic: hinge loss of the patch critic; matched: L1 of its maps; both from ``begin`` of the budget on.
    noise: deviation of what is added to codes. mixed: mixes of codes for each code, of two to half a batch; what is
    drawn of them is judged by the critic, and its colours in 8 x 8 cells are held to the mix of the pictures (coarse).
    strength: of the change of colour.
    """

    picture: float = 4.0
    shape: float = 0.4
    identity: float = 0.3
    judged: float = 0.25
    critic: float = 0.05
    matched: float = 2.0
    begin: float = 0.15
    noise: float = 0.1
    mixed: float = 0.25
    coarse: float = 1.0
    strength: float = 0.15


class Autoencoder(Coding):
    """The task: see ``incog.train.loop.Task``, ``Adversarial`` and ``Several``."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.options = recipe.section("options", Options)
        super().__init__(recipe, data, device, self.options)
        self.rivals = nn.ModuleDict({"critic": Critic(self.network)})
        self._made: tuple[Tensor, Tensor] | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        options, rows = self.options, self.train_rows[batch.items]
        images, weights = self._shown(rows, batch)
        encoder, decoder = halves(self.modules["network"])
        shares = mixing(int(len(rows) * options.mixed), batch.uniform(1, purpose=2)[:, 0])
        noise = (batch.uniform(self.network.code, purpose=1) - 0.5) * (12**0.5 * options.noise)
        with batch.quick:
            codes = encoder(images.contiguous(memory_format=torch.channels_last))
            between = shares @ codes.float()
            pictures = decoder(torch.cat([codes + noise, between])).float()
        made, mixed = pictures[: len(rows)], pictures[len(rows) :]
        off = (made - images).abs().mean(1, keepdim=True) * weights
        off = off.sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp(min=1)
        # Beyond the picture there is nothing to judge.
        laid = images.lerp(made, (weights > 0).float())
        result = {
            "picture": options.picture * off.mean(),
            "shape": options.shape * 2 * dssim(laid, images).mean(),
            "coarse": options.coarse * (_coarse(mixed) - shares @ _coarse(images)).abs().mean(),
        }
        if options.identity > 0:
            judged = max(1, int(len(rows) * options.judged))
            with batch.quick:
                mine = self.judges.identity(laid[:judged])[0]
                with torch.no_grad():
                    theirs = self.judges.identity(images[:judged])[0]
            result["identity"] = options.identity * (1 - (mine * theirs).sum(1)).mean()
        self._made = images.detach(), torch.cat([laid, mixed]).detach()
        if options.critic > 0 and batch.progress >= options.begin:
            opinion, maps = self.rivals["critic"](torch.cat([laid, mixed]))
            with torch.no_grad():
                _, real = self.rivals["critic"](images)
            result["critic"] = -options.critic * opinion.mean()
            apart = [(one[: len(rows)] - other).abs().mean() for one, other in zip(maps, real, strict=True)]
            result["matched"] = options.matched * torch.stack(apart).mean()
        return result

    def rival_losses(self, batch: Batch) -> dict[str, Tensor]:
        assert self._made is not None
        images, made = self._made
        # Spectral norms are sums of small products: the critic is run in single precision.
        real, fake = self.rivals["critic"](images)[0], self.rivals["critic"](made)[0]
        hinge = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        return {"rival": hinge}

    def _shown(self, rows: Integers, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return pictures (B, 3, S, S) and the weights of their pixels (B, 1, S, S), both moved alike."""
        draws, side = batch.uniform(16), self.network.side
        matrices = augment.turned(draws[:, 0:4], degrees=4, zoom=(0.96, 1.06), shift=0.03)
        images = augment.mirror(augment.warp(self.pixels.take(rows), matrices, side), draws[:, 4])
        weights = augment.warp(self.weight(rows), matrices, side, padding="zeros")
        images = augment.colour(images, draws[:, 5:13], strength=self.options.strength)
        return images, augment.mirror(weights, draws[:, 4])

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Likeness of held-out faces to what their codes keep, inside the outline; then for each variant at alpha 1 the
        cosine to the face before, the diversity (mean of 1 - cosine over pairs of results), and how often gender and
        smile come out as they were."""
        network, images = rounded(network), self.sized(self.pixels.take(self.test))
        face = (self.sized(self.weight(self.test)) > 0.9).float()
        codes = self.encoded(network, self.test)
        made, before, told = self.decoded(network, codes), self.identities(images), self.looks(images)
        off, area = (made - images) * face, 3 * face.sum((1, 2, 3))
        figures = {
            "psnr": float((-10 * (off.square().sum((1, 2, 3)) / area).log10()).mean()),
            "dssim": float(dssim(images.lerp(made, face), images).mean()),
            "l1": float((off.abs().sum((1, 2, 3)) / area).mean()),
            "diversity_before": self.diversity(before),
            "faces": float(len(self.test)),
        }
        for variant, moved in zip(VARIANTS, self.variants(network, codes, self.test), strict=True):
            made, name = self.decoded(network, moved), variant.replace("-", "_")
            after, same = self.identities(made), self.looks(made) == told
            figures[f"cosine_{name}"] = float((before * after).sum(1).mean())
            figures[f"diversity_{name}"] = self.diversity(after)
            figures[f"gender_kept_{name}"], figures[f"smile_kept_{name}"] = same.mean(0).tolist()
        return figures

    def example(self) -> Tensor:
        return self.sized(self.pixels.take(self.test[:8])) * 255

    def shipped(self, network: nn.Module) -> nn.Module:
        return ShippedEncoder(rounded(network).encoder)

    def card(self) -> dict[str, Any]:
        return facts(self.network.side, self.network.code, self.sources())["encoder"]

    def parts(self) -> dict[str, Part]:
        return {"decoder": Decoding(self)}

    def tables(self, network: nn.Module, digest: str) -> dict[str, tuple[bytes, str]]:
        made = self.fitted(self.encoded(rounded(network), self.train_rows), encoder=digest)
        words = (
            f"Code tables of the autoencoder: {len(made.clusters)} clusters, {len(made.classes)} classes by attributes "
            f"and {len(made.donors)} donors, each a mean over {made.least} people and more; pose and its way back."
        )
        return {"codes": (made.dump(), words)}


@dataclass(frozen=True, slots=True)
class Decoding:
    """The other half of what ships: from codes to pictures."""

    task: Autoencoder

    def example(self) -> Tensor:
        return torch.from_numpy(self.task.encoded(self.task.modules["network"], self.task.test[:8]))

    def shipped(self, network: nn.Module) -> nn.Module:
        return ShippedDecoder(rounded(network).decoder)

    def card(self) -> dict[str, Any]:
        network = self.task.network
        return facts(network.side, network.code, self.task.sources())["decoder"]


def mixing(count: int, draws: Tensor) -> Tensor:
    """Return the shares of a batch of B in about ``count`` mixes of it, (M, B) with rows of sum 1: a third of the mixes
    are of two, a third of eight, a third of half the batch. draws: (B,), uniform."""
    size, rows = len(draws), torch.arange(3 * max(1, count // 3), device=draws.device)
    members = torch.tensor([2, min(8, size), max(2, size // 2)], device=draws.device)[rows % 3]
    ranks = torch.argsort(torch.argsort(draws))
    taken = (ranks[None, :] - rows[:, None]) % size < members[:, None]
    shares = taken * (draws + 0.1)
    return shares / shares.sum(1, keepdim=True)


def _coarse(images: Tensor) -> Tensor:
    """Return the mean colours of an eighth of the side, (B, 192)."""
    return functional.adaptive_avg_pool2d(images, 8).flatten(1)
