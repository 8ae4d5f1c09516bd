"""A model as the archive that lands in S3: `model.tar.gz`, laid out as TensorFlow Serving expects it."""

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

from assay_local.problem import Problem

KERAS_FILES = (".keras", ".h5", ".hdf5")


def is_archive(model: Path) -> bool:
    """Whether a file goes to S3 as it is; whether it is a good one is for the evaluation to say."""
    return model.is_file() and model.suffix not in KERAS_FILES


def pack(model: Path, archive: Path) -> None:
    """Pack a SavedModel's folder, a folder that holds one as `<number>/`, or a Keras file.

    The same content gives the same bytes: times and owners are left out.

    Raises:
        Problem: there is no model.
    """
    members = dict(sorted(named(model)))
    with (
        archive.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=6) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in members.items():
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            member.mode = 0o644
            with path.open("rb") as content:
                tar.addfile(member, content)


def named(model: Path) -> Iterator[tuple[str, Path]]:
    """Each file with its name in the archive."""
    if model.is_file():
        yield model.name, model
        return
    if (model / "saved_model.pb").is_file():
        prefix = "1/"  # the version's number, which TensorFlow Serving asks for
    elif any(model.glob("*/saved_model.pb")) or any(path.suffix in KERAS_FILES for path in model.iterdir()):
        prefix = ""
    else:
        raise Problem(f"{model}: no model in this folder; expected saved_model.pb, or a .keras or .h5 file")
    for path in model.rglob("*"):
        if path.is_file():
            yield prefix + path.relative_to(model).as_posix(), path
