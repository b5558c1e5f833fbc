"""What the face identity transformer is taught with: keys, masks, pools and the losses, as functions of batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import log

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from incog.data.seeds import Integers
from incog.errors import must_be
from incog.types import Bytes, Floats

CHUNK = 4
"""Bits that the predictor tells at once where it tells classes: 16 ways."""

MARGIN_PIXELS = 5
"""By which the face's mask is wider than its points, in pixels of 128."""

SHARP = 16.0
"""What cosines of a linker are multiplied by before they are compared."""

_LEVELS = 4
"""Steps of a stored depth per pixel of 128: it reaches from -32 to 32 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Weights of the losses; 0 leaves one out. I is the original, A the same under a key, R under its inverse after
    that, WR under another key after that.

    recovery, structure: absolute difference and structural dissimilarity of R and I. outside, inside: absolute
    difference of A, WR and I, outside and inside of the face. repel: cosine above ``margin`` of A, WR and I. apart: of
    two A, of two WR, of WR and A (Gu et al., eq. 8 and 9). recognise: that R is recognised as I, by the embeddings, or
    by the classifier where there is one. classify: that A and WR are not, by a classifier of the people in the
    training set with at least ``least`` pictures that learns at the same time (eq. 10, 12); until ``classify_start``
    of the budget it learns alone. key: that a predictor can tell the key (eq. 18), its signs by cosine, or by 16 ways
    for each 4 bits where ``chunks``. adversary: that critics find A, R and WR real (eq. 15): hinge loss and spectral
    norms, or squares (Mao et al. 2017) and batch norms where ``squares``; one critic for all, or one for each where
    ``stages``. points, look: that the dense points, and the attributes' probabilities, of A and WR are those of I.
    wrong: whether there are wrong recoveries. again: share of a batch whose I are themselves A. pool: earlier pictures
    that the critics are shown too. predictor, critic: channels.

    laid: whether what the network makes is laid into I inside of a mask, which grows and fades by chance, before
    anything else sees it, as it is in use; else the whole picture is replaced, as published. coded: share of the A that
    are coded (``incog.train.coded``) on their way to the keys that turn them on. link: that a linker, which learns at
    the same time to tell from the recognisers' words who A and WR were, finds all I of the batch as likely.
    invert: that an inverter, which learns at the same time to make I of A without any key, brings back nobody whom
    the recognisers take for I. inverter: its channels.
    """

    recovery: float = 60.0
    structure: float = 10.0
    outside: float = 20.0
    inside: float = 2.0
    repel: float = 4.0
    margin: float = 0.0
    apart: tuple[float, float, float] = (2.0, 2.0, 2.0)
    recognise: float = 2.0
    classify: float = 0.0
    classify_start: float = 0.1
    least: int = 2
    key: float = 1.0
    chunks: bool = False
    adversary: float = 1.0
    squares: bool = False
    stages: bool = False
    points: float = 20.0
    look: float = 0.5
    wrong: bool = True
    laid: bool = False
    coded: float = 0.0
    link: float = 0.0
    invert: float = 0.0
    inverter: int = 32
    again: float = 0.125
    pool: int = 0
    predictor: int = 32
    critic: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.again < 1:
            raise must_be("again", "in 0..1, below 1", self.again)
        if not 0 <= self.coded <= 1:
            raise must_be("coded", "in 0..1", self.coded)
        for name in ("link", "invert"):
            if (weight := getattr(self, name)) and not (self.repel or any(self.apart)):
                raise must_be(name, "0 where no recogniser is asked (repel, apart)", weight)


@dataclass(frozen=True, slots=True)
class Made:
    """What one step made. real: pictures (B, 3, S, S). images: those that the network was given, some of them its own.
    masks: (B, 1, S, S), 1 on the face. people: (B,) int64, -1 unknown. first, second: under two keys. recovered:
    ``first`` under the inverse of its key. wrongs: the first half of ``first`` under a wrong key, then under another
    one."""

    real: Tensor
    images: Tensor
    masks: Tensor
    people: Tensor
    first: Tensor
    second: Tensor
    recovered: Tensor
    wrongs: Tensor

    def stages(self) -> list[Tensor]:
        """Return A, R and, where there are any, WR, all of them without second keys' pictures."""
        half = len(self.wrongs) // 2
        return [self.first, self.recovered, *([self.wrongs[:half]] if half else [])]

    def detached(self) -> Made:
        """Return the same without gradients."""
        return replace(self, **{name: getattr(self, name).detach() for name in self.__slots__})


class Pool:
    """Earlier pictures: each new one is, with probability one half, swapped for one of the last ``size`` (Shrivastava
    et al. 2017)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: Tensor | None = None
        self._filled = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return pictures (B, ...), new and old ones mixed. Begins anew when their shape changes."""
        if not self.size:
            return pictures
        if self._kept is None or self._kept.shape[1:] != pictures.shape[1:]:
            self._kept, self._filled = pictures.new_empty(self.size, *pictures.shape[1:]), 0
        room = min(self.size - self._filled, len(pictures))
        if room:
            self._kept[self._filled : self._filled + room] = pictures[:room]
            self._filled += room
            return pictures
        places = torch.randperm(self.size, device=pictures.device)[: len(pictures)]
        swapped = torch.rand(len(places), device=pictures.device) < 0.5
        swapped = swapped.view(-1, *[1] * (pictures.ndim - 1))
        old, new = self._kept[places], pictures[: len(places)]
        self._kept[places] = torch.where(swapped, new, old)
        return torch.cat([torch.where(swapped, old, new), pictures[len(places) :]])


def signs(draws: Tensor) -> Tensor:
    """Return -1 or 1 for uniform numbers of [0, 1)."""
    return torch.where(draws < 0.5, -1.0, 1.0)


def distinct(keys: Tensor, *taken: Tensor) -> Tensor:
    """Return keys (B, K) of signs; where one equals that of the same row in ``taken``, its first sign is turned."""
    for other in taken:
        same = (keys == other).all(1, keepdim=True)
        keys = torch.cat([torch.where(same, -keys[:, :1], keys[:, :1]), keys[:, 1:]], 1)
    return keys


def depths(dense: Floats, size: int) -> Bytes:
    """Return how far inside of its face each pixel lies, (N, size, size, 1) uint8, as ``masks`` reads it.

    dense: (N, 130, 2) px.
    """
    found = np.zeros((len(dense), size, size, 1), np.uint8)
    wide = MARGIN_PIXELS * size / 128
    for depth, points in zip(found, dense, strict=True):
        hull = cv2.convexHull(np.rint(points).astype(np.int32))
        canvas = np.zeros((size, size), np.uint8)
        cv2.fillConvexPoly(canvas, hull, 1)
        inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (canvas, 1 - canvas))
        levels = (inside - outside + wide) * (128 / size) * _LEVELS
        depth[..., 0] = np.clip(np.rint(levels + 128), 0, 255)
    return found


def masks(depths: Tensor, grown: Tensor, fade: Tensor) -> Tensor:
    """Return where faces are, (B, 1, S, S) in 0..1, 0.5 at the outline. depths: (B, 1, S, S), those of above in 0..1.
    grown: (B,), by how much the outline is moved outwards. fade: (B,), over what width it fades; both in pixels of
    128."""
    pixels = (depths * 255 - 128) / _LEVELS
    shares = (pixels + grown[:, None, None, None]) / fade[:, None, None, None]
    return (shares + 0.5).clamp(0, 1)


def usual_masks(depths: Tensor) -> Tensor:
    """Return the masks that figures are measured with: at the outline, with an edge of 5 pixels of 128."""
    grown = depths.new_zeros(len(depths))
    return masks(depths, grown, grown + MARGIN_PIXELS)


def painted(dense: Floats, size: int) -> Bytes:
    """Return the usual masks as pictures, (N, size, size) uint8, 255 inside. dense: (N, 130, 2) px."""
    found = usual_masks(torch.from_numpy(depths(dense, size)).permute(0, 3, 1, 2) / 255)
    return np.asarray((found[:, 0] * 255).round().byte().numpy(), np.uint8)


def people(identities: list[str], rows: Integers, least: int) -> Integers:
    """Return the number of each picture's person, (N,) int64: those of at least ``least`` pictures among ``rows``,
    from 0 in the order of their names; -1 for the rest."""
    counts = Counter(identities[row] for row in rows.tolist() if identities[row])
    known = {name: number for number, name in enumerate(sorted(k for k, v in counts.items() if v >= least))}
    result = np.full(len(identities), -1, np.int64)
    result[rows] = [known.get(identities[row], -1) for row in rows.tolist()]
    return result


def repelled(one: Tensor, two: Tensor, margin: float) -> Tensor:
    """Return the mean cosine of unit vectors above a margin (Gu et al., eq. 8)."""
    return ((one * two).sum(1) - margin).relu().mean()


def distances(judged: list[Tensor], originals: list[Tensor], options: Options) -> dict[str, Tensor]:
    """Return ``repel``, ``apart`` and ``recognise``, as far as the options want them, as means over the recognisers.

    judged: of each recogniser the embeddings of A, of A under another key, of R, of WR and of WR under another key, the
    last two of the first half of the pictures. originals: those of I.
    """
    terms: list[tuple[Tensor, Tensor, Tensor]] = []
    margin = options.margin
    for found, original in zip(judged, originals, strict=True):
        count = len(original)
        first, second, recovered = found[: 3 * count].chunk(3)
        wrongs = found[3 * count :]
        half = len(wrongs) // 2
        repel = (repelled(first, original, margin) + repelled(second, original, margin)) / 2
        apart = options.apart[0] * repelled(first, second, margin)
        if half:
            wrong, other = wrongs[:half], wrongs[half:]
            repel = repel + repelled(wrongs, original[:half].repeat(2, 1), margin)
            apart = apart + options.apart[1] * repelled(wrong, other, margin)
            apart = apart + options.apart[2] * repelled(wrong, first[:half], margin)
        terms.append((repel, apart, (1 - (recovered * original).sum(1)).mean()))
    wanted = {
        "repel": options.repel,
        "apart": float(any(options.apart)),
        "recognise": 0.0 if options.classify else options.recognise,
    }
    means = (torch.stack(column).mean() for column in zip(*terms, strict=True))
    return {
        name: weight * value for (name, weight), value in zip(wanted.items(), means, strict=True) if weight
    }


def linked(turned: Tensor, known: Tensor, rows: Tensor) -> Tensor:
    """Return the linker's loss: the cross-entropy of which of the ``known`` (M, D) each of the ``turned`` (N, D) is,
    the right ones being ``rows`` (N,)."""
    return functional.cross_entropy(SHARP * turned @ known.t(), rows)


def unlinked(turned: Tensor, known: Tensor) -> Tensor:
    """Return how far the linker is from a blind guess: the divergence, which is 0 where all of the known are as
    likely."""
    told = functional.log_softmax(SHARP * turned @ known.t(), 1)
    return -told.mean() - log(len(known))


def otherwise(goal: dict[str, Tensor], found: dict[str, Tensor]) -> Tensor:
    """Return how far looks are from a goal: divergence of the probabilities, and of the ages in centuries."""
    terms = [(found["age"] - goal["age"]).abs().mean() / 100]
    for name in ("gender", "ethnicity", "expression"):
        target = goal[name].clamp(min=1e-4)
        terms.append((target * (target.log() - found[name].clamp(min=1e-4).log())).sum(1).mean())
    return torch.stack(terms).sum()


def entropy(logits: Tensor, people: Tensor) -> Tensor:
    """Return the mean cross-entropy of the pictures whose people (B,) are known, -1 being unknown.

    It is bounded at twice that of a guess: what wants it to grow has no more to gain there (Gu et al., eq. 20).
    """
    each = functional.cross_entropy(logits.float(), people.clamp(min=0), reduction="none")
    known = (people >= 0).float()
    return (each.clamp(max=2 * log(logits.shape[1])) * known).sum() / known.sum().clamp(min=1)


def misread(answer: Tensor, keys: Tensor, *, chunks: bool) -> Tensor:
    """Return the predictor's loss for keys (B, K) of signs: 1 - cosine, or the cross-entropies of each 4 bits (eq.
    18)."""
    if not chunks:
        return (1 - functional.cosine_similarity(answer, keys)).mean()
    bits = (keys > 0).long().view(len(keys), -1, CHUNK)
    places = (bits * torch.tensor([8, 4, 2, 1], device=keys.device)).sum(2)
    ways = answer.view(len(keys), -1, 2**CHUNK)
    return functional.cross_entropy(ways.flatten(0, 1), places.flatten()) * places.shape[1]


def seems_real(scores: list[Tensor], *, squares: bool) -> Tensor:
    """Return what the maker of the pictures minimises, over scores of several critics."""
    terms = [(score.float() - 1).square().mean() if squares else -score.float().mean() for score in scores]
    return torch.stack(terms).mean()


def told_apart(real: list[Tensor], made: list[Tensor], *, squares: bool) -> Tensor:
    """Return what the critics minimise: squares (Mao et al. 2017), or hinges."""
    terms = []
    for true, false in zip(real, made, strict=True):
        true, false = true.float(), false.float()
        if squares:
            terms.append(((true - 1).square().mean() + false.square().mean()) / 2)
        else:
            terms.append((1 - true).relu().mean() + (1 + false).relu().mean())
    return torch.stack(terms).mean()
