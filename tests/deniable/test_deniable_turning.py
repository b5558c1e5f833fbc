"""Files whose faces a key turned: there and back, and what such a file must not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from incog import geometry, pipeline, undoing
from incog.colour import rgb8
from incog.deniable import cipher, files, payload, restoring, turning
from incog.deniable.choosing import check_method
from incog.deniable.coding import Deniable
from incog.deniable.files import Carried
from incog.deniable.payload import HEAD_BYTES, KEYS, Payload, Subject
from incog.deniable.turning import KeyHider
from incog.errors import UsageError, VaultError
from incog.keys import Secret, derive
from incog.media import open_source
from incog.methods import make
from incog.methods.transformer import Transformer
from incog.pipeline import Options, Perception
from incog.report import FileReport
from incog.rescan import Findings
from incog.types import Bytes
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

Incog = Callable[..., Any]

CHEAP = Cost(1, 8, 1)
RIGHT, WRONG = Passphrase("bako-lumi-tedi-runo-sika"), Passphrase("siko-rano-tudi-lemi-baka")
FORMATS = ("a.png", "a.jpg", "a.mp4")
SALT = bytes(range(16))


def hide(
    path: Path, target: Path, perception: Perception, phrase: Passphrase = RIGHT, **options: Any
) -> FileReport:
    how = Options(compare=False, deniable=Deniable(phrase, CHEAP), **options)
    return pipeline.hide(path, target, Transformer(), Secret.fresh(), perception, options=how)


def found(path: Path) -> Carried:
    carried = files.find(path)
    assert carried is not None
    return carried


def pictures(path: Path) -> list[Bytes]:
    return [rgb8(frame) for frame in open_source(path).frames()]


def apart(one: list[Bytes], other: list[Bytes], made: Payload) -> float:
    """Return the mean difference of 255 levels within the faces' outlines."""
    errors = []
    for seen in made.faces:
        height, width = one[0].shape[:2]
        inside = geometry.mask([seen.outline], (0, 0, width, height), 0) > 0
        errors.append(np.abs(one[seen.frame].astype(int) - other[seen.frame])[inside].mean())
    return float(np.mean(errors))


@pytest.fixture(scope="module")
def sources(
    tmp_path_factory: pytest.TempPathFactory, astronaut: Bytes, write_clip: Callable[..., Path]
) -> Path:
    folder = tmp_path_factory.mktemp("turned")
    Image.fromarray(astronaut).save(folder / "a.png")
    Image.fromarray(astronaut).save(folder / "a.jpg", quality=92)
    write_clip(folder / "a.mp4", [np.roll(astronaut, shift, 1) for shift in range(3)])
    return folder


@pytest.fixture(scope="module")
def published(sources: Path, perception: Perception) -> Path:
    """Return a folder with the sources' published files, whose salts and nonces are always the same."""
    folder = sources.parent / f"{sources.name}-published"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("incog.deniable.keeping.secrets.token_bytes", lambda count: (SALT * 4)[:count])
        patch.setattr("incog.deniable.turning.secrets.randbits", lambda bits: 7)
        for name in FORMATS:
            hide(sources / name, folder / name, perception)
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_the_right_passphrase_turns_the_face_back_and_a_wrong_one_makes_another(
    name: str, sources: Path, published: Path, tmp_path: Path
) -> None:
    original, shown, carried = pictures(sources / name), pictures(published / name), found(published / name)
    made = carried.payload
    assert made.mode == KEYS
    assert len(made.subjects) == 1
    assert len(made.faces) == made.frames == len(original)
    back = {}
    for phrase in (RIGHT, WRONG):
        place = tmp_path / f"{phrase is RIGHT}{Path(name).suffix}"
        assert restoring.restore(carried, phrase, place) == place
        assert files.find(place) is None
        back[phrase is RIGHT] = pictures(place)
    right, wrong, hidden = (apart(one, original, made) for one in (back[True], back[False], shown))
    assert hidden > 20
    assert right < 0.55 * min(wrong, hidden)
    assert apart(back[False], shown, made) > 8
    # What lies beyond the faces is as it was published.
    assert np.abs(back[True][-1][200:].astype(int) - shown[-1][200:]).mean() < 3


def test_files_of_all_passphrases_are_built_alike(
    sources: Path, published: Path, perception: Perception, tmp_path: Path
) -> None:
    hide(sources / "a.png", tmp_path / "a.png", perception, WRONG)
    one, other = found(tmp_path / "a.png"), found(published / "a.png")
    assert len(one.data) == len(other.data) < 400
    # Salt, check sum and nonce are random; all else is the same.
    differ = {
        place for place, pair in enumerate(zip(one.data, other.data, strict=True)) if pair[0] != pair[1]
    }
    assert differ <= {*range(40, 56), *range(72, HEAD_BYTES + 4)}


def test_the_key_follows_from_passphrase_salt_nonce_and_row(published: Path) -> None:
    made = found(published / "a.png").payload
    assert (made.salt, made.subjects[0].nonce) == (SALT, 7)
    secret = cipher.secret_of(RIGHT, SALT, CHEAP)
    drawn = {
        turning.signs(row, nonce, key).tobytes()
        for row in (0, 1)
        for nonce in (7, 8)
        for key in (secret, cipher.secret_of(WRONG, SALT, CHEAP))
    }
    assert len(drawn) == 8
    np.testing.assert_array_equal(turning.signs(0, 7, secret), turning.signs(0, 7, secret))


def test_the_vector_of_the_documented_format() -> None:
    secret = cipher.secret_of(Passphrase("crème brûlée"), SALT, Cost(2, 32, 4))
    assert derive(secret, turning.PURPOSE).secret.hex().startswith("14dfae57cd06e778bef446b4")
    signs = "".join("+" if sign > 0 else "-" for sign in turning.signs(0, 7, secret))
    assert signs == "-+--++-+++++++-+-+--+--+---+--+-"


def test_restoring_is_the_same_every_time(published: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        restoring.restore(found(published / "a.png"), WRONG, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_packed_and_parsed(published: Path) -> None:
    first = found(published / "a.mp4").payload
    again = payload.parse(b"".join(first.blocks()))
    assert again.mode == KEYS
    assert [one.nonce for one in again.subjects] == [one.nonce for one in first.subjects]
    for one, other in zip(first.faces, again.faces, strict=True):
        assert one.traits is None
        assert other.traits is None
        np.testing.assert_array_equal(one.placing, other.placing)
        np.testing.assert_allclose(one.outline, other.outline, atol=one.size / 4096)


def test_a_damaged_head_a_cut_and_an_unknown_mode_are_told(published: Path) -> None:
    carried = found(published / "a.png")
    for place in range(8, HEAD_BYTES, 5):
        bad = bytearray(carried.data)
        bad[place] ^= 1
        with pytest.raises(VaultError):
            payload.parse(bytes(bad))
    for wrong in (carried.data[:-1], carried.data + b"\0", carried.data[:HEAD_BYTES]):
        with pytest.raises(VaultError):
            payload.parse(wrong)
    newer = replace(carried.payload, mode=replace(KEYS, number=3))
    with pytest.raises(VaultError, match="must be one of 0, 1, 2, got 3"):
        payload.parse(b"".join(newer.blocks()))
    exchanged = replace(carried.payload, mode=replace(KEYS, networks=("shape",)))
    with pytest.raises(VaultError, match="other models"):
        payload.parse(b"".join(exchanged.blocks()))


def test_there_is_no_authenticator(published: Path) -> None:
    """Whatever is altered behind the head draws somebody, or makes no sense whatever the passphrase is."""
    carried = found(published / "a.png")
    (frame,) = open_source(published / "a.png").frames()
    secret = cipher.secret_of(RIGHT, carried.payload.salt, carried.payload.cost)
    drawn = 0
    for place in range(HEAD_BYTES, len(carried.data), 19):
        data = bytearray(carried.data)
        data[place] ^= 0x81
        try:
            made = payload.parse(bytes(data))
        except VaultError:
            assert place >= HEAD_BYTES + 4
            continue
        assert rgb8(restoring.Redrawing(made, restoring.draws(made, secret))(frame)).shape == (256, 256, 3)
        drawn += 1
    assert drawn > 5


def test_faces_of_a_film_are_not_averaged(published: Path) -> None:
    """An average over neighbouring frames could not be turned back."""
    made, frames = found(published / "a.mp4").payload, list(open_source(published / "a.mp4").frames())
    secret = cipher.secret_of(RIGHT, made.salt, made.cost)
    redrawn = restoring.Redrawing(made, restoring.draws(made, secret))
    for alone, together in zip(map(redrawn, frames), redrawn.film(frames), strict=True):
        np.testing.assert_array_equal(rgb8(alone), rgb8(together))


def test_a_face_that_is_taken_for_the_old_one_gets_another_key_and_is_then_filled(
    sources: Path, perception: Perception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rescan, rounds = pipeline.look_again, list[Bytes]()

    def recognised(path: Path, *rest: Any) -> Findings:
        findings = rescan(path, *rest)
        rounds.append(pictures(path)[0])
        findings.recognised = {1} if len(rounds) <= 3 else set()
        return findings

    monkeypatch.setattr(pipeline, "look_again", recognised)
    told = hide(sources / "a.png", tmp_path / "a.png", perception).rescan
    assert told is not None
    assert (told.redrawn, told.recognised) == (0, 1)
    assert len({one.tobytes() for one in rounds}) == 4
    made = found(tmp_path / "a.png").payload
    assert (len(made.subjects), len(made.faces)) == (1, 0)


def test_people_share_a_key_and_tracks_of_others_do_not() -> None:
    keys = {derive(Secret.from_seed(1), "test", track): track // 2 for track in range(4)}
    hider = KeyHider(Transformer(), {0: 0, 1: 0, 2: 2, 3: 2}, Deniable(RIGHT, CHEAP), keys, SALT)
    made = hider.payload(1, lambda track, frame: False)
    assert len(made.subjects) == 2
    assert hider.redrawn({1}) == {1}
    again = hider.payload(1, lambda track, frame: False)
    assert made.salt == again.salt == SALT
    assert Subject.blank(KEYS).words.size == 0
    claims = hider.claims()
    assert any("2^32" in claim.statement for claim in claims)
    assert any(claim.holds and "checked" in claim.statement for claim in claims)


def test_which_methods_go_deniably() -> None:
    assert check_method(Transformer()) == Transformer(identity="stable")
    with pytest.raises(UsageError, match="replace, appearance-replace or transformer with deniable recovery"):
        check_method(make("blur", {}))
    assert undoing.RISK == 0.5


def test_the_command_line(sources: Path, tmp_path: Path, incog: Incog) -> None:
    phrase, other = tmp_path / "phrase", tmp_path / "other"
    for file, words in ((phrase, RIGHT), (other, WRONG)):
        file.touch(0o600)
        file.write_text(words.value)
    out, back, somebody, public = (tmp_path / name for name in ("o.png", "b.png", "s.png", "p.png"))
    hidden = incog(
        "hide", sources / "a.png", "-o", out, "--method", "transformer", "--reversible", "deniable",
        "--passphrase-file", phrase, "--no-compare",
    )  # fmt: skip
    assert hidden.code == 0, hidden.err
    shown = incog("inspect", out)
    assert shown.code == 0
    assert "keys" in shown.out
    assert "2^32" in shown.out
    assert incog("restore", out, "--passphrase-file", phrase, "-o", back).code == 0
    assert incog("restore", out, "--passphrase-file", other, "-o", somebody).code == 0
    made, original = found(out).payload, pictures(sources / "a.png")
    # Salt and nonce are new, and one key in some tens brings back what the right one does.
    assert apart(pictures(back), original, made) < 0.75 * apart(pictures(out), original, made)
    assert apart(pictures(back), pictures(somebody), made) > 0
    assert incog("strip", out, "-o", public).code == 0
    assert files.find(public) is None
    np.testing.assert_array_equal(pictures(public)[0], pictures(out)[0])
