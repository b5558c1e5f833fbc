"""What a teacher's embeddings tell of labels: soft targets that say how sure one can be, and fill in where labels miss.

Small classifiers over embeddings are fitted crosswise: none judges a face that it learnt from, for it would only repeat
the label. They learn from the rows that they are given and from no others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.data.seeds import Integers
from incog.types import Floats

FOLDS = 4
HIDDEN = 256
BATCH = 256
RATE = 2e-3


def crosswise(
    embeddings: Floats,
    targets: Mapping[str, tuple[Floats, Integers]],
    *,
    seed: int,
    epochs: int = 10,
) -> dict[str, Floats]:
    """Return probabilities (N, K) float32 by name: of rows with a label, from a classifier that did not learn them.

    embeddings: (N, D), unit norm. targets: by name a distribution per row (N, K) and whether it is known (N,), 0 or 1.
    A row without the label gets the mean of all classifiers.
    """
    random = np.random.default_rng(seed)
    fold = random.permutation(len(embeddings)) % FOLDS
    known = {name: torch.from_numpy(mask.astype(np.float32)) for name, (_, mask) in targets.items()}
    goals = {name: torch.from_numpy(rows) for name, (rows, _) in targets.items()}
    data = torch.from_numpy(np.ascontiguousarray(embeddings, np.float32))
    means = {name: np.zeros(rows.shape, np.float32) for name, (rows, _) in targets.items()}
    own = {name: np.zeros(rows.shape, np.float32) for name, (rows, _) in targets.items()}
    for number in range(FOLDS):
        rows = torch.from_numpy(np.flatnonzero(fold != number))
        said = _fitted(data, goals, known, rows, random=random, epochs=epochs)
        for name, values in said.items():
            means[name] += values / FOLDS
            own[name][fold == number] = values[fold == number]
    return {
        name: np.where(mask[:, None] > 0, own[name], means[name]).astype(np.float32)
        for name, (_, mask) in targets.items()
    }


def _fitted(
    data: Tensor,
    goals: Mapping[str, Tensor],
    known: Mapping[str, Tensor],
    rows: Tensor,
    *,
    random: np.random.Generator,
    epochs: int,
) -> dict[str, Floats]:
    """Fit one classifier to some rows and return what it says of all."""
    widths = [goal.shape[1] for goal in goals.values()]
    # The start belongs to the seed, not to what was drawn before; the caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(random.integers(2**31)))
        network = nn.Sequential(
            nn.Linear(data.shape[1], HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Dropout(0.4),
            nn.Linear(HIDDEN, sum(widths)),
        )  # fmt: skip
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
        steps = max(1, len(rows) // BATCH) * epochs
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = RATE * (1 - step / steps)
            chosen = rows[torch.from_numpy(random.integers(0, len(rows), BATCH))]
            parts = network(data[chosen]).split(widths, 1)
            losses = [
                -((goals[name][chosen] * functional.log_softmax(part, 1)).sum(1) * known[name][chosen]).mean()
                for name, part in zip(goals, parts, strict=True)
            ]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.eval()
    with torch.no_grad():
        parts = network(data).split(widths, 1)
    return {name: functional.softmax(part, 1).numpy() for name, part in zip(goals, parts, strict=True)}
