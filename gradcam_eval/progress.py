"""Progress of a study: one bar a stage on a terminal, and lines from time to time elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from gradcam_eval.study.run import Progress
from gradcam_eval.texts import printable

_FIRST, _LONGEST = 10.0, 300.0  # seconds between two lines, at first and at most
_RECENT = 30  # steps by which the time left is judged: a resumed run's first ones take no time


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show a run's progress on standard error: bars on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield plain_progress(lambda text: _say(console, text))
        return
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
    )

    def stage(name: str, steps: int) -> None:
        bars.add_task(escape(printable(name)), total=steps)

    def step() -> None:
        bars.advance(bars.task_ids[-1])

    with bars:
        yield Progress(say=lambda text: _say(bars.console, text), stage=stage, step=step)


def _say(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)  # Text: a path is not markup or an emoji


def plain_progress(
    say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
) -> Progress:
    """Return a progress that says a line from time to time: steps done, of how many, time left.

    A line comes with the first step that ends 10 seconds or more after the line before it, later
    after a tenth of the stage's time, and after 5 minutes at most: a log of ten hours has some 150
    lines. A stage that has said one also says that it is done.

    Parameters
    ----------
    say : writes a line
    clock : seconds, from any start
    """
    lines = _Lines(say, clock)
    return Progress(say=say, stage=lines.stage, step=lines.step)


class _Lines:
    """The stage that is going on, and when its last line was said."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self.stage("", 0, quiet=True)

    def stage(self, name: str, steps: int, *, quiet: bool = False) -> None:
        """Begin a stage, and say so."""
        self._name, self._steps, self._done = name, steps, 0
        self._start = self._last = self._clock()
        self._recent: deque[float] = deque(maxlen=_RECENT + 1)
        if not quiet:
            self._say(f"{name}: {steps} steps")

    def step(self) -> None:
        """Count a step, and say how far the stage is if it is time to."""
        now = self._clock()
        self._done += 1
        self._recent.append(now)
        elapsed = now - self._start
        if self._done == self._steps and self._last > self._start:
            self._say(f"{self._name}: all {self._steps} done in {duration(elapsed)}")
        elif now - self._last >= min(max(_FIRST, elapsed / 10), _LONGEST):
            self._last = now
            self._say(f"{self._name}: {self._done} of {self._steps} done{self._left()}")

    def _left(self) -> str:
        if len(self._recent) < 2:  # the first step compiles: it says nothing about the others
            return ""
        each = (self._recent[-1] - self._recent[0]) / (len(self._recent) - 1)
        return f", about {duration(each * (self._steps - self._done))} left"


def duration(seconds: float) -> str:
    """Write a time for a person.

    Examples
    --------
    >>> [duration(each) for each in (4.2, 99, 240, 12_000)]
    ['4 s', '99 s', '4 min', '3 h 20 min']
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
