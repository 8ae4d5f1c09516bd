"""Hostile archives, each made here: none is unpacked outside its folder, and each says what is wrong with it."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.errors import BadModel
from model.archive import Limits, unpack


def archive(tmp_path: Path, *members: tarfile.TarInfo, content: bytes = b"x", format: int = tarfile.PAX_FORMAT) -> Path:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz", format=format) as tar:
        for member in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def file(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def of_type(name: str, type: bytes, linkname: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = type, linkname
    return member


def raw(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    return path


def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = archive(tmp_path, of_type("1", tarfile.DIRTYPE), file("1/saved_model.pb"), file("./1/variables/v"))
    unpack(path, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")}
    assert found == {"1/saved_model.pb": b"x"}
    assert (tmp_path / "out/1/variables/v").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the archive is empty"),
        (b"PK\x03\x04rest", "not a gzip file but zip"),
        (b"7z\xbc\xaf\x27\x1c", "not a gzip file but 7z"),
        (b"hello, world", "not a gzip file \\(it begins with 68 65 6c 6c 6f 2c\\)"),
        (gzip.compress(b"garbage" * 1000), "not a tar archive inside the gzip"),
        (gzip.compress(b""), "not a tar archive inside the gzip"),
    ],
)
def test_what_is_no_gzipped_tar_is_named_for_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadModel, match=said):
        unpack(raw(tmp_path, content), tmp_path / "out")


def test_an_archive_cut_short_says_at_which_byte(tmp_path: Path) -> None:
    whole = archive(tmp_path, file("a"), content=bytes(range(256)) * 100).read_bytes()
    with pytest.raises(BadModel, match=r"breaks off at byte 200$"):
        unpack(raw(tmp_path, whole[:200]), tmp_path / "out")


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (file("../evil"), r"'\.\./evil' leads outside"),
        (file("a/../../evil"), "leads outside"),
        (file("/etc/evil"), "leads outside"),
        (of_type("link", tarfile.SYMTYPE, "/etc/passwd"), "'link' is a symbolic link to '/etc/passwd'"),
        (of_type("link", tarfile.LNKTYPE, "a"), "'link' is a hard link to 'a'"),
        (of_type("dev", tarfile.CHRTYPE), "'dev' is a device"),
        (of_type("pipe", tarfile.FIFOTYPE), "'pipe' is a named pipe"),
        (file("a\nb"), r"'a\\nb' has characters in its name that cannot be shown"),
        (file("a\u202eb"), r"'a\\u202eb' has characters"),
        (file("bad\udcff"), r"'bad\\udcff' has characters"),
        (file("c:\\evil"), "has characters"),
        (file("n" * 300), "a name of 300 characters"),
        (file("a/b"), "'a/b' lies below 'a', which is a file"),
        (file("A"), "'A' is there twice"),
    ],
)
def test_a_member_that_could_do_harm_is_refused_by_name(tmp_path: Path, member: tarfile.TarInfo, said: str) -> None:
    with pytest.raises(BadModel, match=said):
        unpack(archive(tmp_path, file("a"), member), tmp_path / "out")
    assert not (tmp_path / "evil").exists()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


def test_a_chain_of_links_past_path_max_is_refused_at_its_first_link(tmp_path: Path) -> None:
    chain = [of_type("d" * 200, tarfile.DIRTYPE), of_type("a", tarfile.SYMTYPE, "d" * 200), file("a/evil")]
    with pytest.raises(BadModel, match="'a' is a symbolic link"):
        unpack(archive(tmp_path, *chain), tmp_path / "out")


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    path = archive(tmp_path, file("zeros"), content=bytes(20_000_000))
    with pytest.raises(BadModel, match="unpack to more than 200 times as many"):
        unpack(path, tmp_path / "out", Limits(ratio_from=8_000_000))
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) <= 9_000_000


def test_an_archive_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"more than 0\.000976562 GiB"):
        unpack(archive(tmp_path, file("a"), content=bytes(2**21)), tmp_path / "out", Limits(bytes=2**20))


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="too many files in the archive: more than 50"):
        unpack(archive(tmp_path, *(file(f"f{i}") for i in range(51))), tmp_path / "out", Limits(members=50))


def with_size(size: bytes) -> Callable[[bytes], bytes]:
    def change(header: bytes) -> bytes:
        header = header[:124] + size.ljust(12, b"\0")[:12] + header[136:148] + b" " * 8 + header[156:]
        return header[:148] + b"%06o\0 " % sum(header) + header[156:]

    return change


@pytest.mark.parametrize(
    ("type", "size", "said"),
    [
        (tarfile.REGTYPE, b"\xff" * 11 + b"\xf0", "says it has -16 bytes"),
        (tarfile.XHDTYPE, b"77777777777", "which cannot be"),
        (tarfile.REGTYPE, b"77777777777", "damaged"),
    ],
)
def test_a_size_that_cannot_be_true_does_not_hang(tmp_path: Path, type: bytes, size: bytes, said: str) -> None:
    good, bad = tarfile.TarInfo("good").tobuf(), of_type("bad", type).tobuf()
    content = good + with_size(size)(bad) + bytes(1024)
    with pytest.raises(BadModel, match=said):
        unpack(raw(tmp_path, gzip.compress(content)), tmp_path / "out")


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = tarfile.TarInfo("good").tobuf() + b"\1" * 512 + bytes(1024)
    with pytest.raises(BadModel, match="damaged after 0 unpacked bytes"):
        unpack(raw(tmp_path, gzip.compress(content)), tmp_path / "out")


def test_a_wrong_checksum_is_noticed(tmp_path: Path) -> None:
    content = bytearray(archive(tmp_path, file("a")).read_bytes())
    content[-6] ^= 1
    with pytest.raises(BadModel, match="damaged after"):
        unpack(raw(tmp_path, bytes(content)), tmp_path / "out")


def test_sparse_files_are_refused(tmp_path: Path) -> None:
    sparse = of_type("s", tarfile.GNUTYPE_SPARSE)
    with pytest.raises(BadModel, match="'s' is a sparse file"):
        unpack(raw(tmp_path, gzip.compress(sparse.tobuf(tarfile.GNU_FORMAT) + bytes(1024))), tmp_path / "out")
