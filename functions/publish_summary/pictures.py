"""Pictures in the page itself, so that it needs nothing beside it: as many and as sharp as it has room for."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from posixpath import relpath
from typing import NamedTuple
from urllib.parse import quote

from assay.explanation import thumbnail_of
from assay_aws.run_store import RunStore

ROOM = 6_500_000
"""Bytes of all pictures. Base64 makes four of three: a page below 10 MB, which opens at once and a mail may carry."""
SHARP = 12
"""Heat maps in full size, the first ones; a photo's has 112 KB. The others are thumbnails of 14 KB."""
READERS = 8
"""At a time: S3 takes some 20 ms for each answer, and a page has hundreds."""
TYPES = {"svg": "image/svg+xml", "webp": "image/webp", "jpeg": "image/jpeg"}


class Picture(NamedTuple):
    source: str | None
    """A data: address; None: the page has no room for it."""
    file: str
    """Where it lies in full size, from the page."""


class Pictures:
    """Read from the run's folder, in the order in which they are wanted."""

    def __init__(self, store: RunStore, plots: Sequence[str], heat_maps: Iterable[str]) -> None:
        self._store = store
        self._found: dict[str, Picture] = {}
        wanted: list[tuple[str, tuple[str, ...]]] = [(key, (key,)) for key in plots]
        for place, key in enumerate(dict.fromkeys(heat_maps)):
            # SageMaker Clarify writes no thumbnails
            wanted.append((key, (key,) if place < SHARP else (thumbnail_of(key), key)))
        room = ROOM
        for key, name, content in self._read(wanted):
            if len(content) <= room:
                room -= len(content)
                self._found[key] = Picture(data_address(name, content), self._file(key))
            else:
                room = 0
                break
        if not room:
            left_out = [key for key, _ in wanted if key not in self._found]
            self._found |= {key: Picture(None, self._file(key)) for key in left_out}

    def of(self, keys: Iterable[str]) -> list[Picture]:
        """Those that there are."""
        return [self._found[key] for key in keys if key in self._found]

    @property
    def left_out(self) -> int:
        return sum(picture.source is None for picture in self._found.values())

    def _read(self, wanted: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[tuple[str, str, bytes]]:
        """Key, the name it was found by, content; a few ahead of what is asked for, and no more."""
        ahead = 4 * READERS
        with ThreadPoolExecutor(READERS) as readers:
            for start in range(0, len(wanted), ahead):
                some = wanted[start : start + ahead]
                for (key, _), found in zip(
                    some, readers.map(self._first_of, [names for _, names in some]), strict=True
                ):
                    if found is not None:
                        yield key, *found

    def _first_of(self, names: Iterable[str]) -> tuple[str, bytes] | None:
        return next(((name, content) for name in names if (content := self._store.read(name)) is not None), None)

    def _file(self, key: str) -> str:
        return quote(relpath(key, self._store.folder.prefix))


def data_address(name: str, content: bytes) -> str:
    # in an <img> a browser runs no script of an SVG
    kind = TYPES.get(name.rpartition(".")[2], "image/jpeg")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
