"""The results folder: what the bucket holds of runs and champions, as files under the same names."""

from __future__ import annotations

import fcntl
import getpass
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.layout import RunFolder, champion_key, last_run_key
from assay.run import Champion, LastRun
from assay.title import Title
from assay_local.place import Link, content_of, readable
from assay_local.problem import Problem


class Results:
    """`runs/<model>/<run>/…`, `champions/<model>.json` and `latest/<model>.json` in a folder. A Place."""

    option = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.name = str(folder)
        if folder != Path("assay-results"):
            self.option = f" --results {folder}"

    def path(self, key: str) -> Path:
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        return content_of(self.path(key))

    def below(self, prefix: str) -> tuple[list[str], list[str]]:
        try:
            found = sorted(path for path in self.path(prefix).iterdir() if not path.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        return [path.name for path in found if path.is_dir()], [path.name for path in found if path.is_file()]

    def address(self, key: str) -> str:
        here, path = Path.cwd(), self.path(key)
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    def link(self, key: str) -> Link:
        return Link(self.path(key).as_uri())

    def who(self) -> str:
        return f"{getpass.getuser()} on {socket.gethostname()}"

    def title(self, model: str) -> Title:
        file = self.path(champion_key(model))
        content = content_of(file)
        with readable(str(file)):
            return Title(model=model) if content is None else Title.parse(content)

    def change_title(self, model: str, change: Callable[[Title], Title]) -> Title:
        """Two commands at once change it one after the other."""
        with self._alone():
            before = self.title(model)
            after = change(before)
            if after != before:
                self._write(champion_key(model), [after.to_json().encode()])
        return after

    def last_run(self, model: str) -> LastRun | None:
        file = self.path(last_run_key(model))
        content = content_of(file)
        with readable(str(file)):
            return None if content is None else LastRun.model_validate_json(content)

    def prepare(self) -> None:
        """Make the folder now: what cannot be written should show before a model has been judged."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise Problem(f"results folder {self.folder}: {error.strerror}") from error

    def put_back(self, s3: Any, bucket: str, model: str) -> Champion | None:
        """Upload the model's champion of an earlier time and its run, so that the next run is compared with it.

        Of the run that ended last its summary, for what it took.
        """
        last = self.last_run(model)
        if last is not None and (summary := self.read(last.folder.summary_json)) is not None:
            s3.put_object(Bucket=bucket, Key=last_run_key(model), Body=last.to_json().encode())
            s3.put_object(Bucket=bucket, Key=last.folder.summary_json, Body=summary)
        title = self.title(model)
        if title.turns:
            s3.put_object(Bucket=bucket, Key=champion_key(model), Body=title.to_json().encode())
        if title.champion is None:
            return None
        for path in files(self.path(title.champion.folder.prefix)):
            s3.upload_file(str(path), bucket, path.relative_to(self.folder).as_posix())
        return title.champion

    def save(self, s3: Any, bucket: str, run: RunFolder) -> None:
        """Write the run's folder; if it became champion there it does here, by the same rule.

        The title itself is not copied: meanwhile a person, or another run, may have changed the one here.
        """
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=run.prefix):
            for found in page.get("Contents", []):
                body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"]
                self._write(found["Key"], body.iter_chunks(1 << 20))
        key = last_run_key(run.model)
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount"):
            self._remember(LastRun.model_validate_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
        key = champion_key(run.model)
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount"):
            title = Title.parse(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            champion = title.champion
            if champion is not None and champion.run == run.run:
                self.change_title(run.model, lambda title: title.passed(champion, no_versions))

    def _remember(self, ended: LastRun) -> None:
        with self._alone():
            if ended.is_after(self.last_run(ended.model)):
                self._write(last_run_key(ended.model), [ended.to_json().encode()])

    def _write(self, key: str, chunks: Iterable[bytes]) -> None:
        """Renamed into place when whole, so that nobody reads half a file."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self.path("champions/.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, also by a killed process
            yield


def no_versions(_key: str) -> Sequence[str]:
    """A folder keeps none."""
    return ()


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
