"""Unpack a `model.tar.gz` that nobody has looked into: a model is a program, and its archive may be hostile.

Python's own `extractall` is not used: its `filter="data"` was escaped on 3.11.7 and 3.13.0 (CVE-2025-4517). Only
regular files and folders are taken, written by us below a folder of ours, within limits that hold while we read.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Self

from assay.errors import BadModel

GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """What an archive may need of the machine that unpacks it."""

    bytes: int = 20 * GIB
    """unpacked, all files together"""
    members: int = 10_000
    ratio: float = 200
    """unpacked bytes a packed byte, once more than `ratio_from` are unpacked; a model's weights reach about 1.1"""
    ratio_from: int = 64 * 1024**2
    name: int = 255
    """characters of a member's whole name"""


def sha256(archive: Path) -> str:
    """The archive's digest, in lower-case hexadecimal."""
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, into: Path, limits: Limits | None = None) -> None:
    """Unpack into a folder that does not exist yet.

    Raises:
        BadModel: it is not a gzipped tar of regular files and folders within the limits; says which member is not.
    """
    limits = limits or Limits()
    packed = archive.stat().st_size
    _check_is_gzip(archive)
    into.mkdir(parents=True)
    names, budget = _Names(limits), _Budget(packed, limits)
    try:
        # a stream: each byte is read once, in order
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r|", tarinfo=_Header) as tar:
            while (member := tar.next()) is not None:
                # tarfile keeps every header it has read: those of a million files are too many
                tar.members = []  # type: ignore[attr-defined]  # not in its stubs
                path = into / names.take(member)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                elif (source := tar.extractfile(member)) is not None:
                    _write(source, path, budget)
            while rest := unzipped.read(1024 * 1024):  # gzip's checksum stands at the very end
                budget.spend(len(rest))
    except EOFError as error:
        raise BadModel(f"{archive.name}: cut short: the gzip stream breaks off at byte {packed:,}") from error
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile) as error:
        if not names:
            raise BadModel(f"{archive.name}: not a tar archive inside the gzip ({error})") from error
        raise BadModel(f"{archive.name}: damaged after {budget.spent:,} unpacked bytes ({error})") from error


class _Header(tarfile.TarInfo):
    """A member's header, refused before tarfile acts on a size in it that cannot be true."""

    LONGEST = 64 * 1024
    """bytes of a header that carries another's long name: tarfile reads it into memory whole"""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):  # the archive's end
                raise
            raise tarfile.ReadError(str(error)) from error  # tarfile takes a damaged header for the end, too
        carries_names = header.type not in tarfile.SUPPORTED_TYPES or header.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if header.size < 0 or (carries_names and header.size > cls.LONGEST):
            raise BadModel(f"member {shown(header.name)} says it has {header.size:,} bytes, which cannot be")
        return header


class _Budget:
    """Unpacked bytes: how many there were, and that they stay within the limits while they come."""

    def __init__(self, packed: int, limits: Limits) -> None:
        self._packed = packed
        self._limits = limits
        self.spent = 0

    def spend(self, size: int) -> None:
        self.spent += size
        limits = self._limits
        if self.spent > limits.bytes:
            raise BadModel(f"the archive unpacks to more than {limits.bytes / GIB:g} GiB")
        if self.spent > limits.ratio_from and self.spent > limits.ratio * self._packed:
            raise BadModel(
                f"the archive's {self._packed:,} bytes unpack to more than {limits.ratio:g} times as many: "
                "this is what a decompression bomb does"
            )


def _check_is_gzip(archive: Path) -> None:
    with archive.open("rb") as file:
        head = file.read(6)
    if not head:
        raise BadModel(f"{archive.name}: the archive is empty (0 bytes), expected a gzipped tar")
    if head[:2] != b"\x1f\x8b":
        kinds = {b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z", b"\xfd7zX": "xz", b"BZh": "bzip2", b"\x89HDF": "HDF5"}
        kind = next((f" but {kind}" for magic, kind in kinds.items() if head.startswith(magic)), "")
        raise BadModel(
            f"{archive.name}: not a gzip file{kind} (it begins with {head.hex(' ')}), expected a gzipped tar"
        )


class _Names:
    """The members' names so far: each must stay below the folder, be printable, and differ on every file system."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: dict[str, str] = {}
        self._files: set[str] = set()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, member: tarfile.TarInfo) -> PurePosixPath:
        if len(self._taken) >= self._limits.members:
            raise BadModel(f"too many files in the archive: more than {self._limits.members:,}")
        name = member.name
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise BadModel(f"member {shown(name)} is {_kind(member)}; only regular files and folders are accepted")
        if len(name) > self._limits.name:
            raise BadModel(f"member {shown(name[:40])}… has a name of {len(name)} characters, at most 255 are accepted")
        if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} for c in name) or "\\" in name:
            raise BadModel(f"member {shown(name)} has characters in its name that cannot be shown")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise BadModel(f"member {shown(name)} leads outside the archive's own folder")
        key = unicodedata.normalize("NFC", str(path)).casefold()
        if key in self._taken and (member.isreg() or self._taken[key] != str(path) or key in self._files):
            raise BadModel(f"member {shown(name)} is there twice (beside {shown(self._taken[key])})")
        for parent in path.parents:
            if unicodedata.normalize("NFC", str(parent)).casefold() in self._files:
                raise BadModel(f"member {shown(name)} lies below {shown(str(parent))}, which is a file")
        self._taken[key] = str(path)
        if member.isreg():
            self._files.add(key)
        return path


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return f"a symbolic link to {shown(member.linkname)}"
    if member.islnk():
        return f"a hard link to {shown(member.linkname)}"
    if member.isfifo():
        return "a named pipe"
    if member.isdev():
        return "a device"
    return "a sparse file" if member.issparse() else f"of type {member.type!r}"


def _write(source: IO[bytes], path: Path, budget: _Budget) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while chunk := source.read(1024 * 1024):
            budget.spend(len(chunk))
            file.write(chunk)


def shown(name: str) -> str:
    """A name from an archive, safe to print: what cannot be shown is escaped."""
    return ascii(name) if not name.isprintable() else repr(name)
