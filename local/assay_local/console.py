"""What a person sees: on a terminal a live list of steps, elsewhere a line for each change."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from rich.console import Console as Terminal
from rich.console import RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from assay_local.steps import Step

if TYPE_CHECKING:
    from assay_local.notices import Notice

REFRESH_SECONDS = 0.1
REMINDER_SECONDS = 15.0
"""How often a log hears of a step that goes on."""
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
MARKS = {"done": ("✓", "green"), "failed": ("✗", "red")}
VERDICT_STYLES = {"pass": "green", "fail": "red", "error": "red", "inconclusive": "yellow", "not judged": "cyan"}

Steps = Callable[[], Sequence[Step]]


NARROWEST = 8
"""Columns of a terminal that a table's column keeps."""


class Column(NamedTuple):
    title: str
    gives: bool = False
    """Whether its cells are cut where a terminal is too narrow."""


class _Terminal(Terminal):
    def on_broken_pipe(self) -> None:
        """Rich would end the process with 1, which here says that a model failed."""
        raise BrokenPipeError


class Console:
    """Where the command's output goes; `file` is standard output unless told otherwise."""

    def __init__(self, file: IO[str] | None = None, *, live: bool | None = None) -> None:
        self._terminal = _Terminal(file=file, highlight=False, force_terminal=live)
        self._live = self._terminal.is_terminal if live is None else live
        self._started = time.monotonic()

    def say(self, text: str = "", style: str = "") -> None:
        """A line as it stands: what looks like markup in a name is no markup."""
        self._terminal.print(Text(text, style=style), soft_wrap=True)

    def prose(self, text: str, style: str = "") -> None:
        """Sentences: a terminal breaks them between words only."""
        self.say(wrapped(text, self._terminal.width) if self._live else text, style)

    def title(self, text: str) -> None:
        self.say()
        self._rule(text, "bold")

    @contextmanager
    def following(self, steps: Steps) -> Iterator[None]:
        """Show the steps as they change, until the block ends; then as they ended."""
        show = self._draw if self._live else self._tell
        with show(steps) as refresh:
            over = threading.Event()
            failed: list[BaseException] = []

            def keep_up() -> None:
                try:
                    while not over.wait(REFRESH_SECONDS):
                        refresh()
                except Exception as error:  # noqa: BLE001 - raised again below, where somebody sees it
                    failed.append(error)

            thread = threading.Thread(target=keep_up, name="console", daemon=True)
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
            if failed:
                raise failed[0]

    def notice(self, notice: Notice) -> None:
        """A notice as a subscriber gets it; an address in it is never broken, so that it can be copied."""
        style = VERDICT_STYLES.get(notice.attributes.get("verdict", ""), "")
        self.say()
        self._rule("the notice, as a subscriber gets it", style)
        for text, font in ((notice.subject or "", "bold"), ("", ""), (notice.message.rstrip(), "")):
            self.prose(text, font)
        self._rule("", style)

    def verdict(self, verdict: str) -> None:
        self.say()
        self._terminal.print(
            Text.assemble(("  verdict       ", "dim"), (verdict.upper(), f"bold {VERDICT_STYLES.get(verdict, '')}"))
        )

    def places(self, places: Sequence[tuple[str, Path]]) -> None:
        """Where things lie, from where the person stands; a path is never broken, so that it can be copied."""
        for name, path in places:
            self._terminal.print(Text.assemble((f"  {name:<13} ", "dim"), shown(path)), soft_wrap=True)

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None: it goes to a file or another program, and nothing has to be left out."""
        return self._terminal.width if self._live else None

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
        """A line a row. A terminal cuts the cells that are too long for it; a file, or a program, gets it all."""
        header = [Text(column.title, style="dim") for column in columns]
        cells = [header, *([cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows)]
        widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
        if self._live:
            widths = fitted(widths, [column.gives for column in columns], self._terminal.width)
        for row in cells:
            line = Text("  ").join(padded(cell, width) for cell, width in zip(row, widths, strict=True))
            line.rstrip()
            self._terminal.print(line, soft_wrap=True)

    def excerpt(self, title: str, lines: Sequence[str]) -> None:
        """The last lines of a log."""
        self.say()
        self.say(title, style="bold")
        for line in lines:
            self.say(f"  {line}", style="dim")

    def _rule(self, text: str, style: str) -> None:
        if self._live:
            self._terminal.print(Rule(Text(text, style=style), align="left", style="dim"))
        elif text:
            self.say(f"== {text}")

    @contextmanager
    def _draw(self, steps: Steps) -> Iterator[Callable[[], None]]:
        live = Live(console=self._terminal, auto_refresh=False, redirect_stdout=False)
        with live:

            def refresh() -> None:
                live.update(picture(steps(), time.monotonic(), self._terminal.width), refresh=True)

            try:
                yield refresh
            finally:
                refresh()

    @contextmanager
    def _tell(self, steps: Steps) -> Iterator[Callable[[], None]]:
        states: dict[str, str] = {}
        last_line: dict[str, float] = {}

        def tell(step: Step, text: str, state: str) -> None:
            states[step.title], last_line[step.title] = state, time.monotonic()
            self.say(f"{time.monotonic() - self._started:6.1f} s  {step.title}: {text}")

        def refresh() -> None:
            for step in steps():
                if step.title not in states:
                    tell(step, f"began ({step.cause})" if step.cause else "began", "running")
                if states[step.title] != step.state:
                    detail = f": {step.detail}" if step.detail else ""
                    tell(step, f"{step.state} in {step.seconds:.1f} s{detail}", step.state)
                elif step.state == "running" and time.monotonic() - last_line[step.title] > REMINDER_SECONDS:
                    tell(step, step.detail or "running", step.state)

        try:
            yield refresh
        finally:
            refresh()


def fitted(widths: Sequence[int], gives: Sequence[bool], room: int) -> list[int]:
    """Widths of columns, two spaces between them, for a terminal so wide: the widest that gives gives first."""
    found = list(widths)
    while sum(found) + 2 * (len(found) - 1) > room:
        wide = [place for place, width in enumerate(found) if gives[place] and width > NARROWEST]
        if not wide:
            break
        found[max(wide, key=lambda place: found[place])] -= 1
    return found


def padded(cell: Text, width: int) -> Text:
    """To its column's width, or cut to it with an ellipsis."""
    copy = cell.copy()
    copy.truncate(width, overflow="ellipsis", pad=True)
    return copy


def wrapped(text: str, width: int) -> str:
    """Broken between words only, with what goes on further in than where it began."""
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def shown(path: Path) -> str:
    """A path as short as it is right: from the working folder where it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path) + ("/" if path.is_dir() else "")


def picture(steps: Sequence[Step], now: float, width: int) -> RenderableType:
    """The list as a terminal of this width shows it; `now` turns the spinner."""
    # A few columns stay free: the ^C that a terminal echoes there must not begin a new line.
    table = Table.grid(padding=(0, 1), expand=True)
    table.width = width - 6
    table.add_column(width=1)
    table.add_column(no_wrap=True, min_width=15)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for step in steps:
        if step.cause:
            table.add_row("", "", Text(step.cause, style="dim italic"), "")
        table.add_row(mark(step, now), step.title, middle(step), f"{step.seconds:.1f} s")
    return Padding(table, (0, 0, 0, 2), expand=False)


def mark(step: Step, now: float) -> Text:
    spinning = SPINNER[int(now / REFRESH_SECONDS) % len(SPINNER)], "cyan"
    return Text(*MARKS.get(step.state, spinning))


def middle(step: Step) -> RenderableType:
    """A bar while it is known how much is done, else the words alone."""
    words = Text(step.detail, style="" if step.state == "failed" else "dim")
    if step.state != "running" or step.share is None:
        return words
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(ProgressBar(total=1.0, completed=step.share, width=24), words)
    return table
