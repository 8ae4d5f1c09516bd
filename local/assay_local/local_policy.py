"""A policy whose data lies on this machine: what to upload, and the same policy with the addresses it has there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay.errors import BadPolicy
from assay.not_yet import check_is_built
from assay.policy import ModelOptions, read_policy
from assay_aws.policy_file import parse_yaml
from assay_local.problem import Problem

DATA = "data/"
"""Where the data lies beside the uploaded policy."""


@dataclass(frozen=True)
class LocalPolicy:
    text: str
    """The policy to upload: its addresses are relative to its own place."""
    files: tuple[tuple[str, Path], ...]
    """What to upload beside it: the name there, and the file here."""
    model: ModelOptions
    """How the policy asks the model."""


def read(file: Path, folders: Mapping[str, Path]) -> LocalPolicy:
    """Read a policy and find its data.

    Args:
        file: the policy; its relative addresses are meant from its folder.
        folders: s3://bucket/prefix → the file or folder here that holds a copy of it.

    Raises:
        Problem: there is no such file, or its data is not on this machine.
        BadPolicy: it is not valid.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise Problem(f"policy {file}: no such file; `assay init MODEL DATA` writes one") from error
    except OSError as error:
        raise Problem(f"policy {file}: {error.strerror}") from error
    found = parse_yaml(content, str(file))
    policy = read_policy(found, str(file))
    check_is_built(policy)
    assert isinstance(found, dict)  # read_policy has seen to it
    data: dict[str, Any] = dict(found["data"])
    files: list[tuple[str, Path]] = []
    for key in ("source", "annotations"):
        address = getattr(policy.data, key)
        if address is None:
            continue
        place = local_place(address, file.resolve().parent, folders, f"{file}: data.{key}")
        name = f"{DATA}{key}/" + ("" if place.is_dir() else place.name)
        data[key] = name
        files += uploads(place, name, f"{file}: data.{key} {address}")
    explain: dict[str, Any] = dict(found.get("explain") or {})
    if policy.explain.baseline_address is not None:
        where = f"{file}: explain.baseline"
        place = local_place(policy.explain.baseline_address, file.resolve().parent, folders, where)
        explain["baseline"] = f"{DATA}baseline/" + ("" if place.is_dir() else place.name)
        files += uploads(place, explain["baseline"], f"{where} {policy.explain.baseline_address}")
    moved = {"data": data} | ({"explain": explain} if explain else {})
    text = yaml.safe_dump({**found, **moved}, sort_keys=False, allow_unicode=True)
    return LocalPolicy(text, tuple(files), policy.model)


def local_place(address: str, folder: Path, folders: Mapping[str, Path], where: str) -> Path:
    """The file or folder here that an address of the policy means."""
    if not address.startswith("s3://"):
        if "://" in address:
            raise BadPolicy(f"{where} {address}: expected s3://bucket/key, or a path from the policy's folder")
        place = folder / Path(address).expanduser()
    else:
        known = [prefix for prefix in folders if lies_in(address, prefix)]
        if not known:
            raise Problem(
                f"{where} {address}: there is no AWS on this machine; write a local path there, or say where a copy "
                f"lies with --map {address}=./copy"
            )
        prefix = max(known, key=len)
        place = folders[prefix] / address.removeprefix(prefix).lstrip("/")
    if not place.exists():
        raise Problem(f"{where} {address}: {place} does not exist")
    return place


def lies_in(address: str, prefix: str) -> bool:
    return address == prefix or address.startswith(prefix if prefix.endswith("/") else prefix + "/")


def uploads(place: Path, name: str, where: str) -> Iterator[tuple[str, Path]]:
    if place.is_file():
        yield name, place
        return
    found = sorted(path for path in place.rglob("*") if path.is_file())
    if not found:
        raise Problem(f"{where}: {place} is empty")
    for path in found:
        yield name + path.relative_to(place).as_posix(), path
