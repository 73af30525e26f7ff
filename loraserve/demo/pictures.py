"""Small pictures: diagrams have few colours."""

from __future__ import annotations

import io
from pathlib import Path

#: Colours of the palette. A diagram's lines and the edges of its letters look the same with fewer than this.
COLOURS = 32


def small_png(path: Path) -> bytes:
    """Return the picture as a PNG file with a palette, about a third of its size."""
    from PIL import Image  # noqa: PLC0415 - slow

    with Image.open(path) as picture:
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(picture, mask=picture.convert("RGBA").getchannel("A"))
        output = io.BytesIO()
        flat.quantize(COLOURS, dither=Image.Dither.NONE).save(output, "PNG", optimize=True)
    return output.getvalue()
