"""What a person watches: steps, each as it stands at one moment."""

import time
from dataclasses import dataclass
from typing import Literal, Self

State = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Step:
    title: str
    state: State
    seconds: float
    """How long it has taken so far."""
    cause: str = ""
    """The event that began it."""
    detail: str = ""
    share: float | None = None
    """How much of it is done, from 0 to 1, where that is known."""


class Task:
    """A step that this process does itself: `with Task("pack the model") as task: …`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.share: float | None = None
        self._started: float | None = None
        self._ended: float | None = None
        self._failed = False

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        self._failed = kind is not None
        self._ended = time.monotonic()

    def steps(self) -> list[Step]:
        """One step, or none before it has begun."""
        if self._started is None:
            return []
        state: State = "running" if self._ended is None else "failed" if self._failed else "done"
        seconds = (self._ended or time.monotonic()) - self._started
        return [Step(self.title, state, seconds, detail=self.detail, share=self.share)]
