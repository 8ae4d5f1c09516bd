"""The picture of an explanation: the image with its segments left, what speaks for and against a label right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

POSITIVE = (0x21, 0x66, 0xAC)
"""Blue speaks for the label, as Clarify's users know it; both colours are of ColorBrewer's RdBu, safe for the
colour-blind."""
NEGATIVE = (0xB2, 0x18, 0x2B)
BORDER = (0xFF, 0xD5, 0x00)
BOXES = ((0x00, 0x9E, 0x73), (0xD5, 0x5E, 0x00), (0xCC, 0x79, 0xA7), (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00))
"""Of objects, in turn: Okabe and Ito's, which the colour-blind tell apart."""
INK, PALE_INK = (0x22, 0x22, 0x22), (0x66, 0x66, 0x66)

PANEL = 320
"""Longer side of a panel in pixels."""
MARGIN, TITLE_HEIGHT, BAR_WIDTH, BAR_ROOM = 16, 60, 14, 96
LEGEND, LINE = 240, 20
"""Room for the names of objects, and for each of them."""
PALEST, STRONGEST = 0.4, 0.85
"""Opacity of the colours over the grey image, without any attribution and with the largest: it must be recognised
underneath."""


Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax as shares of the picture's width and height."""


def draw_heat_map(
    image: Pixels,
    segments: NDArray[np.intp],
    attributions: NDArray[np.float64],
    scale: float,
    title: str,
    subtitle: str,
    box: Box | None = None,
) -> Image.Image:
    """Draw one label's explanation.

    Args:
        image: (h, w, 3) RGB, as the model saw it.
        segments: (h, w), each pixel's segment, from 0; below 0 those that are no part of the explanation.
        attributions: (segments,), positive speaks for the label.
        scale: the attribution that gets the full colour; the same for all labels of an image, so that they compare.
        title: which label, and its score.
        subtitle: what was predicted and what is true.
        box: of the object that is explained.
    """
    large, rows, columns = _enlarged(image)
    size = large.shape[1], large.shape[0]
    large_segments = segments[np.ix_(rows, columns)]

    # Lightened, so that dark pictures do not darken the colours.
    grey = np.repeat(96 + large.mean(axis=2, keepdims=True) * (159 / 255), 3, axis=2)
    strength = np.append(attributions / scale if scale > 0 else attributions * 0, 0.0)  # the last: of no segment
    heat = colours(strength)[large_segments]
    opacity = (PALEST + (STRONGEST - PALEST) * np.abs(strength))[large_segments][..., None]
    left = Image.fromarray(with_borders(large, large_segments))
    right = Image.fromarray((opacity * heat + (1 - opacity) * grey).astype(np.uint8))
    if box is not None:
        for panel in (left, right):
            _outline(ImageDraw.Draw(panel), box, size, INK)

    canvas = Image.new("RGB", (3 * MARGIN + 2 * size[0] + BAR_ROOM, TITLE_HEIGHT + size[1] + MARGIN), "white")
    canvas.paste(left, (MARGIN, TITLE_HEIGHT))
    canvas.paste(right, (2 * MARGIN + size[0], TITLE_HEIGHT))
    _write_titles(canvas, title, subtitle)
    _draw_scale(canvas, (3 * MARGIN + 2 * size[0], TITLE_HEIGHT), size[1], scale)
    return canvas


def draw_objects(image: Pixels, boxes: Sequence[tuple[str, Box]], title: str, subtitle: str) -> Image.Image:
    """The picture with the boxes that are explained, and what each is called."""
    large, _, _ = _enlarged(image)
    size = large.shape[1], large.shape[0]
    canvas = Image.new("RGB", (2 * MARGIN + size[0] + LEGEND, TITLE_HEIGHT + size[1] + MARGIN), "white")
    drawn = Image.fromarray(large)
    pen = ImageDraw.Draw(drawn)
    for place, (_, box) in enumerate(boxes):
        _outline(pen, box, size, BOXES[place % len(BOXES)])
    canvas.paste(drawn, (MARGIN, TITLE_HEIGHT))
    _write_titles(canvas, title, subtitle)
    pen = ImageDraw.Draw(canvas)
    x = 2 * MARGIN + size[0]
    for place, (name, _) in enumerate(boxes[: size[1] // LINE]):
        y = TITLE_HEIGHT + place * LINE
        pen.rectangle((x, y + 3, x + 10, y + 13), fill=BOXES[place % len(BOXES)])
        _write(pen, (x + 16, y), name, 13, INK, LEGEND - 16 - MARGIN)
    return canvas


def _enlarged(image: Pixels) -> tuple[Pixels, NDArray[np.intp], NDArray[np.intp]]:
    """The picture in a panel's size, and which row and column of it each of the panel's shows."""
    height, width = image.shape[:2]
    zoom = PANEL / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    # Few pixels are shown as the squares they are: that is what the model sees.
    smooth = Image.Resampling.LANCZOS if max(height, width) >= 64 else Image.Resampling.NEAREST
    large = np.asarray(Image.fromarray(image).resize(size, smooth))
    return large, np.arange(size[1]) * height // size[1], np.arange(size[0]) * width // size[0]


def _outline(pen: ImageDraw.ImageDraw, box: Box, size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A box, with a white line along it so that it shows on every ground; turned round where it is inverted."""
    (left, right), (top, bottom) = (
        sorted(round(min(max(share, 0.0), 1.0) * (length - 1)) for share in (box[axis], box[axis + 2]))
        for axis, length in enumerate(size)
    )
    pen.rectangle((left, top, right, bottom), outline=colour, width=3)
    if right - left > 8 and bottom - top > 8:
        pen.rectangle((left + 3, top + 3, right - 3, bottom - 3), outline="white")


def _write_titles(canvas: Image.Image, title: str, subtitle: str) -> None:
    pen, room = ImageDraw.Draw(canvas), canvas.width - 2 * MARGIN
    _write(pen, (MARGIN, 10), title, 17, INK, room)
    _write(pen, (MARGIN, 34), subtitle, 13, PALE_INK, room)


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
    ends = (
        [(0.0, f"{scale:+.2g}", INK), (0.5, "0", INK), (1.0, f"{-scale:+.2g}", INK)] if scale > 0 else [(0.5, "0", INK)]
    )
    said = [(0.0, "speaks for", 16), (1.0, "against", -16)] if height > 80 else []
    room = BAR_ROOM - BAR_WIDTH - 6
    for share, text, ink in ends:
        _write(pen, (x + BAR_WIDTH + 6, y + int(share * (height - 14))), text, 12, ink, room)
    for share, text, down in said:
        _write(pen, (x + BAR_WIDTH + 6, y + int(share * (height - 14)) + down), text, 12, PALE_INK, room)


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
