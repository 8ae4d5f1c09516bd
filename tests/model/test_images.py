from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from assay.errors import BadData
from model.images import read_image


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    picture = Image.new("L", (5, 4), 255)
    image = Image.new("I;16", (5, 4), 65535) if mode == "I;16" else picture.convert(mode)
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    image.save(path)
    read = read_image(path)
    assert read.shape == (4, 5, 3)
    assert read.min() >= 253


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_data_says(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as saved:
        upright = ImageOps.exif_transpose(saved)  # Pillow's own
    assert np.array_equal(read_image(tmp_path / "x.png"), np.asarray(upright))
    assert read_image(tmp_path / "x.png").shape == ((4, 5, 3) if orientation < 5 else (5, 4, 3))


def test_broken_metadata_does_not_matter(tmp_path: Path) -> None:
    """Found by changing bytes at random: Pillow raises TypeError or struct.error when it reads or writes such data."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8))
    image.save(tmp_path / "plain.png")
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = 6
    whole = exif.tobytes()
    for place in range(6, len(whole)):
        image.save(tmp_path / "x.png", exif=whole[:place] + b"\xf3" + whole[place + 1 :])
        assert sorted(read_image(tmp_path / "x.png").shape) == [3, 4, 5], place
    image.save(tmp_path / "x.png", exif=b"Exif\0\0nothing of the kind")
    assert np.array_equal(read_image(tmp_path / "x.png"), read_image(tmp_path / "plain.png"))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "x.png")
    assert np.all(read_image(tmp_path / "x.png") == 255)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "x.png: cannot be read as a picture: not a picture"), (b"\x89PNG\r\n\x1a\n", "x.png:")]
)
def test_a_broken_picture_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(BadData, match=said):
        read_image(tmp_path / "x.png")


def test_a_picture_cut_short_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "x.jpg")
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadData, match="truncated"):
        read_image(tmp_path / "x.jpg")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")
