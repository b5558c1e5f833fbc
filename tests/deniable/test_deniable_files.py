"""Files whose faces every passphrase brings back: there and back in each format, and what such a file must not tell."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from incog import alignment, crowd, pipeline
from incog.colour import rgb8
from incog.deniable import cipher, files, payload, restoring
from incog.deniable.codes import CodePrior
from incog.deniable.coding import Deniable
from incog.deniable.files import Carried
from incog.deniable.hiding import Codes, Hider
from incog.deniable.payload import HEAD_BYTES, Payload
from incog.deniable.prior import Prior
from incog.errors import InputError, OutputError, UsageError, VaultError
from incog.keys import Secret, derive
from incog.media import open_source
from incog.methods import make
from incog.methods.appearance import AppearanceReplace
from incog.methods.base import Method
from incog.methods.generated import Replace
from incog.perceive.embedder import SIZE, TEMPLATE, make_embedder
from incog.pipeline import Options, Perception
from incog.report import FileReport
from incog.rescan import Findings
from incog.subjects import Seen
from incog.types import Bytes, Crops, Face, Frame, Layout, Track
from incog.vault.files import Sealing
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

Incog = Callable[..., Any]

CHEAP = Cost(1, 8, 1)
SEED = 1
RIGHT, WRONG = Passphrase("bako-lumi-tedi-runo-sika"), Passphrase("siko-rano-tudi-lemi-baka")
FORMATS = ("a.png", "a.jpg", "a.webp", "a.mp4", "a.tiff")


def hide(
    path: Path,
    target: Path,
    perception: Perception,
    phrase: Passphrase = RIGHT,
    method: Method | None = None,
    **options: Any,
) -> FileReport:
    """Hide a file deniably, without the comparison, which would fill one face in some."""
    how = Options(compare=False, deniable=Deniable(phrase, CHEAP), **options)
    return pipeline.hide(path, target, method or Replace(), Secret.fresh(), perception, options=how)


def found(path: Path) -> Carried:
    carried = files.find(path)
    assert carried is not None
    return carried


def pictures(path: Path) -> list[Bytes]:
    return [rgb8(frame) for frame in open_source(path).frames()]


def cosine(one: Bytes, other: Bytes, face: Face) -> float:
    """Return how much two pictures show one person, by the package's embedder."""
    assert face.points is not None
    crops = [alignment.crop(picture, face.points, TEMPLATE, SIZE) for picture in (one, other)]
    first, second = make_embedder()(np.stack(crops))
    return float(first @ second)


@pytest.fixture(scope="module")
def sources(
    tmp_path_factory: pytest.TempPathFactory, astronaut: Bytes, write_clip: Callable[..., Path]
) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name in FORMATS:
        if name.endswith("mp4"):
            write_clip(folder / name, [np.roll(astronaut, shift, 1) for shift in range(8)])
        else:
            Image.fromarray(astronaut).save(folder / name, **({"quality": 92} if name == "a.jpg" else {}))
    return folder


@pytest.fixture(scope="module", params=[AppearanceReplace, Replace], ids=lambda kind: str(kind.name))
def method(request: pytest.FixtureRequest) -> Method:
    """Return each method that hides by codes."""
    made: Method = request.param()
    return made


@pytest.fixture(scope="module")
def published(sources: Path, perception: Perception, method: Method) -> Path:
    """Return a folder with the sources' published files, whose salts, nonces and noise are always the same: by chance
    somebody else may be like the person or the shown face."""
    folder = sources.parent / f"{sources.name}-published-{method.name}"
    folder.mkdir()
    for name in FORMATS:
        with pytest.MonkeyPatch.context() as patch:
            drawn = random.Random(SEED)
            patch.setattr("incog.deniable.keeping.secrets.token_bytes", drawn.randbytes)
            patch.setattr("incog.deniable.coding.secrets.randbits", drawn.getrandbits)
            patch.setattr("incog.deniable.coding.secrets.randbelow", drawn.randrange)
            hide(sources / name, folder / name, perception, method=method)
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_the_right_passphrase_brings_the_person_back_and_a_wrong_one_another(
    name: str, sources: Path, published: Path, collins: Face, tmp_path: Path
) -> None:
    original, shown = pictures(sources / name), pictures(published / name)
    carried = found(published / name)
    assert len(carried.payload.subjects) == 1
    assert carried.payload.frames == len(original) == len(carried.payload.faces)
    back = {}
    for phrase in (RIGHT, WRONG):
        place = tmp_path / f"{phrase is RIGHT}{Path(name).suffix}"
        assert restoring.restore(carried, phrase, place) == place
        assert place.stat().st_mode & 0o77 == 0
        assert files.find(place) is None
        back[phrase is RIGHT] = pictures(place)
        assert [one.shape for one in back[phrase is RIGHT]] == [one.shape for one in original]
    # The other faces of a strip of the picture, and all but the face, are as they were published.
    right, wrong, before = (cosine(one[0], original[0], collins) for one in (back[True], back[False], shown))
    assert right > 0.5
    assert right > max(wrong, before) + 0.2
    assert cosine(back[False][0], shown[0], collins) < right
    rows = slice(200, 256)
    assert np.abs(back[True][-1][rows].astype(int) - shown[-1][rows]).mean() < 3


def test_tracks_are_joined_sooner_than_elsewhere(
    tmp_path: Path,
    astronaut: Bytes,
    write_clip: Callable[..., Path],
    perception: Perception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = np.full_like(astronaut, 90)
    path = write_clip(tmp_path / "back.mp4", [astronaut] * 3 + [empty] * 30 + [astronaut] * 3)
    # Less alike than two tracks have to be for one new face, and more than strangers are.
    vectors = np.zeros((2, 512), np.float32)
    vectors[:, :2] = (1, 0), (0.17, (1 - 0.17**2) ** 0.5)

    def looked(frames: Any, tracks: Sequence[Track], *_: Any, **__: Any) -> dict[int, Seen]:
        seen = {item.id: Seen([vector]) for item, vector in zip(tracks, vectors, strict=True)}
        assert len(set(crowd.joined(tracks, seen, perception.recogniser.calibration).values())) == 2
        return seen

    monkeypatch.setattr(pipeline, "clear_looks", looked)
    hide(path, tmp_path / "out.mp4", perception)
    carried = found(tmp_path / "out.mp4").payload
    assert len(carried.faces) == 6
    assert len(carried.subjects) == 1


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_shown_face_that_is_taken_for_the_old_one_is_enciphered_anew_and_then_filled(
    sources: Path, perception: Perception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    shown: list[Bytes] = []
    rescan = pipeline.look_again

    def recognised(path: Path, *rest: Any) -> Findings:
        findings = rescan(path, *rest)
        shown.append(pictures(path)[0])
        findings.recognised = {1} if len(shown) <= times else set()
        return findings

    monkeypatch.setattr(pipeline, "look_again", recognised)
    rescan_told = hide(sources / "a.png", tmp_path / "a.png", perception).rescan
    assert rescan_told is not None
    assert (rescan_told.redrawn, rescan_told.recognised) == ((1, 0) if times < 3 else (0, 1))
    assert len({one.tobytes() for one in shown}) == times + 1
    assert len(found(tmp_path / "a.png").payload.faces) == (times < 3)


def test_the_code_comes_back_bit_for_bit(
    sources: Path, perception: Perception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    read = []
    kind: Any = CodePrior if isinstance(method, Replace) else Prior
    encode = kind.encode

    def kept(own: Any, *given: Any) -> Any:
        read.append(encode(own, *given))
        return read[-1]

    monkeypatch.setattr(kind, "encode", kept)
    hide(sources / "a.png", tmp_path / "a.png", perception, method=method)
    made = found(tmp_path / "a.png").payload
    (subject,) = made.subjects
    right, wrong = (cipher.secret_of(phrase, made.salt, made.cost) for phrase in (RIGHT, WRONG))
    # The generator's code is one of several that were tried.
    back = cipher.deciphered(subject.words, 0, subject.nonce, right)
    assert any(np.array_equal(back, one) for one in read)
    back = cipher.deciphered(subject.words, 0, subject.nonce, wrong)
    assert all((back == one).mean() < 0.05 for one in read)


def test_files_of_all_passphrases_are_built_alike(
    sources: Path, published: Path, perception: Perception, tmp_path: Path, method: Method
) -> None:
    hide(sources / "a.png", tmp_path / "a.png", perception, WRONG, method)
    one, other = found(tmp_path / "a.png"), found(published / "a.png")
    assert len(one.data) == len(other.data)
    assert one.data[:40] == other.data[:40]
    for first, second in zip(one.payload.faces, other.payload.faces, strict=True):
        np.testing.assert_array_equal(first.traits.numbers(), second.traits.numbers())
        np.testing.assert_array_equal(first.outline, second.outline)
    # Two files under one passphrase share no salt and no word.
    hide(sources / "a.png", tmp_path / "b.png", perception, method=method)
    again = found(tmp_path / "b.png").payload
    assert again.salt != other.payload.salt
    assert (again.subjects[0].words == other.payload.subjects[0].words).mean() < 0.05


def test_restoring_is_the_same_every_time(published: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        restoring.restore(found(published / "a.png"), WRONG, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_there_is_no_authenticator(published: Path) -> None:
    """Whatever is altered behind the head draws somebody, or makes no sense whatever the passphrase is."""
    carried = found(published / "a.png")
    (frame,) = open_source(published / "a.png").frames()
    secret = cipher.secret_of(RIGHT, carried.payload.salt, carried.payload.cost)
    drawn, refused = 0, 0
    words = 2 * len(carried.payload.subjects[0].words)
    for place in [
        *range(HEAD_BYTES, HEAD_BYTES + words, 29),
        *range(HEAD_BYTES + words, len(carried.data), 41),
    ]:
        data = bytearray(carried.data)
        data[place] ^= 0x81
        try:
            made = payload.parse(bytes(data))
        except VaultError:
            assert place >= HEAD_BYTES + words
            refused += 1
            continue
        rgb = rgb8(restoring.Redrawing(made, restoring.draws(made, secret))(frame))
        assert rgb.shape == (256, 256, 3)
        drawn += 1
    assert drawn > 4 * refused


@pytest.mark.parametrize("phrase", [RIGHT, WRONG])
def test_restored_faces_of_a_film_are_averaged_in_time(published: Path, phrase: Passphrase) -> None:
    made = found(published / "a.mp4").payload
    secret = cipher.secret_of(phrase, made.salt, made.cost)
    redrawn = restoring.Redrawing(made, restoring.draws(made, secret))
    frames = list(open_source(published / "a.mp4").frames())
    inside = np.abs(rgb8(redrawn(frames[0])).astype(int) - rgb8(frames[0])).max(2) > 20

    def trembling(shown: Iterable[Frame]) -> float:
        """How much a face changes from frame to frame, once the movement of the picture is undone."""
        still = [np.roll(rgb8(frame), -shift, 1)[inside] for shift, frame in enumerate(shown)]
        return float(np.abs(np.diff(np.stack(still).astype(np.float32), axis=0)).mean())

    alone, together = trembling(map(redrawn, frames)), trembling(redrawn.film(frames))
    assert together < 0.8 * alone
    assert [frame.index for frame in redrawn.film(frames)] == [frame.index for frame in frames]


def test_the_faces_of_a_film_are_gone_through_once(published: Path) -> None:
    class Counted(list[Any]):
        rounds = 0

        def __iter__(self) -> Iterator[Any]:
            self.rounds += 1
            return super().__iter__()

    made = found(published / "a.mp4").payload
    faces = Counted(made.faces)
    redrawn = restoring.Redrawing(replace(made, faces=faces), restoring.draws(made, Secret.from_seed(1)))
    changed = [
        not np.array_equal(rgb8(redrawn(frame)), rgb8(frame))
        for frame in open_source(published / "a.mp4").frames()
    ]
    assert changed == [True] * 8
    assert faces.rounds == 1


def test_a_damaged_head_and_a_cut_are_told(published: Path) -> None:
    data = found(published / "a.png").data
    for place in range(8, HEAD_BYTES, 5):
        bad = bytearray(data)
        bad[place] ^= 1
        with pytest.raises(VaultError):
            payload.parse(bytes(bad))
    for wrong in (data[:-1], data + b"\0", data[:HEAD_BYTES], data[:20], b""):
        with pytest.raises(VaultError):
            payload.parse(wrong)


def test_packed_and_parsed(published: Path) -> None:
    first = found(published / "a.mp4").payload
    assert len(first.faces) == 8
    again = payload.parse(b"".join(first.blocks()))
    for one, other in zip(first.faces, again.faces, strict=True):
        assert (one.frame, one.subject, one.traits.zoom) == (other.frame, other.subject, other.traits.zoom)
        np.testing.assert_array_equal(one.traits.numbers(), other.traits.numbers())
        np.testing.assert_allclose(one.outline, other.outline, atol=one.size / 4096)
        np.testing.assert_array_equal(one.placing, other.placing)
    assert (again.cost, again.salt, again.frames) == (first.cost, first.salt, first.frames)


def test_whoever_has_no_code_has_random_bits_and_stays_filled(collins: Face) -> None:
    codes = Codes({})
    blind = Crops(
        np.full((1, 64, 64, 3), 0.5, np.float32), np.ones((1, 64, 64), np.float32),
        np.array([[[1, 0, 0], [0, 1, 0]]], np.float32), np.full(1, 50, np.float32),
        np.full((1, 5, 2), np.nan, np.float32), np.zeros(1, np.int64), np.full((1, 130, 2), np.nan, np.float32),
    )  # fmt: skip
    codes.look(blind, 4)
    key = derive(Secret.from_seed(1), "test")
    hider = Hider(AppearanceReplace(), codes, Deniable(RIGHT, CHEAP), {key: 4})
    assert hider(blind, [key]).unfit.all()
    made, again = (hider.payload(1, lambda track, frame: False) for _ in range(2))
    assert len(made.subjects) == 1
    assert not made.faces
    assert (made.subjects[0].words == again.subjects[0].words).mean() < 0.05
    frame = Frame((np.full((80, 80, 3), 90, np.uint8),), Layout("rgb"))
    drawing = restoring.draws(made, Secret.fresh())
    np.testing.assert_array_equal(restoring.Redrawing(made, drawing)(frame).planes[0], frame.planes[0])


def test_a_face_that_was_filled_leaves_no_code(
    published: Path, sources: Path, perception: Perception
) -> None:
    codes, key = Codes({}), derive(Secret.from_seed(1), "test")
    hider = Hider(AppearanceReplace(), codes, Deniable(RIGHT, CHEAP), {key: 1})
    assert hider.payload(1, lambda track, frame: True).subjects == []
    assert Payload(CHEAP, bytes(16), 1, [], []).core[:8] == payload.MAGIC


@pytest.mark.parametrize("how", ["folder", "original is a link to it", "link to the original"])
def test_nothing_is_moved_where_the_faces_cannot_lie(
    how: str, blocked: Callable[[Path, Path, str], None], published: Path, tmp_path: Path
) -> None:
    original, target = tmp_path / "photo.png", tmp_path / "out.tiff"
    place = tmp_path / "out.tiff.incog"
    original.write_bytes((published / "a.png").read_bytes())
    blocked(place, original, how)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with (
        pytest.raises(OutputError, match=r"folder|input itself"),
        files.embedded(
            published / "a.tiff",
            target,
            original,
            found(published / "a.tiff").payload,
            sidecar=True,
            overwrite=True,
        ),
    ):
        pytest.fail("the faces were placed")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# On the command line


@pytest.fixture
def phrases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("owner")
    made = []
    for phrase in (RIGHT, WRONG):
        path = folder / str(len(made))
        path.write_text(phrase.value + "\n")
        path.chmod(0o600)
        made.append(path)
    return made[0], made[1]


def test_there_and_back_on_the_command_line(
    incog: Incog, photo: Path, phrases: tuple[Path, Path], tmp_path: Path
) -> None:
    right, wrong = phrases
    report = tmp_path / "report.json"
    done = incog(
        "hide", photo, "--passphrase-file", right, "--reversible", "deniable", "--no-compare", "--report", report
    )  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads(report.read_text())["files"][0]
    assert told["method"] == "replace"
    assert told["vault"]["mode"] == "deniable"
    assert told["vault"]["status"] == "pseudonymised, not anonymous"
    assert any("each gives some face" in claim["statement"] for claim in told["claims"])
    out = photo.with_name("holiday.incog.png")
    seen = incog("inspect", out)
    assert "deniable" in seen.out
    assert "pseudonymised" in seen.out
    assert "1 person" in seen.out
    granted = incog("grant", out, "--faces", "1", "--passphrase-file", right)
    assert (granted.code, "no single faces to grant: they were hidden deniably" in granted.err) == (1, True)
    bound = incog("restore", out, "--passphrase-file", right, "--ignore-binding")
    assert (bound.code, "--ignore-binding must be given with a file that has a vault" in bound.err) == (
        2,
        True,
    )
    sizes = []
    for file in (right, wrong):
        assert incog("restore", out, "--passphrase-file", file, "--overwrite").code == 0
        sizes.append(np.asarray(Image.open(photo.with_name("holiday.restored.png"))))
    assert np.abs(sizes[0].astype(int) - sizes[1]).max() > 20
    assert incog("strip", out, "-o", tmp_path / "public.png").code == 0
    assert incog("inspect", tmp_path / "public.png").code == 1
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "public.png")), np.asarray(Image.open(out))
    )
    for result in (done, seen):
        assert RIGHT.value not in result.out + result.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--reversible", "deniable"], "--passphrase"),
        (
            ["--reversible", "deniable", "--passphrase-file", "PHRASE", "--method", "fill"],
            "appearance-replace",
        ),
        (
            ["--reversible", "deniable", "--passphrase-file", "PHRASE", "--method", "donor"],
            "appearance-replace",
        ),
        (
            [
                "--reversible",
                "deniable",
                "--passphrase-file",
                "PHRASE",
                "--method",
                "replace",
                "--set",
                "age=40",
            ],
            "defaults",
        ),
        (["--reversible", "deniable", "--passphrase-file", "PHRASE", "--set", "age=50"], "defaults"),
        (["--reversible", "both", "--passphrase-file", "PHRASE"], "exact"),
    ],
)
def test_what_does_not_go_together(
    options: list[str], words: str, incog: Incog, photo: Path, phrases: tuple[Path, Path]
) -> None:
    done = incog("hide", photo, *(str(phrases[0]) if word == "PHRASE" else word for word in options))
    assert done.code == 2
    assert words in done.err
    assert not photo.with_name("holiday.incog.png").exists()


def test_exact_and_deniable_never_share_a_file(sources: Path, perception: Perception, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        hide(sources / "a.png", tmp_path / "a.png", perception, sealing=Sealing(RIGHT, CHEAP))
    assert not (tmp_path / "a.png").exists()


def test_a_vault_beside_a_file_is_no_deniable_one(
    sources: Path, perception: Perception, tmp_path: Path
) -> None:
    how = Options(sealing=Sealing(RIGHT, CHEAP))
    pipeline.hide(
        sources / "a.png", tmp_path / "a.png", make("fill", {}), Secret.fresh(), perception, options=how
    )
    assert files.find(tmp_path / "a.png") is None
    assert files.find(sources / "a.png") is None


def test_a_file_of_other_frames_and_a_wrong_suffix_are_refused(published: Path, tmp_path: Path) -> None:
    carried = found(published / "a.mp4")
    other = replace(carried, payload=replace(carried.payload, frames=9))
    with pytest.raises(InputError, match="9 frame"):
        restoring.restore(other, RIGHT, tmp_path / "b.mp4")
    with pytest.raises(OutputError, match="suffix"):
        restoring.restore(carried, RIGHT, tmp_path / "b.png")
    with pytest.raises(VaultError, match="not beside"):
        restoring.restore(replace(carried, picture=None), RIGHT, tmp_path / "b.mp4")
    assert not list(tmp_path.iterdir())
    beside = found(published / "a.tiff")
    assert beside.words == "a file beside it"
    with pytest.raises(VaultError, match="of their own"):
        files.strip(beside, tmp_path / "c.tiff")
