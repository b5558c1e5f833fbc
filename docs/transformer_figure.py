"""The figure of the page on the face identity transformer, images/transformer.jpg, of people in the public domain.

``python docs/transformer_figure.py`` draws it again, with other keys: each face in a PNG file and then in a JPEG file,
as it was, as it is shown, as the right passphrase turns it back, and as three wrong ones do.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from deniable_figure import people, row_of
from PIL import Image

from incog.methods.transformer import Transformer
from incog.pipeline import Perception

PLACE = Path(__file__).resolve().parent / "images" / "transformer.jpg"


def main() -> None:
    """Draw the figure."""
    perception = Perception()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row_of(one, perception, Path(folder), Transformer(), suffix)
            for one in people()
            for suffix in (".png", ".jpg")
        ]
    Image.fromarray(np.concatenate(rows)).save(PLACE, quality=88)


if __name__ == "__main__":
    main()
