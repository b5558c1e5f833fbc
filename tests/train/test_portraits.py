"""Portraits: faces cut out alike, written and read again, where pictures end, and files that are none."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from incog import points  # noqa: E402
from incog.data.faces import Sample, template  # noqa: E402
from incog.errors import InputError  # noqa: E402
from incog.perceive import embedder  # noqa: E402
from incog.train import portraits as module  # noqa: E402
from incog.train.portraits import SIZE, aligned, inside, main, read, write  # noqa: E402
from incog.types import Bytes, Floats  # noqa: E402

EYES = np.array([[212, 106], [249, 106], [232, 128], [216, 147], [247, 147]], np.float32)
"""The astronaut's five points."""

TURNS = (0.0, 20.0, -35.0)


def png(picture: Bytes) -> bytes:
    return bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def turned(degrees: float) -> tuple[Bytes, Floats]:
    """Return the astronaut, turned about her nose and cut off below the chin, and her five points."""
    matrix = cv2.getRotationMatrix2D((232, 128), -degrees, 1.0).astype(np.float32)
    picture = cv2.warpAffine(skimage.data.astronaut(), matrix, (512, 190), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(picture, np.uint8), EYES @ matrix[:, :2].T + matrix[:, 2]


def samples(sources: Mapping[str, Path]) -> Iterator[tuple[str, Sample]]:
    for number, degrees in enumerate(TURNS):
        picture, five = turned(degrees)
        yield "nasa", Sample(f"{number}.png", partial(png, picture), "Collins", points=five)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    yield "noise", Sample("noise.png", lambda: png(noise), points=EYES - 100)
    yield "nasa", Sample("unknown.png", lambda: png(noise))
    yield "nasa", Sample("bad.png", lambda: png(noise), points=EYES, fault="blurred")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portraits") / "faces.portraits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_sources", samples)
        assert write({"nasa": Path("nasa")}, path) == len(TURNS)
    return path


def test_faces_are_cut_out_alike(file: Path) -> None:
    found = read(file)
    assert found.names == ["0.png", "1.png", "2.png"]
    assert found.sources == ["nasa"] * 3
    assert found.identities == ["Collins"] * 3
    assert found.pixels.shape == (3, SIZE, SIZE, 3)
    five = points.five(found.dense)
    # A similarity lays five points on five others as well as it can.
    assert np.abs(five - template("outline", SIZE)).mean() < 3
    # Turned pictures show the same crop, and their roll is gone.
    assert np.abs(found.dense[1:] - found.dense[0]).mean() < 2
    assert np.abs(found.pose[:, 2]).max() < 6
    inner = slice(40, 80)
    differ = np.abs(found.pixels[1:].astype(int) - found.pixels[0])[:, inner, inner]
    assert differ.mean() < 14


def test_embeddings_and_looks_are_told_and_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(file)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=2e-3)
    assert (found.embeddings @ found.embeddings.T).min() > 0.5
    assert found.attributes[:, 1].min() > 0.5
    assert file.with_name(file.name + ".known.npz").exists()

    def never(*given: Any, **more: Any) -> None:
        raise AssertionError("told again")

    monkeypatch.setattr(module, "OnnxEmbedder", never)
    again = read(file)
    np.testing.assert_array_equal(again.embeddings, found.embeddings)
    np.testing.assert_array_equal(again.attributes, found.attributes)


def test_what_is_kept_beside_a_file_may_be_damaged(file: Path) -> None:
    before = read(file)
    kept = file.with_name(file.name + ".known.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(read(file).embeddings, before.embeddings)


def test_corners_say_where_the_picture_ended(file: Path) -> None:
    found = read(file)
    shown = np.stack([inside(one) for one in found.corners])
    assert set(np.unique(shown)) == {0, 1}
    # Cut off below the chin, straight across where the face is upright.
    assert shown[0, :100].all()
    assert not shown[0, -8:].any()
    # Beyond it the picture's last row is repeated.
    below = found.pixels[0, -4:].astype(int)
    assert np.abs(below - below[:1]).mean() < 4
    assert not shown[1, -1].all()
    assert not np.array_equal(shown[1], shown[2])


def test_a_polygon_is_filled_to_its_ends() -> None:
    whole = np.array([[0, 0], [SIZE - 1, 0], [SIZE - 1, SIZE - 1], [0, SIZE - 1]], np.float32)
    assert inside(whole).all()
    # The pixels that an edge runs through count.
    assert 64**2 <= inside(whole * 0.5).sum() <= 65**2
    assert inside(whole - 500).sum() == 0
    assert inside(np.array([[-900, -900], [900, -900], [900, 900], [-900, 900]], np.float32)).all()


def test_recognisers_are_given_their_own_crop() -> None:
    five = template("outline", SIZE)
    dense = np.repeat(five.mean(0)[None], points.COUNT, axis=0)
    dense[list(points.FIVE)] = five
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    for x, y in np.rint(five).astype(int):
        picture[y, x] = 255
    found = aligned(picture, dense)
    assert found.shape == (112, 112, 3)
    for x, y in np.rint(embedder.TEMPLATE).astype(int):
        assert found[y - 1 : y + 2, x - 1 : x + 2].max() > 60


def test_splits_are_of_people() -> None:
    count = 300
    zeros = np.zeros((count, 1), np.float32)
    many = module.Portraits(
        np.zeros((count, 1, 1, 3), np.uint8), zeros, zeros, zeros, zeros, zeros,
        [f"{n}.png" for n in range(count)], ["s"] * count, [f"p{n // 2}" if n < 200 else "" for n in range(count)],
    )  # fmt: skip
    parts = [set(many.rows(split).tolist()) for split in ("train", "dev", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == count
    for part in parts:
        assert all((row ^ 1) in part for row in part if row < 200)


def test_nothing_that_can_be_cut_out_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_sources", lambda sources: list(samples(sources))[3:])
    with pytest.raises(InputError, match="no faces with known points"):
        write({"noise": Path("noise")}, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def remade(file: Path, change: Any) -> bytes:
    """Return a file of portraits whose table and arrays were changed."""
    with zipfile.ZipFile(file) as before:
        table, images = json.loads(before.read("portraits.json")), before.read("images.bin")
        with np.load(io.BytesIO(before.read("arrays.npz"))) as found:
            arrays = dict(found)
    images = change(table, arrays, images) or images
    packed, whole = io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, **arrays)
    with zipfile.ZipFile(whole, "w") as after:
        after.writestr("portraits.json", json.dumps(table))
        after.writestr("arrays.npz", packed.getvalue())
        after.writestr("images.bin", images)
    return whole.getvalue()


DAMAGES = {
    "must be of version 1, template outline, 128 px, got": [
        lambda table, arrays, images: table.update(version=2),
        lambda table, arrays, images: table.update(size=64),
        lambda table, arrays, images: table.update(template="wide"),
    ],
    "its tables are of different lengths": [
        lambda table, arrays, images: table["faces"].pop(),
        lambda table, arrays, images: arrays.update(dense=arrays["dense"][:1]),
        lambda table, arrays, images: images[:-5],
    ],
    "holds no portraits": [
        lambda table, arrays, images: arrays.pop("pose"),
        lambda table, arrays, images: table.pop("faces"),
    ],
}


@pytest.mark.parametrize(
    ("message", "change"), [(message, change) for message, some in DAMAGES.items() for change in some]
)
def test_files_of_another_kind_are_refused(message: str, change: Any, file: Path, tmp_path: Path) -> None:
    def changed(table: Any, arrays: Any, images: bytes) -> bytes | None:
        found = change(table, arrays, images)
        return found if isinstance(found, bytes) else None

    path = tmp_path / "other.portraits"
    path.write_bytes(remade(file, changed))
    with pytest.raises(InputError, match=message):
        read(path)


def test_damaged_files_are_refused_with_no_other_error(file: Path, tmp_path: Path) -> None:
    good, path = file.read_bytes(), tmp_path / "bad.portraits"
    for data in (b"", b"portraits", good[: len(good) // 2], good[:-40]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"bad\.portraits holds no portraits") as refused:
            read(path)
        assert "python -m incog.train.portraits" in refused.value.hint
    with pytest.raises(InputError, match="holds no portraits"):
        read(tmp_path / "none.portraits")
    kept = file.with_name(file.name + ".known.npz")
    for place in range(7, len(good), len(good) // 25):
        broken = bytearray(good)
        broken[place] ^= 0xFF
        path.write_bytes(bytes(broken))
        # Where points and networks are the same, what they said is; where not, this only takes longer.
        path.with_name(path.name + ".known.npz").write_bytes(kept.read_bytes())
        try:
            read(path)
        except InputError:
            continue


def test_the_command_line_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "read_sources", samples)
    out = tmp_path / "out.portraits"
    main(["--data", "nasa=somewhere", "--out", str(out), "--quality", "60"])
    assert capsys.readouterr().out.startswith("3 portraits, ")
    assert len(read(out)) == 3
