"""A model becomes the archive that TensorFlow Serving expects."""

import tarfile
from pathlib import Path

import pytest

from assay_local.packing import is_archive, pack
from assay_local.problem import Problem


def saved_model(folder: Path) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive, "r:gz") as tar:
        return {m.name: content.read() for m in tar if (content := tar.extractfile(m)) is not None}


def test_a_saved_model_is_packed_below_a_version(tmp_path: Path) -> None:
    pack(saved_model(tmp_path / "export"), tmp_path / "model.tar.gz")
    assert members(tmp_path / "model.tar.gz") == {"1/saved_model.pb": b"graph", "1/variables/variables.index": b"index"}


def test_a_version_that_is_there_is_kept(tmp_path: Path) -> None:
    saved_model(tmp_path / "birds" / "7")
    pack(tmp_path / "birds", tmp_path / "model.tar.gz")
    assert set(members(tmp_path / "model.tar.gz")) == {"7/saved_model.pb", "7/variables/variables.index"}


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_a_keras_file_is_packed_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"net")
    assert not is_archive(tmp_path / name)
    pack(tmp_path / name, tmp_path / "model.tar.gz")
    assert members(tmp_path / "model.tar.gz") == {name: b"net"}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        pack(saved_model(tmp_path / name), tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(Problem, match=r"no model in this folder; expected saved_model\.pb, or a \.keras or \.h5 file"):
        pack(tmp_path, tmp_path / "model.tar.gz")
