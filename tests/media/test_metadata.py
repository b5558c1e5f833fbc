"""The allow-list: what passes, and that nothing else does, whatever is planted in it."""

from __future__ import annotations

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from incog.media.metadata import (
    ALLOWED_EXIF,
    ALLOWED_MAIN,
    exif_block,
    filter_exif,
    keep,
    orientation,
    read_exif,
    telling,
)

EXIF, GPS, INTEROP, THUMBNAIL = 0x8769, 0x8825, 0xA005, 1


def rich() -> Image.Exif:
    """Every tag that is kept, and one of each kind that is not; planted values hold PLANTED."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Maker", "Model 7", "2024:05:06 07:08:09"
    exif[0x8298] = "(c) 2024 The Agency"
    exif[0x0112] = 6
    for tag in (0x010E, 0x013B, 0x013C, 0xC62F, 0x0131, 0x9C9D):
        exif[tag] = "PLANTED"
    inner = exif.get_ifd(EXIF)
    inner[0x829A], inner[0x829D], inner[0x8827] = IFDRational(1, 250), IFDRational(28, 10), 400
    inner[0x9003], inner[0x9291] = "2024:05:06 07:08:09", "123"
    inner[0x9204], inner[0x920A], inner[0xA434] = IFDRational(-1, 3), IFDRational(50, 1), "50mm F2.8"
    inner[0xA432] = (IFDRational(50), IFDRational(50), IFDRational(28, 10), IFDRational(28, 10))
    for tag in (0xA430, 0xA431, 0xA435, 0xA420, 0x9010):
        inner[tag] = "PLANTED"
    inner[0x927C] = b"PLANTED maker note"
    inner[0x9286] = b"ASCII\0\0\0PLANTED"
    gps = exif.get_ifd(GPS)
    gps[1], gps[2] = "N", (IFDRational(52), IFDRational(31), IFDRational(0))
    gps[27] = b"PLANTED"
    return exif


def test_what_is_kept_comes_back_and_nothing_else() -> None:
    block = filter_exif(rich())
    assert block is not None
    assert b"PLANTED" not in block
    back = read_exif(block)
    assert dict(back) == {
        0x010F: "Maker",
        0x0110: "Model 7",
        0x0132: "2024:05:06 07:08:09",
        0x8298: "(c) 2024 The Agency",
        EXIF: back[EXIF],
    }
    inner = back.get_ifd(EXIF)
    assert set(inner) == {0x829A, 0x829D, 0x8827, 0x9003, 0x9291, 0x9204, 0x920A, 0xA432, 0xA434}
    assert inner[0x829A] == IFDRational(1, 250)
    assert inner[0x9204] == IFDRational(-1, 3)
    assert not back.get_ifd(GPS)
    assert orientation(block) == 1


def test_no_listed_tag_is_about_place_people_or_a_device() -> None:
    names = {name for name, _ in [*ALLOWED_MAIN.values(), *ALLOWED_EXIF.values()]}
    for word in (
        "GPS",
        "Serial",
        "Owner",
        "Artist",
        "Author",
        "Comment",
        "Description",
        "MakerNote",
        "Offset",
        "Host",
    ):
        assert not any(word in name for name in names), word


def test_a_kept_tag_cannot_smuggle() -> None:
    exif = Image.Exif()
    exif[0x0132] = "52.5200 13.4050"
    exif[0x010F] = "A" * 5000
    exif[0x0110] = "two\nlines"
    inner = exif.get_ifd(EXIF)
    inner[0x9291] = "not digits"
    inner[0x829A] = "one second"
    inner[0xA432] = tuple(range(100))
    inner[0x8827] = b"bytes"
    assert filter_exif(exif) is None


def test_an_impossible_fraction_is_dropped() -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF)[0x829D] = IFDRational(0, 0)
    assert keep(exif).names == []


def test_nothing_to_keep_is_no_block() -> None:
    assert filter_exif(Image.Exif()) is None
    assert exif_block(keep(read_exif(None))) is None


def test_broken_blocks_count_as_absent() -> None:
    block = rich().tobytes()
    for damaged in (b"Exif\0\0", b"garbage", block[:20], b"Exif\0\0II*\0\xff\xff\xff\xff"):
        exif = read_exif(damaged)
        assert orientation(damaged) in range(1, 9)
        assert filter_exif(exif) is None or b"PLANTED" not in (filter_exif(exif) or b"")


def test_the_orientation_counts_in_a_block_that_is_otherwise_damaged() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0110] = "Model"
    exif.get_ifd(EXIF)[0x9003] = "2024:05:06 07:08:09"
    block = bytearray(exif.tobytes())
    assert orientation(bytes(block)) == 6
    at = block.index(b"\x01\x10\x00\x02")
    block[at + 8 : at + 12] = b"\x7f\xff\xff\xff"  # the model's name lies nowhere
    assert orientation(bytes(block)) == 6
    assert orientation(bytes(block[:50])) == 6
    assert keep(read_exif(bytes(block))).names == []


def test_orientation_in_either_byte_order_and_size() -> None:
    for order, mark in (("little", b"II*\0"), ("big", b"MM\0*")):
        for kind, width in ((3, 2), (4, 4)):
            entry = (0x0112).to_bytes(2, order) + kind.to_bytes(2, order) + (1).to_bytes(4, order)
            entry += (8).to_bytes(width, order).ljust(4, b"\0")
            block = mark + (8).to_bytes(4, order) + (1).to_bytes(2, order) + entry
            assert orientation(block) == orientation(b"Exif\0\0" + block) == 8


def test_orientation_is_one_to_eight() -> None:
    for value, expected in [(6, 6), (1, 1), (8, 8), (0, 1), (9, 1)]:
        exif = Image.Exif()
        exif[0x0112] = value
        assert orientation(exif.tobytes()) == expected
    assert orientation(None) == orientation(b"") == orientation(b"garbage" * 9) == 1


def test_telling_tags_are_named_in_words() -> None:
    words = telling(rich())
    assert words[0] == "the GPS position"
    for word in (
        "maker notes",
        "a camera serial number",
        "the owner's name",
        "the artist's name",
        "the camera",
    ):
        assert word in words
    assert telling(Image.Exif()) == []
