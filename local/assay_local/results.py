"""The results folder: what the bucket holds of runs and champions, as files under the same names."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from assay.layout import RunFolder, champion_key
from assay.run import Champion
from assay_local.problem import Problem


class Results:
    """`<folder>/runs/<model>/<run>/…` and `<folder>/champions/<model>.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def path(self, key: str) -> Path:
        return self.folder / key

    def prepare(self) -> None:
        """Make the folder now: what cannot be written should show before a model has been judged."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise Problem(f"results folder {self.folder}: {error.strerror}") from error

    def put_back(self, s3: Any, bucket: str, model: str) -> Champion | None:
        """Upload the model's champion of an earlier time and its run, so that the next run is compared with it."""
        file = self.path(champion_key(model))
        if not file.is_file():
            return None
        try:
            champion = Champion.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise Problem(
                f"{file}: not a champion's record ({error.error_count()} problems); remove it to start without one"
            ) from error
        for path in files(self.path(champion.folder.prefix)):
            s3.upload_file(str(path), bucket, path.relative_to(self.folder).as_posix())
        s3.upload_file(str(file), bucket, champion_key(model))
        return champion

    def save(self, s3: Any, bucket: str, run: RunFolder) -> None:
        """Write the run's folder and its model's champion."""
        for prefix in (run.prefix, champion_key(run.model)):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for found in page.get("Contents", []):
                    self._write(found["Key"], s3.get_object(Bucket=bucket, Key=found["Key"])["Body"])

    def _write(self, key: str, body: Any) -> None:
        """Renamed into place when whole, so that nobody reads half a file."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                for chunk in body.iter_chunks(1 << 20):
                    file.write(chunk)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
