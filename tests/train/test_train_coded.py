"""Pictures as lossy files hold them: beside a real coder, and with gradients."""

from __future__ import annotations

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from PIL import Image  # noqa: E402
from skimage import data  # noqa: E402

from incog.train import coded  # noqa: E402


def picture() -> np.ndarray:
    """The astronaut, 128 px."""
    whole = Image.fromarray(data.astronaut()).crop((150, 0, 310, 160))
    return np.asarray(whole.resize((128, 128), Image.Resampling.LANCZOS))


def through_a_file(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file).convert("RGB"))


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_it_loses_what_a_file_loses(quality: int) -> None:
    before = picture()
    real = tensor(through_a_file(before, quality))
    mine = coded.jpeg(tensor(before), torch.tensor([float(quality)]))
    lost = float((real - tensor(before)).abs().mean())
    # Colours are enlarged a little otherwise.
    assert float((mine - real).abs().mean()) < min(0.5 * lost, 0.006)


def test_lower_qualities_lose_more() -> None:
    before = tensor(picture())
    lost = [float((coded.jpeg(before, torch.tensor([q])) - before).abs().mean()) for q in (20.0, 50.0, 95.0)]
    assert lost == sorted(lost, reverse=True)
    assert lost[-1] < 0.02


def test_only_the_share_is_coded_and_all_have_256_levels() -> None:
    pictures = tensor(picture()).repeat(4, 1, 1, 1)
    draws = torch.tensor([[0.1, 0.5, 0.0], [0.4, 0.5, 0.5], [0.6, 0.5, 0.5], [0.9, 0.5, 0.5]])
    found = coded.coded(pictures, draws, share=0.5)
    changed = (found - pictures).abs().amax((1, 2, 3))
    assert changed[:2].min() > 0.05
    assert changed[2:].max() < 1e-3
    levels = found * 255
    assert float((levels - levels.round()).abs().max()) < 1e-3


def test_gradients_pass_as_if_nothing_was_rounded() -> None:
    pictures = (tensor(picture()) * 0.8 + 0.1).requires_grad_(True)
    coded.coded(pictures, torch.tensor([[0.0, 0.9, 0.0]]), share=1.0).sum().backward()
    assert pictures.grad is not None
    assert float(pictures.grad.mean()) == pytest.approx(1, abs=0.05)
