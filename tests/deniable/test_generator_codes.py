"""The generator's deniable codes: the flow, the prior, and how little the stored code of a person stands out."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from incog import compose, geometry
from incog.deniable import codes, generating, seeing
from incog.deniable.codes import CodePrior
from incog.deniable.coding import Deniable
from incog.deniable.flow import Flow
from incog.deniable.generating import FaceHider, Sights
from incog.deniable.payload import halves
from incog.deniable.prior import Words
from incog.errors import ModelError
from incog.evaluate.samples import frame_of
from incog.keys import Secret, derive
from incog.methods import generated
from incog.methods.generated import Replace
from incog.methods.looking import coarse, look_of
from incog.perceive.hulls import make_hulls
from incog.types import Bytes, Crops, Face, Floats
from incog.vault.header import Cost
from incog.vault.stream import Passphrase


def told(own: CodePrior, seed: int = 0) -> Floats:
    """Return something that could be known of a face."""
    away = np.random.default_rng(seed).normal(size=len(own.mean)).astype(np.float32)
    return own.mean + 0.5 * own.spread * away


def drawn_flow(size: int, given: int, layers: int = 3, width: int = 5) -> Flow:
    """Return a flow of random weights."""
    random = np.random.default_rng(0)
    turns = np.stack([np.linalg.qr(random.normal(size=(size, size)))[0] for _ in range(layers)])

    def some(*shape: int) -> Floats:
        return (0.4 * random.normal(size=(layers, *shape))).astype(np.float32)

    return Flow(
        turns.astype(np.float32), some(size // 2 + given, width), some(width), some(width, width), some(width),
        some(width, size), some(size),
    )  # fmt: skip


@pytest.fixture(scope="module")
def crop(astronaut: Bytes, collins: Face) -> Crops:
    made = compose.crop_of(frame_of(astronaut), collins, mask_scale=geometry.MASK_SCALE, hulls=make_hulls())
    return replace(made, looks=look_of(made)[None])


def test_a_flow_goes_there_and_back_and_depends_on_what_is_given() -> None:
    flow, random = drawn_flow(6, 2), np.random.default_rng(1)
    values, given = random.normal(size=(9, 6)), random.normal(size=(9, 2))
    numbers = flow.forward(values, given)
    assert np.abs(numbers - values).max() > 0.1
    np.testing.assert_allclose(flow.backward(numbers, given), values, atol=1e-6)
    assert np.abs(flow.forward(values, given + 1) - numbers).max() > 0.01


def test_a_flow_changes_volume_as_its_stretches_say() -> None:
    """What training minimises: the logarithm of the Jacobian's determinant is the sum of the stretches."""
    flow = drawn_flow(4, 1, layers=1)
    at, given = np.array([[0.3, -0.2, 0.5, 1.1]]), np.array([[0.4]])
    step = 1e-5
    sides = [
        (flow.forward(at + step * row, given) - flow.forward(at - step * row, given))[0] / (2 * step)
        for row in np.eye(4)
    ]
    _, volume = np.linalg.slogdet(np.stack(sides))
    kept = np.split(at @ flow.turns[0].astype(np.float64), 2, axis=1)[0]
    inner = np.concatenate([kept, given], 1) @ flow.first[0] + flow.first_shift[0]
    inner = inner / (1 + np.exp(-inner)) @ flow.second[0] + flow.second_shift[0]
    stretch = np.split(inner / (1 + np.exp(-inner)) @ flow.third[0] + flow.third_shift[0], 2, axis=1)[0]
    assert volume == pytest.approx(float(np.tanh(stretch).sum()), abs=1e-4)


def test_words_are_a_code_and_the_code_has_those_words() -> None:
    own = codes.load()
    given = told(own)
    for words in np.random.default_rng(1).integers(0, 2**16, (5, own.size)).astype(np.uint16):
        code = own.decode(words, given)
        assert code.shape == (own.size,)
        again = own.encode(code, given).astype(np.int64)
        assert np.abs(again - words).max() <= 4


def test_noise_moves_a_code_and_keeps_the_person() -> None:
    own, prior = codes.load(), generated.shipped().prior
    given, random = told(own), np.random.default_rng(2)
    code = own.decode(random.integers(0, 2**16, own.size).astype(np.uint16), given)
    many = np.repeat(code[None], 6, 0)
    back = own.noisy(many, np.repeat(given[None], 6, 0), random.normal(size=(6, own.size)))
    strangers = [own.decode(row, given) for row in random.integers(0, 2**16, (6, own.size)).astype(np.uint16)]
    alike, unlike = (
        prior.embedding(np.stack(rows)) @ prior.embedding(code[None])[0] for rows in (back, strangers)
    )
    assert 0.7 < alike.min() < alike.max() < 0.999
    assert unlike.max() < alike.min() - 0.2


def test_a_person_is_read_with_a_code_that_stands_out_no_more_than_random_ones(
    crop: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)
    monkeypatch.setattr(generating, "noise", lambda: random)
    pose = seeing.pose_of(crop)
    assert pose is not None
    assert crop.looks is not None
    look, own = halves(coarse(crop.looks[0])), codes.load()
    given, code = halves(seeing.told_of(pose, crop.looks[0])), seeing.code_of(crop)

    def seen(words: Words) -> Floats:
        return generating._conspicuous(words, *generating._drawn(words, crop, halves(pose), given, look))

    plain, tries = seen(own.encode(code, given)), 8
    chosen = np.stack([seen(generating.inconspicuous(crop, pose, given, look)) for _ in range(tries)])
    others = np.stack([seen(random.integers(0, 2**16, own.size).astype(np.uint16)) for _ in range(3 * tries)])
    # Without more the right code is told by its face alone.
    assert plain[0] > np.quantile(others[:, 0], 0.9)
    assert abs(chosen[:, 0].mean() - others[:, 0].mean()) < 0.5 * (plain[0] - others[:, 0].mean())
    assert abs(chosen[:, 1].mean() - others[:, 1].mean()) < 2 * others[:, 1].std()
    # And it is the person's still.
    prior = generated.shipped().prior
    back = prior.embedding(
        np.stack([own.decode(generating.inconspicuous(crop, pose, given, look), given), code])
    )
    assert back[0] @ back[1] > 0.6


def test_who_cannot_be_drawn_is_not_read(crop: Crops) -> None:
    unknown = replace(crop, dense=np.full_like(crop.dense, np.nan))
    sights = Sights({})
    sights.look(unknown, 3)
    sights.look(replace(crop, looks=None), 4)
    assert not sights.best
    key = derive(Secret.from_seed(1), "test")
    hider = FaceHider(Replace(), sights, Deniable(Passphrase("a"), Cost(1, 8, 1)), {key: 3})
    assert hider(crop, [key]).unfit.all()
    assert not hider.payload(1, lambda track, frame: False).faces


def test_the_clearest_look_is_kept(crop: Crops) -> None:
    sights = Sights({5: 2})
    sights.look(crop, 2)
    first = sights.best[2]
    small = replace(crop, matrices=crop.matrices * np.array([[[0.1, 0.1, 1], [0.1, 0.1, 1]]], np.float32))
    sights.look(small, 5)
    assert sights.best[2] is first
    assert generating.clearness(small) < generating.clearness(crop)


def test_a_prior_of_another_generator_is_refused() -> None:
    own = codes.load()
    data = own.dump()
    again = CodePrior.load(data, own.model)
    assert (again.size, again.noise, again.reach) == (own.size, own.noise, own.reach)
    with pytest.raises(ModelError, match="another generator"):
        CodePrior.load(data, "0" * 64)
    with pytest.raises(ModelError, match="cannot be read"):
        CodePrior.load(b"PK nonsense", own.model)
    with np.load(io.BytesIO(data)) as file:
        parts = {name: file[name] for name in file.files if name != "model"}
    cut = io.BytesIO()
    np.savez(cut, **parts)
    with pytest.raises(ModelError):
        CodePrior.load(cut.getvalue(), own.model)
