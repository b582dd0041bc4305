"""Progress of a study on the terminal: one bar a stage, with the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
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


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show a run's progress on standard error: bars on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    def say(text: str) -> None:
        bars.console.print(Text(text), soft_wrap=True)  # Text: a path is not markup or an emoji

    def stage(name: str, steps: int) -> None:
        if not console.is_terminal:
            say(f"{name}: {steps} steps")
        bars.add_task(name, total=steps)

    def step() -> None:
        bars.advance(bars.task_ids[-1])

    with bars:
        yield Progress(say=say, stage=stage, step=step)
