"""The picture of an explanation: the image with its segments left, what speaks for and against a label right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

POSITIVE = (0x21, 0x66, 0xAC)
"""Blue speaks for the label, as Clarify's users know it; both colours are of ColorBrewer's RdBu, safe for the
colour-blind."""
NEGATIVE = (0xB2, 0x18, 0x2B)
BORDER = (0xFF, 0xD5, 0x00)
INK, PALE_INK = (0x22, 0x22, 0x22), (0x66, 0x66, 0x66)

PANEL = 320
"""Longer side of a panel in pixels."""
MARGIN, TITLE_HEIGHT, BAR_WIDTH, BAR_ROOM = 16, 60, 14, 96
OPACITY = 0.75
"""Of the colours over the grey image, which must be recognised underneath."""


def draw_heat_map(
    image: Pixels,
    segments: NDArray[np.intp],
    attributions: NDArray[np.float64],
    scale: float,
    title: str,
    subtitle: str,
) -> Image.Image:
    """Draw one label's explanation.

    Args:
        image: (h, w, 3) RGB, as the model saw it.
        segments: (h, w), each pixel's segment, from 0.
        attributions: (segments,), positive speaks for the label.
        scale: the attribution that gets the full colour; the same for all labels of an image, so that they compare.
        title: which label, and its score.
        subtitle: what was predicted and what is true.
    """
    height, width = image.shape[:2]
    zoom = PANEL / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    # Few pixels are shown as the squares they are: that is what the model sees.
    smooth = Image.Resampling.LANCZOS if max(height, width) >= 64 else Image.Resampling.NEAREST
    large = np.asarray(Image.fromarray(image).resize(size, smooth))
    rows = np.arange(size[1]) * height // size[1]
    columns = np.arange(size[0]) * width // size[0]
    large_segments = segments[np.ix_(rows, columns)]

    left = with_borders(large, large_segments)
    # Lightened, so that dark pictures do not darken the colours.
    grey = np.repeat(96 + large.mean(axis=2, keepdims=True) * (159 / 255), 3, axis=2)
    heat = colours(attributions / scale if scale > 0 else attributions * 0)[large_segments]
    right = (OPACITY * heat + (1 - OPACITY) * grey).astype(np.uint8)

    canvas = Image.new("RGB", (3 * MARGIN + 2 * size[0] + BAR_ROOM, TITLE_HEIGHT + size[1] + MARGIN), "white")
    canvas.paste(Image.fromarray(left), (MARGIN, TITLE_HEIGHT))
    canvas.paste(Image.fromarray(right), (2 * MARGIN + size[0], TITLE_HEIGHT))
    pen = ImageDraw.Draw(canvas)
    room = canvas.width - 2 * MARGIN
    _write(pen, (MARGIN, 10), title, 17, INK, room)
    _write(pen, (MARGIN, 34), subtitle, 13, PALE_INK, room)
    _draw_scale(canvas, (3 * MARGIN + 2 * size[0], TITLE_HEIGHT), size[1], scale)
    return canvas


def colours(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strength from -1 to 1 → RGB, (…, 3): red, white at 0, blue."""
    strength = np.clip(strength, -1, 1)[..., None]
    full = np.where(strength > 0, np.array(POSITIVE, float), np.array(NEGATIVE, float))
    return np.asarray(255 + (full - 255) * np.abs(strength))


def with_borders(image: Pixels, segments: NDArray[np.intp]) -> Pixels:
    """The image with a line where two segments meet."""
    border = np.zeros(segments.shape, dtype=np.bool_)
    across, down = segments[:, 1:] != segments[:, :-1], segments[1:] != segments[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return np.where(border[..., None], np.array(BORDER, np.uint8), image)


def _draw_scale(canvas: Image.Image, corner: tuple[int, int], height: int, scale: float) -> None:
    x, y = corner
    strength = np.repeat(np.linspace(1, -1, height)[:, None], BAR_WIDTH, axis=1)
    canvas.paste(Image.fromarray(colours(strength).astype(np.uint8)), corner)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((x - 1, y - 1, x + BAR_WIDTH, y + height), outline=PALE_INK)
    for share, value in ((0.0, scale), (0.5, 0.0), (1.0, -scale)):
        text = "0" if value == 0 else f"{value:+.2g}"
        _write(pen, (x + BAR_WIDTH + 6, y + int(share * (height - 14))), text, 12, INK, BAR_ROOM)


def _write(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, size: int, ink: tuple[int, int, int], room: int
) -> None:
    font = ImageFont.load_default(size)
    pen.text(corner, fitting(text, lambda cut: pen.textlength(cut, font=font) <= room), fill=ink, font=font)


def fitting(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of its beginning as fits with an ellipsis; on one line, without control characters."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if fits(text):
        return text
    length = next((n for n in range(len(text) - 1, 0, -1) if fits(text[:n] + "…")), 0)
    return text[:length] + "…"
