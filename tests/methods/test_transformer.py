"""The face identity transformer: what ships is what was trained, and a key's negative brings the face back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from incog import compose
from incog.keys import Secret, Stream, derive
from incog.methods import transformer
from incog.methods.transformer import SIDE, SIGNS, Transformer
from incog.perceive.hulls import make_hulls
from incog.types import Bytes, Crops, Face, Floats, Frame, Key, Layout

WEIGHTS = Path(__file__).resolve().parents[2] / "recipes" / "weights" / "transformer.npz"


def key_of(number: int) -> Key:
    return derive(Secret.from_seed(5), "test", number)


@pytest.fixture(scope="module")
def crop(astronaut: Bytes, collins: Face) -> Crops:
    """Return the crop of a face with its points."""
    return compose.crop_of(Frame((astronaut,), Layout("rgb")), collins, mask_scale=1.25, hulls=make_hulls())


@pytest.fixture(scope="module")
def face(crop: Crops) -> Floats:
    """Return the face in the network's template."""
    matrix = transformer.place_of(crop)
    assert matrix is not None
    return transformer.taken(crop.pixels[0], matrix, SIDE)


def signs(number: int) -> Floats:
    return transformer.signs_of(Stream(key_of(number), "test"))


def distance(one: Floats, other: Floats) -> float:
    """Return the mean difference of the middle of two faces."""
    middle = slice(32, 96)
    return float(np.abs(one[middle, middle] - other[middle, middle]).mean())


def test_the_file_says_what_the_trained_network_says(face: Floats) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from incog.train.export import rounded
    from incog.train.transformer_net import Network, TransformerNet

    network, stored = TransformerNet(Network()), np.load(WEIGHTS)
    network.load_state_dict({name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored})
    own, other = signs(1), signs(2)
    with torch.no_grad():
        rounded(network.eval(), 8)
        image = torch.from_numpy(face.transpose(2, 0, 1)[None].copy())
        made = network(image, torch.from_numpy(own[None] / SIGNS**0.5))[0].numpy().transpose(1, 2, 0)
    # Weights to go on from are kept in half precision: some may fall on the next of 255 steps.
    assert np.abs(transformer.shipped()(face, own) - made).max() < 0.02
    assert np.abs(transformer.shipped()(face, other) - made).max() > 0.2


def test_the_negative_of_the_key_brings_the_face_back_and_others_do_not(face: Floats) -> None:
    network = transformer.shipped()
    for number in range(2):
        own = signs(number)
        turned = network(face, own)
        back = distance(network(turned, -own), face)
        assert distance(turned, face) > 0.06
        assert back < 0.06
        wrong = [distance(network(turned, -signs(10 * number + other)), face) for other in range(3, 7)]
        assert np.median(wrong) > 1.5 * back


def test_keys_are_signs_of_the_tracks_keys() -> None:
    drawn = np.stack([signs(number) for number in range(40)])
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    assert drawn.shape == (40, SIGNS)
    assert abs(float(drawn.mean())) < 0.1
    assert len(np.unique(drawn, axis=0)) == 40
    np.testing.assert_array_equal(signs(1), signs(1))


def test_the_face_is_turned_inside_the_mask_alone_and_by_its_key(crop: Crops) -> None:
    method = Transformer()
    one, again, other = (method(crop, [key_of(number)]).pixels for number in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    inside = crop.masks >= 1
    assert np.abs(one - crop.pixels)[inside].mean() > 0.05
    assert np.abs(one - other)[inside].mean() > 0.03
    np.testing.assert_array_equal(one[crop.masks == 0], crop.pixels[crop.masks == 0])
    both = Crops(
        *(np.concatenate([getattr(crop, name)] * 2) for name in ("pixels", "masks", "matrices", "faces")),
        *(np.concatenate([getattr(crop, name)] * 2) for name in ("points", "frames", "dense")),
    )
    np.testing.assert_array_equal(method(both, [key_of(2), key_of(1)]).pixels[1], one[0])


def test_dense_points_serve_where_the_five_are_unknown_and_the_other_way_round(crop: Crops) -> None:
    nothing = np.full_like(crop.points, np.nan)
    assert not Transformer()(replace(crop, points=nothing), [key_of(1)]).unfit.any()
    assert not Transformer()(replace(crop, dense=np.full_like(crop.dense, np.nan)), [key_of(1)]).unfit.any()
    blind = replace(crop, points=nothing, dense=np.full_like(crop.dense, np.nan))
    result = Transformer()(blind, [key_of(1)])
    assert result.unfit.all()
    np.testing.assert_array_equal(result.pixels, crop.pixels)


def test_a_face_comes_back_into_a_background_that_was_never_turned(crop: Crops) -> None:
    """The network was taught with faces laid into their pictures: what lies around them tells it nothing."""
    matrix = transformer.place_of(crop)
    assert matrix is not None
    inner = crop.masks[0] >= 1
    errors: dict[str, list[float]] = {"right": [], "wrong": []}
    for number in range(4):
        turned = transformer.turned(crop.pixels[0], crop.masks[0], matrix, signs(number))
        for name, key in (("right", signs(number)), ("wrong", signs(number + 10))):
            back = transformer.turned_back(turned, crop.masks[0], matrix, key, float(crop.faces[0]))
            errors[name].append(float(np.abs(back - crop.pixels[0])[inner].mean()))
            np.testing.assert_array_equal(back[crop.masks[0] == 0], crop.pixels[0][crop.masks[0] == 0])
    assert max(errors["right"]) < 0.08
    assert np.mean(errors["right"]) < 0.6 * np.mean(errors["wrong"])


def test_what_is_claimed_names_the_number_of_keys() -> None:
    claims = Transformer().claims(frames=3)
    assert not any(claim.holds for claim in claims)
    assert any("2^32" in condition for condition in claims[0].conditions)
