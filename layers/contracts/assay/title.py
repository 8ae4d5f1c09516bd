"""`champions/<model>.json`: which run is a model's champion, which ones were, and the rules by which that changes.

The rules are pure: the same title and the same candidate always give the same title, in whatever order events come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Literal, Self

from assay.base import Record
from assay.run import Champion

MOST_TURNS = 1000
"""That are kept; S3 keeps the pointer's own versions beside."""

Versions = Callable[[str], Sequence[str]]
"""The versions of a key, newest first; empty where they are not known."""


class Turn(Record):
    """From when on a run was champion, or none was, and why."""

    at: datetime
    cause: Literal["passed", "promoted", "demoted"]
    champion: Champion | None
    """None: from then on there was none."""
    by: str | None = None
    """The person who decided it; None: a run passed."""
    reason: str | None = None
    """The person's."""


class Title(Record):
    """`champions/<model>.json`. One object holds pointer and history, so that the two never disagree."""

    schema_version: Literal[2] = 2
    model: str
    turns: tuple[Turn, ...] = ()
    """The newest first: it says who is champion."""

    @classmethod
    def parse(cls, content: bytes | str) -> Self:
        """Read a title of any version; raises ValidationError.

        Version 1 was the champion's record alone: a run that passed.
        """
        try:
            found = json.loads(content)
        except ValueError:
            return cls.model_validate_json(content)  # says where it is broken
        if not isinstance(found, dict) or found.get("schema_version") != 1:
            return cls.model_validate_json(content)
        champion = Champion.model_validate_json(content)
        return cls(model=champion.model, turns=(_passed(champion),))

    @property
    def champion(self) -> Champion | None:
        return self.turns[0].champion if self.turns else None

    @property
    def previous(self) -> Champion | None:
        """Who is champion when the present one is demoted: the last before it that was not demoted itself."""
        return next(self._before(), None)

    def _before(self) -> Iterator[Champion]:
        line: list[Champion] = []
        for turn in reversed(self.turns):
            if turn.cause == "demoted":
                gone = line[-1].run if line else None
                line = [champion for champion in line if champion.run != gone]
            elif turn.champion is not None:
                line.append(turn.champion)
        present = self.champion
        return (champion for champion in reversed(line) if present is None or champion.run != present.run)

    def passed(self, candidate: Champion, versions: Versions) -> Title:
        """After a run has passed: it is champion if what it judged is newer than what every champion so far did.

        So a run that was champion, which is not newer than itself, is not made so again: its event came once more, or
        a person decided otherwise. A person's decision holds until a newer upload passes; the same upload, run again,
        is none.
        """
        held = [turn.champion for turn in self.turns if turn.champion is not None]
        decided = bool(self.turns) and self.turns[0].cause != "passed"
        for champion in held:
            newer = is_newer_upload(candidate, champion, versions)
            if newer is None:  # so that any order of events ends the same
                newer = not decided and candidate.run > champion.run
            if not newer:
                return self
        return self._with(_passed(candidate))

    def promoted(self, champion: Champion, by: str, reason: str) -> Title:
        """After a person has made a run champion; the champion itself stays it."""
        if self.champion is not None and self.champion.run == champion.run:
            return self
        return self._with(Turn(at=champion.crowned_at, cause="promoted", champion=champion, by=by, reason=reason))

    def demoted(self, run: str, by: str, reason: str, at: datetime) -> Title:
        """After a person has found that a champion should be none; unchanged when the run is not champion."""
        if self.champion is None or self.champion.run != run:
            return self
        return self._with(Turn(at=at, cause="demoted", champion=self.previous, by=by, reason=reason))

    def _with(self, turn: Turn) -> Title:
        return self.model_copy(update={"turns": (turn, *self.turns)[:MOST_TURNS]})


def _passed(champion: Champion) -> Turn:
    return Turn(at=champion.crowned_at, cause="passed", champion=champion)


def is_newer_upload(one: Champion, other: Champion, versions: Versions) -> bool | None:
    """A later upload; in the same second, which is all that S3 tells, the later version of the same key.

    None: neither is newer, or nobody knows.
    """
    if one.uploaded_at != other.uploaded_at:
        return one.uploaded_at > other.uploaded_at
    if one.key == other.key and one.version != other.version:
        order = versions(one.key)
        if one.version in order and other.version in order:
            return order.index(one.version) < order.index(other.version)
    return None
