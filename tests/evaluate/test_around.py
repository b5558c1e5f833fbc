"""What files tell besides their pixels is found, and nothing is made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from incog.evaluate.around import around


def test_tags_thumbnails_and_transparency_are_found(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 32), (90, 20, 30))
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 3.0)
    exif[0x010F] = "a camera"
    picture.save(tmp_path / "tagged.jpg", exif=exif, comment=b"who this is")
    Image.new("RGBA", (32, 32), (0, 0, 0, 9)).save(tmp_path / "clear.png")
    picture.save(tmp_path / "plain.png")
    (tmp_path / "long.jpg").write_bytes((tmp_path / "tagged.jpg").read_bytes() + b"more" * 100)
    paths = {
        f"{n}.png": tmp_path / name
        for n, name in enumerate(("tagged.jpg", "clear.png", "plain.png", "long.jpg"))
    }
    found = around(paths, {})
    assert "A comment was left in: 2 of 4 files." in found
    assert "A place (GPS) was left in: 2 of 4 files." in found
    assert "EXIF data were left in: 2 of 4 files." in found
    assert "Transparency, which may hide pixels, was left in: 1 of 4 files." in found
    assert any("left in: 1 of 4 files." in text and "end" in text.lower() for text in found), found
    assert around({"x": tmp_path / "plain.png"}, {}) == []


def test_sizes_in_the_originals_order_are_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    paths, sizes = {}, {}
    for n in range(20):
        noise = random.integers(0, 256, (8 + 3 * n, 32, 3)).astype(np.uint8)
        paths[f"{n}.jpg"] = tmp_path / f"{n}.png"
        Image.fromarray(noise).save(paths[f"{n}.jpg"])
        sizes[f"{n}.jpg"] = 1000 * n
    found = around(paths, sizes)
    assert len(found) == 1
    assert found[0].startswith("File sizes are in the order")
    shuffled = dict(zip(sizes, random.permutation(list(sizes.values())).tolist(), strict=True))
    assert around(paths, shuffled) == []


def test_tiffs_palettes_and_animations_are_looked_at(tmp_path: Path) -> None:
    grey = Image.new("L", (16, 16), 9)
    grey.save(tmp_path / "a.tiff", save_all=True, append_images=[grey], description="Anna, 5 Long Street")
    grey.save(tmp_path / "b.tiff")
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "c.png", transparency=0)
    found = around({name: tmp_path / name for name in ("a.tiff", "b.tiff", "c.png")}, {})
    assert found == [
        "Further pictures or frames were left in: 1 of 3 files.",
        "Tags beside those of the picture were left in (TIFF): 1 of 3 files.",
        "Transparency, which may hide pixels, was left in: 1 of 3 files.",
    ]
