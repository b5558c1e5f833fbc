"""The figure of the page on deniable recovery, images/deniable.jpg, of two people in the public domain.

``python docs/deniable_figure.py`` draws it again, with other wrong faces, since salts are new each time: each face as
it was, as it is shown, as the right passphrase brings it back, and as three wrong ones do.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from matplotlib import cbook
from PIL import Image
from skimage import data

from incog import pipeline
from incog.colour import rgb8
from incog.deniable import files, restoring
from incog.deniable.coding import Deniable
from incog.keys import Secret
from incog.media import open_source
from incog.methods.base import Method
from incog.methods.generated import Replace
from incog.pipeline import Options, Perception
from incog.types import Bytes
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

SIDE = 200
"""Of a cell, px."""

PLACE = Path(__file__).resolve().parent / "images" / "deniable.jpg"
PHRASES = ("right", "wrong", "worse", "worst")


def row_of(
    picture: Bytes, perception: Perception, folder: Path, method: Method, suffix: str = ".png"
) -> Bytes:
    """Return the cells of the largest face of a picture (H, W, 3) uint8, side by side. suffix: of the files."""
    source, target = folder / f"before{suffix}", folder / f"after{suffix}"
    back = folder / f"back{suffix}"
    Image.fromarray(picture).save(source)
    options = Options(overwrite=True, deniable=Deniable(Passphrase(PHRASES[0]), Cost(1, 8, 1)))
    pipeline.hide(source, target, method, Secret.fresh(), perception, options=options)
    carried = files.find(target)
    assert carried is not None
    found = [picture, _picture(target)]
    for phrase in PHRASES:
        restoring.restore(carried, Passphrase(phrase), back, overwrite=True)
        found.append(_picture(back))
    outline = max(carried.payload.faces, key=lambda face: face.size).outline
    x, y = (outline.min(0) + outline.max(0)) / 2
    half = 0.62 * float(np.ptp(outline, axis=0).max())
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    return np.concatenate(
        [np.asarray(Image.fromarray(one).crop(box).resize((SIDE, SIDE))) for one in found], 1
    )


def _picture(path: Path) -> Bytes:
    return rgb8(next(iter(open_source(path).frames())))


def people() -> tuple[Bytes, Bytes]:
    """Return the pictures of both, (H, W, 3) uint8."""
    admiral = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    return data.astronaut(), np.asarray(admiral)


def main() -> None:
    """Draw the figure."""
    perception = Perception()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row_of(one, perception, Path(folder), Replace()) for one in people()]
    Image.fromarray(np.concatenate(rows)).save(PLACE, quality=88)


if __name__ == "__main__":
    main()
