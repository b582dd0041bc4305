"""What a heatmap costs: milliseconds of each layer × method beside the compiled forward pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError, check_whole, is_whole

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from gradcam_eval.methods.cells import HeatmapCell
    from gradcam_eval.methods.explainer import Explainer, Layers
    from gradcam_eval.methods.registry import Passes
    from gradcam_eval.models.output import OutputKind

Cell: TypeAlias = tuple[str, str]  # layer path, method name

FORWARD = "forward"  # the method name of the floor: the compiled forward pass alone
_MANY_PASSES = 8  # of an image; a method with more of them is timed in fewer rounds


@dataclass(frozen=True)
class Timing:
    """Milliseconds of the calls of one function.

    Attributes
    ----------
    first_ms : the first call: tracing and compiling included
    values_ms : the timed calls, after a warm-up call that is not counted
    """

    first_ms: float
    values_ms: tuple[float, ...]

    def quantile(self, q: float) -> float:
        """Return the q-quantile (0..1) of the timed calls, in ms; 0.5 is the median."""
        return float(np.quantile(self.values_ms, q))

    def ratio_to(self, floor: Timing) -> float:
        """Return the median of each round's ratio to the floor's call of the same round.

        A machine whose speed drifts slows both calls of a round, so this is steadier than the ratio
        of the medians. The floor has at least as many rounds.
        """
        return float(np.median(np.divide(self.values_ms, floor.values_ms[: len(self.values_ms)])))


@dataclass(frozen=True)
class CostRow:
    """The cost of one layer × method at one batch size; times are wall-clock milliseconds.

    `median_`, `low_` and `high_ms_per_image` are quartiles over the rounds, `ratio_to_forward` is
    `Timing.ratio_to` the compiled forward pass.
    """

    layer: str
    method: str
    batch_size: int
    forwards: int
    backwards: int
    first_call_ms: float
    median_ms_per_image: float
    low_ms_per_image: float
    high_ms_per_image: float
    rounds: int
    ratio_to_forward: float


def measure(
    functions: Mapping[Any, Callable[[], Any]],
    *,
    rounds: int | Mapping[Any, int] = 10,
    first_ms: Mapping[Any, float] | None = None,
    on_call: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Any, Timing]:
    """Time functions side by side: each once for the first call, once to warm up, then in rounds.

    Every round calls every function once, so that a drift of the machine's speed meets them all.
    A function must return only when its result is there (NumPy arrays are).

    Parameters
    ----------
    functions : what to call, by key
    rounds : timed calls, 1 or more: of each function, or by key; one that has had its rounds rests
    first_ms : the first call of functions that were called before, by key: it is not timed again
    on_call : called after each call, for a progress bar
    clock : seconds, monotonic
    """
    wanted = dict(rounds) if isinstance(rounds, Mapping) else dict.fromkeys(functions, rounds)
    for count in wanted.values():
        check_whole("rounds", count)

    def timed(function: Callable[[], Any]) -> float:
        start = clock()
        function()
        elapsed = (clock() - start) * 1000
        on_call()
        return elapsed

    known = first_ms or {}
    first = {key: known[key] if key in known else timed(run) for key, run in functions.items()}
    for function in functions.values():
        timed(function)
    values: dict[Any, list[float]] = {key: [] for key in functions}
    for played in range(max(wanted.values(), default=0)):
        for key, function in functions.items():
            if played < wanted[key]:
                values[key].append(timed(function))
    return {key: Timing(first[key], tuple(values[key])) for key in functions}


@dataclass(frozen=True)
class CostPlan:
    """How a cost is measured.

    Attributes
    ----------
    batch_sizes : images in one call; the first size is the one that `first_call_ms` is of
    rounds : timed calls of each layer × method at each batch size
    image_size : (H, W), needed where the model does not fix it
    """

    batch_sizes: tuple[int, ...] = (1, 16)
    rounds: int = 10
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.batch_sizes or not all(is_whole(n) and n >= 1 for n in self.batch_sizes):
            raise InputError(f"batch_sizes are {self.batch_sizes}: wanted whole numbers from 1 up")
        check_whole("rounds", self.rounds)

    def sizes_of(self, forwards: int) -> tuple[int, ...]:
        """Return the batch sizes at which a cell with so many passes of an image is timed.

        One that asks the model many times fills batches by itself: it is timed at the smallest.
        """
        return self.batch_sizes if forwards <= _MANY_PASSES else (min(self.batch_sizes),)

    def rounds_of(self, forwards: int) -> int:
        """Return the rounds of such a cell: fewer where each is many passes long."""
        return max(1, min(self.rounds, self.rounds * _MANY_PASSES // max(forwards, 1)))


def cost_rows(
    explainer: Explainer,
    cells: Sequence[HeatmapCell],
    *,
    plan: CostPlan,
    on_cell: Callable[[], None] = lambda: None,
) -> list[CostRow]:
    """Time every layer × method alone, beside the compiled forward pass, at each batch size.

    One pair after another is compiled, timed and freed, so that memory does not grow with their
    number; each takes turns with the forward pass, which a ratio is paired with. Images are uniform
    noise, whose content does not matter to the time. Listing the model's layers is not part of the
    first call. Later batch sizes find the pass compiled, so `first_call_ms` of a pair is that at
    the first batch size. A method that asks the model more than 8 times an image is timed in fewer
    rounds, and at the smallest batch size only.

    Parameters
    ----------
    explainer : of the model; each pair is explained by its settings
    cells : the pairs
    plan : how often, and with how many images
    on_cell : called when a pair is timed, for a progress bar

    Returns
    -------
    CostRow for the forward pass (over the rounds of all pairs) and for each pair, by batch size
    """
    from gradcam_eval.methods.registry import Passes
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.models.inputs import input_shape
    from gradcam_eval.models.memory import collect, quick_collections

    shape = input_shape(explainer.model, plan.image_size)
    largest = max(plan.batch_sizes)
    noise = np.random.default_rng(0).uniform(0, 255, (largest, *shape)).astype(np.float32)
    declared: Any = explainer.objective.declared
    predictor = Predictor(explainer.model, output=declared)
    floor = _Work(("", FORWARD), predictor.unwatched, Passes())
    floors: dict[int, list[Timing]] = {size: [] for size in plan.batch_sizes}
    first_ms: dict[Cell, float] = {}  # of what was called before: a pass is compiled once
    rows = []
    with quick_collections():
        for cell in cells:
            run = explainer.only(cell, batch_size=largest)
            work = _Work(cell.key, run, cell.passes(shape[:2]))
            for size in plan.sizes_of(work.forwards):
                rounds = plan.rounds_of(work.forwards)
                timings = _timed([floor, work], noise[:size], rounds=rounds, first_ms=first_ms)
                first_ms |= {key: each.first_ms for key, each in timings.items()}
                floors[size].append(timings[floor.cell])
                rows.append(_cost_row(work, timings[work.cell], size, timings[floor.cell]))
            del run, work
            collect()
            on_cell()
    for size in plan.batch_sizes:
        if not floors[size]:  # no cell was timed at this size
            alone = _timed([floor], noise[:size], rounds=plan.rounds, first_ms=first_ms)
            first_ms |= {key: each.first_ms for key, each in alone.items()}
            floors[size].append(alone[floor.cell])
    joined = {size: _joined(timings) for size, timings in floors.items()}
    forward = [_cost_row(floor, timing, size, timing) for size, timing in joined.items()]
    return sorted(forward + rows, key=lambda row: plan.batch_sizes.index(row.batch_size))


def _joined(timings: Sequence[Timing]) -> Timing:
    values = tuple(ms for timing in timings for ms in timing.values_ms)
    return Timing(timings[0].first_ms, values)


def _timed(
    functions: Sequence[_Work],
    images: NDArray[np.float32],
    *,
    rounds: int,
    first_ms: Mapping[Cell, float],
) -> dict[Cell, Timing]:
    calls = {each.cell: partial(each.run, images) for each in functions}
    return measure(calls, rounds=rounds, first_ms=first_ms)


@dataclass(frozen=True, eq=False)
class _Work:
    """What is timed: a cell's own compiled pass, or the forward pass."""

    cell: Cell
    run: Callable[[Any], Any]
    passes: Passes

    @property
    def forwards(self) -> int:
        return 1 + self.passes.forwards


def _cost_row(work: _Work, timing: Timing, batch_size: int, floor: Timing) -> CostRow:
    low, median, high = (timing.quantile(q) / batch_size for q in (0.25, 0.5, 0.75))
    return CostRow(
        layer=work.cell[0],
        method=work.cell[1],
        batch_size=batch_size,
        forwards=work.forwards,
        backwards=work.passes.backwards,
        first_call_ms=timing.first_ms,
        median_ms_per_image=median,
        low_ms_per_image=low,
        high_ms_per_image=high,
        rounds=len(timing.values_ms),
        ratio_to_forward=timing.ratio_to(floor),
    )


def measure_cost(  # noqa: PLR0913 - the one call that says all
    model: keras.Model,
    layers: Layers = "last",
    methods: str | Sequence[str] = "grad_cam",
    *,
    batch_sizes: Sequence[int] = (1, 16),
    rounds: int = 10,
    image_size: tuple[int, int] | None = None,
    output: OutputKind | None = None,
) -> pd.DataFrame:
    """Time the compiled forward pass and each layer × method: a row for each, by batch size.

    Parameters
    ----------
    model, layers, methods : as of `explain`
    batch_sizes : images in a call; a method that asks the model more than 8 times an image is timed
        at the smallest alone
    rounds : timed calls of each; a method with many passes gets fewer
    image_size : (H, W), where the model does not fix it
    output : the kind of the output, where it has to be said; see `Explainer`

    Returns
    -------
    DataFrame with layer, method, batch_size, forwards, backwards (passes in each call),
    first_call_ms, median_ms_per_image with quartiles low_ and high_ms_per_image, rounds,
    ratio_to_forward
    """
    import pandas as pd

    from gradcam_eval.methods.explainer import Explainer

    plan = CostPlan(tuple(batch_sizes), rounds, image_size)
    explainer = Explainer(model, layers, methods, output=output)
    rows = cost_rows(explainer, explainer.cells(image_size), plan=plan)
    return pd.DataFrame([asdict(row) for row in rows])
