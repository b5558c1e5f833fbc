"""Faces of videos, granted one by one: which samples come back in which frames, and which never do."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incog.errors import UsageError, VaultError
from incog.media import open_source
from incog.media.base import OutputOptions
from incog.types import Frame, Layout
from incog.vault.carriers import find
from incog.vault.files import Sealing, sealed
from incog.vault.grants import faces_of, grant, tracks_of
from incog.vault.header import FILE, TRACK, TRACKS, Cost
from incog.vault.opening import restore
from incog.vault.stream import Passphrase
from incog.vault.tracks import Sightings, Summary, Tracks, laid_in, summaries_of

CHEAP = Cost(1, 8, 1)
OWNER, FRIEND = Passphrase("the owner"), Passphrase("a friend")
SEEN = {0: {7: (4, 6, 20, 26)}, 1: {7: (6, 6, 22, 26), 3: (18, 8, 34, 28)}, 3: {3: (18, 8, 35, 29)}}
"""Regions by frame and track; in frame 1 they overlap, in frame 3 one reaches to odd borders."""

TALL, WIDE = 29, 35


def frames(layout: Layout, count: int = 4, seed: int = 0) -> list[Frame]:
    """Return frames of noise, 35 x 29 pixels."""
    random = np.random.default_rng(seed)

    def plane(*shape: int) -> Any:
        return random.integers(0, layout.maximum + 1, shape).astype(layout.dtype)

    small = -(-TALL // (1 << layout.shift_y)), -(-WIDE // (1 << layout.shift_x))
    found = []
    for index in range(count):
        if layout.kind == "yuv":
            planes = [plane(TALL, WIDE), plane(*small), plane(*small)]
        else:
            planes = [plane(TALL, WIDE, 3) if layout.kind == "rgb" else plane(TALL, WIDE)]
        if layout.alpha:
            planes.append(plane(TALL, WIDE))
        found.append(Frame(tuple(planes), layout, index, Fraction(index)))
    return found


LAYOUTS = {
    "4:2:0": Layout("yuv", shift_x=1, shift_y=1),
    "4:2:2, 10 bits": Layout("yuv", depth=10, shift_x=1),
    "4:4:4 with alpha": Layout("yuv", alpha=True),
    "grey": Layout("grey"),
    "rgb": Layout("rgb"),
}


def tracks_of_seen(seen: Mapping[int, Mapping[int, tuple[int, int, int, int]]]) -> Tracks:
    sightings = Sightings()
    for frame in sorted(seen):
        sightings.add(frame, seen[frame])
    return sightings.tracks()


def records(tracks: Tracks, before: list[Frame], number: int) -> io.BytesIO:
    return io.BytesIO(b"".join(tracks.cut(frame, number) for frame in before))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_track_comes_back_exactly_and_nothing_else_changes(name: str) -> None:
    layout = LAYOUTS[name]
    before, after = frames(layout), frames(layout, seed=1)
    tracks = tracks_of_seen(SEEN)
    both = [np.zeros(plane.shape, int) for plane in after[1].planes]
    for number, track in ((1, 7), (2, 3)):
        shown = list(laid_in(after, [records(tracks, before, number)]))
        assert len(shown) == len(after)
        for index, frame in enumerate(shown):
            region = SEEN.get(index, {}).get(track)
            for place, plane in enumerate(frame.planes):
                old, new = before[index].planes[place], after[index].planes[place]
                changed = plane != new
                assert np.array_equal(plane[changed], old[changed])
                inside = np.zeros(plane.shape, bool)
                if region is not None:
                    shift = layout.shift_x if place in {1, 2} else 0, layout.shift_y if place in {1, 2} else 0
                    x0, y0 = region[0] >> shift[0], region[1] >> shift[1]
                    x1, y1 = -(-region[2] // (1 << shift[0])), -(-region[3] // (1 << shift[1]))
                    inside[y0:y1, x0:x1] = True
                assert not changed[~inside].any()
                if index == 1:
                    both[place] += plane == old
                elif region is not None:
                    assert np.array_equal(plane[inside], old[inside])
        assert sum(frame is original for frame, original in zip(shown, after, strict=True)) == 2
    # Where two overlap, each sample went with one of them.
    together = list(laid_in(after, [records(tracks, before, number) for number in (1, 2)]))[1]
    for place, plane in enumerate(together.planes):
        covered = (plane == before[1].planes[place]) & (before[1].planes[place] != after[1].planes[place])
        assert np.array_equal(both[place][covered] == 1, np.ones(int(covered.sum()), bool))


def test_tracks_are_numbered_by_time_and_place() -> None:
    tracks = tracks_of_seen({2: {9: (0, 0, 2, 2)}, 0: {5: (8, 0, 10, 2), 8: (4, 0, 6, 2)}})
    assert [tracks.at(frame) for frame in range(4)] == [
        {2: (8, 0, 10, 2), 1: (4, 0, 6, 2)},
        {},
        {3: (0, 0, 2, 2)},
        {},
    ]
    assert Tracks.unpack(tracks.pack()).pack() == tracks.pack()
    found = tracks_of_seen(SEEN).summaries()
    assert found == [Summary(0, 1, (6, 6, 16, 20)), Summary(1, 3, (18, 8, 17, 21))]
    assert summaries_of(b"".join(item.pack() for item in found)) == found


def test_a_video_that_is_gone_through_again_begins_anew() -> None:
    sightings = Sightings()
    for frame in (0, 1, 2):
        sightings.add(frame, {5: (0, 0, 2, 2)})
    sightings.add(0, {})
    sightings.add(1, {70_000: (4, 4, 8, 8)})
    tracks = sightings.tracks()
    assert tracks.summaries() == [Summary(1, 1, (4, 4, 4, 4))]
    assert Sightings().tracks().summaries() == []


def test_records_that_cannot_be_read_are_damage() -> None:
    layout = LAYOUTS["4:2:0"]
    before, tracks = frames(layout), tracks_of_seen(SEEN)
    data = records(tracks, before, 1).getvalue()
    one = tracks.cut(before[0], 1)
    for content in (data[:-1], data[:3], one + one, one[:22] + b"x" + one[23:]):
        with pytest.raises(VaultError, match="cannot be read"):
            list(laid_in(frames(layout, seed=1), [io.BytesIO(content)]))
    with pytest.raises(VaultError, match="other samples"):
        list(laid_in(frames(LAYOUTS["grey"]), [io.BytesIO(data)]))
    with pytest.raises(VaultError, match="other samples"):
        list(laid_in(frames(LAYOUTS["4:2:2, 10 bits"]), [io.BytesIO(data)]))
    with pytest.raises(VaultError, match="outside of the video"):
        list(laid_in(frames(layout, count=1), [io.BytesIO(data)]))
    small = [
        replace(frame, planes=tuple(plane[:8, :8] for plane in frame.planes)) for frame in frames(layout)
    ]
    with pytest.raises(VaultError, match="outside of the picture"):
        list(laid_in(small, [io.BytesIO(data)]))
    with pytest.raises(VaultError, match="cut off"):
        Tracks.unpack(tracks.pack()[:-1])
    with pytest.raises(VaultError, match="out of order"):
        Tracks.unpack(tracks.pack()[14:] + tracks.pack()[:14])


# Files


@pytest.fixture
def published(tmp_path: Path, clip: Path) -> Path:
    """Return a clip of 14 frames in which two squares are grey, with the original sealed in it."""
    source = open_source(clip)
    seen = {index: {1: (40, 20, 80, 60), 2: (120, 100, 160, 140)} for index in range(2, 12)}
    out = tmp_path / "out.mp4"
    with source.sink(out, OutputOptions()) as sink:
        for frame in source.frames():
            copy = frame.copy()
            for x0, y0, x1, y1 in seen.get(frame.index, {}).values():
                copy.planes[0][y0:y1, x0:x1] = 128
                for plane in copy.planes[1:]:
                    plane[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = 128
            sink.write(copy)
    with sealed(out, out, clip, Sealing(OWNER, CHEAP), changes=tracks_of_seen(seen)):
        pass
    return out


def lumas(path: Path) -> Any:
    return np.stack([frame.planes[0] for frame in open_source(path).frames()]).astype(int)


@pytest.mark.parametrize("alone", [False, True])
def test_one_face_of_a_video_is_granted(published: Path, clip: Path, tmp_path: Path, alone: bool) -> None:
    header = find(published).header
    assert [part.kind for part in header.parts] == [FILE, TRACKS]
    assert faces_of(header) == {}
    assert list(tracks_of(header).values()) == [
        Summary(2, 11, (40, 20, 40, 40)),
        Summary(2, 11, (120, 100, 40, 40)),
    ]
    target = tmp_path / "granted.mp4"
    grant(find(published), OWNER, [2], FRIEND, target, alone=alone)
    kinds = [(part.kind, part.number) for part in find(target).header.parts]
    assert kinds == ([(TRACK, 2)] if alone else [(FILE, 1), (TRACKS, 1), (TRACK, 2)])
    assert list(tracks_of(find(target).header)) == ([2] if alone else [1, 2])
    back = restore(find(target), FRIEND, tmp_path / "back.mp4")
    assert "encoded anew" in back.words
    assert "face(s) 2" in back.words
    before, after, shown = lumas(clip), lumas(published), lumas(back.path)
    mine, other = np.s_[2:12, 104:136, 124:156], np.s_[2:12, 24:56, 44:76]
    assert np.abs(shown[mine] - before[mine]).mean() < 3
    assert np.abs(after[mine] - before[mine]).mean() > 20
    assert np.abs(shown[other] - after[other]).mean() < 1
    if not alone:
        whole = restore(find(target), OWNER, tmp_path / "whole.mp4")
        assert whole.path.read_bytes() == clip.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".incog-")]


def test_what_is_no_track_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="numbers from 1 to 2"):
        grant(find(published), OWNER, [3], FRIEND, tmp_path / "granted.mp4")
    assert not (tmp_path / "granted.mp4").exists()
