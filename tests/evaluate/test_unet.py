"""An attacker's network undoes weak methods, finds nothing where nothing is left, and never does worse than nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from incog.data.readers import read
from incog.errors import ModelError
from incog.evaluate import samples, unet
from incog.evaluate.privacy import crops, pictures
from incog.evaluate.unet import available, learn_unet
from incog.keys import Secret
from incog.methods import make
from incog.pipeline import Perception
from incog.types import Bytes

LFW = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "lfw.zip"
needs_torch = pytest.mark.skipif(not available(), reason="needs the extra [train]")


def drawn(count: int, seed: int) -> Bytes:
    """Return (count, 32, 32, 3) pictures made of a few patterns, with edges, as faces are."""
    random = np.random.default_rng([1, seed])
    patterns = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    return np.clip(128 + 25 * np.tensordot(random.normal(size=(count, 8)), patterns, 1), 0, 255).astype(
        np.uint8
    )


def error(one: Bytes, other: Bytes) -> float:
    return float(np.square(one.astype(float) - other).mean())


@needs_torch
def test_blur_is_undone() -> None:
    def blurred(crops: Bytes) -> Bytes:
        return np.stack([cv2.GaussianBlur(one, (0, 0), 2.5) for one in crops])

    originals, others = drawn(120, 1), drawn(40, 2)
    restored = learn_unet(blurred(originals), originals, steps=100)(blurred(others))
    assert error(restored, others) < 0.8 * error(blurred(others), others)


@needs_torch
def test_noise_is_undone() -> None:
    def noisy(crops: Bytes, seed: int) -> Bytes:
        noise = np.random.default_rng(seed).normal(0, 60, crops.shape)
        return np.clip(crops + noise, 0, 255).astype(np.uint8)

    originals, others = drawn(120, 1), drawn(40, 2)
    hidden = noisy(others, 3)
    restored = learn_unet(noisy(originals, 4), originals, steps=100)(hidden)
    gain = 10 * np.log10(error(hidden, others) / error(restored, others))
    assert gain > 2, f"{gain:.1f} dB"


@needs_torch
def test_of_nothing_comes_the_mean() -> None:
    originals, others = drawn(120, 1), drawn(40, 2)
    restored = learn_unet(np.zeros_like(originals), originals, steps=100)(np.zeros_like(others))
    assert not np.ptp(restored, axis=0).any(), "all results are one: who guesses is at chance"
    mean = np.broadcast_to(originals.mean(0), others.shape)
    assert error(restored, others) < 1.3 * error(mean, others)


@needs_torch
def test_what_a_method_leaves_stays() -> None:
    originals, others = drawn(40, 1), drawn(10, 2)
    np.testing.assert_array_equal(learn_unet(originals, originals, steps=8)(others), others)
    assert learn_unet(originals, originals, steps=8)(others[:0]).shape == (0, 32, 32, 3)


@needs_torch
def test_a_network_that_does_worse_is_not_used() -> None:
    # Other people's pictures say nothing of these, and the few pairs are soon learnt by heart.
    originals, hidden = drawn(20, 1), drawn(20, 2)
    same = np.concatenate([hidden[:18], originals[18:]])
    people = [f"person {row // 18}" for row in range(20)]
    np.testing.assert_array_equal(learn_unet(same, originals, people=people, steps=20)(hidden), hidden)


@needs_torch
def test_a_seed_gives_one_result_and_nothing_else_is_touched() -> None:
    import torch

    originals, others = drawn(40, 1), drawn(10, 2)
    hidden, seen = originals // 2, others // 2
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second, other = (learn_unet(hidden, originals, steps=10, seed=seed)(seen) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_people_are_held_out_whole() -> None:
    people = [f"person {row // 3:02}" for row in range(90)]
    held = unet._held_out(90, people)
    out = {people[row] for row in np.flatnonzero(held)}
    assert len(out) == 3
    assert out.isdisjoint(people[row] for row in np.flatnonzero(~held))
    assert unet._held_out(20, None).sum() == 2
    assert unet._held_out(12, ["a"] * 6 + ["b"] * 6).sum() == 6


@pytest.mark.parametrize(
    ("hidden", "originals", "settings", "message"),
    [
        (drawn(20, 1), drawn(10, 1), {}, "ten pairs of crops of one shape"),
        (drawn(9, 1), drawn(9, 1), {}, "ten pairs of crops of one shape"),
        (drawn(10, 1)[:, :30], drawn(10, 1)[:, :30], {}, "multiples of 16"),
        (drawn(10, 1), drawn(10, 1), {"steps": 0}, "steps must be at least 1"),
        (
            drawn(10, 1),
            drawn(10, 1),
            {"people": ["a"] * 10},
            "people must be at least two, one for each pair",
        ),
        (
            drawn(10, 1),
            drawn(10, 1),
            {"people": ["a", "b"]},
            "people must be at least two, one for each pair",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    hidden: Bytes, originals: Bytes, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        learn_unet(hidden, originals, **settings)  # type: ignore[arg-type]


def test_without_torch_the_command_that_mends_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not available()
    with pytest.raises(ModelError, match="without PyTorch") as told:
        learn_unet(drawn(10, 1), drawn(10, 1))
    assert told.value.hint == "run: pip install 'incog[train]'"


@pytest.mark.slow
@needs_torch
@pytest.mark.skipif(not LFW.exists(), reason="the shared data are not here")
def test_faces_come_nearer_to_the_originals(perception: Perception) -> None:
    pairs = list(read({"lfw": LFW}))
    seen, goals, names = [], [], []
    for split, people in (("train", 60), ("test", 12)):
        chosen = samples.choose(pairs, split, people=people, pictures=2)  # type: ignore[arg-type]
        items, _ = samples.load(chosen, perception.searcher, perception.hulls)
        hidden = samples.protect(items, make("gaussian-noise", {}), Secret.from_seed(0), perception.hulls)
        seen.append(crops(items, pictures(items, hidden, "face")))
        goals.append(crops(items, pictures(items, [item.picture for item in items], "face")))
        names.append([item.person for item in items])
    restored = learn_unet(seen[0], goals[0], people=names[0], steps=100)(seen[1])
    gain = 10 * np.log10(error(seen[1], goals[1]) / error(restored, goals[1]))
    assert gain > 2.5, f"{gain:.1f} dB"
