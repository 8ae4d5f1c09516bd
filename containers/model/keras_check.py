"""Look into a Keras file before Keras does: what it declares must be in it, and in no other file."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from assay.errors import BadModel
from model.archive import shown

MOST_UNPACKED = 10
"""Times the file's size: Keras itself compresses nothing, people may."""
_SPARE = 1024 * 1024  # bytes; small files are mostly structure
_MOST_OBJECTS = 100_000


def check_keras_file(file: Path) -> None:
    """Raises BadModel when a `.keras` or HDF5 file refers to other files, or declares more than it can hold.

    HDF5 reads a dataset's bytes from any file that it names, and makes room for whatever shape it declares.
    """
    size = file.stat().st_size
    if file.suffix != ".keras":
        _check_hdf5(file, size)
        return
    try:
        with zipfile.ZipFile(file) as members:
            _check_declared(sum(member.file_size for member in members.infolist()), size)
            damaged = members.testzip()
            if damaged is not None:
                raise BadModel(f"{shown(damaged)} in it is damaged")
            for name in members.namelist():
                if name.endswith((".h5", ".hdf5")):
                    # HDF5 reads back and forth, which in an archive means from the start each time
                    with members.open(name) as packed, TemporaryFile(dir=file.parent) as weights:
                        shutil.copyfileobj(packed, weights)
                        _check_hdf5(weights, size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadModel(f"no .keras file: {error}") from error


def written_by(file: Path) -> str:
    """The version of Keras that wrote a file, "" where it does not say."""
    import h5py  # loaded already

    try:
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as members:
                return str(json.loads(members.read("metadata.json"))["keras_version"])
        with h5py.File(file, "r") as opened:
            return str(opened.attrs["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return ""


def _check_hdf5(file: Any, size: int) -> None:
    import h5py  # with TensorFlow; a fifth of a second

    try:
        with h5py.File(file, "r") as opened:
            declared = 0
            for bytes_declared in _declared(opened):
                declared += bytes_declared
                _check_declared(declared, size)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f"no HDF5 file: {error}") from error


def _check_declared(declared: int, size: int) -> None:
    if declared > MOST_UNPACKED * size + _SPARE:
        raise BadModel(
            f"it declares {declared:,} bytes of content, the file has {size:,}; "
            f"expected at most {MOST_UNPACKED} times as many"
        )


def _declared(file: Any) -> Iterator[int]:
    """Bytes of each attribute and dataset; raises BadModel for what lies in other files."""
    import h5py  # loaded already

    seen, waiting = set(), [file["/"]]
    while waiting:
        entry = waiting.pop()
        address = h5py.h5o.get_info(entry.id).addr
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > _MOST_OBJECTS:
            raise BadModel(f"more than {_MOST_OBJECTS:,} objects in an HDF5 file")
        for name in entry.attrs:
            attribute = entry.attrs.get_id(name)
            yield math.prod(attribute.shape) * attribute.dtype.itemsize
        if isinstance(entry, h5py.Dataset):
            if entry.external or entry.is_virtual:
                raise BadModel(f"dataset {shown(entry.name)} lies in another file; expected all data in this one")
            yield entry.nbytes
        elif isinstance(entry, h5py.Group):
            for name in entry:
                if not isinstance(entry.get(name, getlink=True), h5py.HardLink):
                    raise BadModel(f"{shown(f'{entry.name}/{name}')} is a link; expected all data in its place")
                waiting.append(entry[name])
