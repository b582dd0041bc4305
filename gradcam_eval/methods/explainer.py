"""`Explainer`: heatmaps of any layers by any methods from one compiled pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, Placing
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.methods import find_methods
from gradcam_eval.methods.answer import in_pixels, maps_of, refused_cells, warn_of_saturation
from gradcam_eval.methods.batch import Batch, as_batch, as_regions, check_settings
from gradcam_eval.methods.cells import HeatmapCell, cells_of
from gradcam_eval.methods.compiled import ENGINES, CompiledPass, Engine
from gradcam_eval.methods.draws import Found, mean_of_draws, warn_of_randomness
from gradcam_eval.methods.heatmaps import Heatmaps, Key, check_geometry
from gradcam_eval.methods.passes import Compiling, Passes
from gradcam_eval.methods.targets import Targets, target_indices
from gradcam_eval.models.described import describe_output
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layout import TokenGrid, output_layout, token_grid
from gradcam_eval.models.objective import Objective
from gradcam_eval.models.openvino_graph import check_openvino
from gradcam_eval.models.output import Output, OutputKind, check_output_kind
from gradcam_eval.models.process import check_process
from gradcam_eval.models.selection import as_list
from gradcam_eval.models.tap import LayerCall
from gradcam_eval.models.target import OutputFunction, Score, check_score
from gradcam_eval.models.zoo import known_values
from gradcam_eval.values import as_values

Layers: TypeAlias = str | int | LayerCall | Sequence[str | int | LayerCall]


class Explainer:
    """Heatmaps of a model at some layers by some methods, compiled once and called often.

    One forward and one backward pass serve all layers and all methods of kind "cam". The formulas
    run inside the same compiled function, or, where several of `FUSED` are asked for on a CPU, in
    one loop behind it. The model is not changed, and an answer is never one of weights that it had
    before. What its layers do apart from their variables (an activation, a rate) is fixed when the
    pass is compiled: make a new explainer after changing it.

    Parameters
    ----------
    model : keras.Model
    layers : role ("last", "stages", "all"), path, unique end of a path, glob, index from the end,
        a call that `resolve_layers` gave, or several of them
    methods : a name from METHODS, or several; a name may carry options: "rise(masks=500)"
    score : what is differentiated: "logit", "probability" or "log_odds" of the target class, or a
        function of the model's outputs (or of `head`) → (N,). Of a regression "logit" is the value
    output : the kind of the output, where it is not the one that `decide_output` finds:
        "classes", "multi_label", "binary" (one logit or sigmoid for two classes, negative and
        positive), "regression" or "segmentation"
    head : which output of a model with several, by name or index
    image_input : which input holds the images, where several could
    tokens : how a transformer's tokens lie on the image: a `TokenGrid`, or text as in "14x14+1"
    engine : "auto" or "frozen": a graph with the weights folded in while they stay as they are;
        "tensorflow": a graph that reads them at each call; "openvino": as much of it as can be runs
        in OpenVINO (float32; `pip install "gradcam-eval[fast]"`), at least what stands before the
        explained layers, or else nothing, with a warning that says why
    batch_size : most images in one compiled call; more are taken in turn
    memory : bytes that the activations and gradients of one call may take; layers beyond them are
        explained by another pass
    seed : of whatever is random in a method
    geometry : how a layer's map is laid on the image. "auto": by its receptive field where an edge
        of the map is more than one stride of the layer off the image's edge (a crop, a window,
        convolutions without padding), corner to corner otherwise; "stretch": always corner to
        corner; "receptive_field": always by its field. The maps that are placed have the image's
        size
    draws : runs of a model that stays random at inference (Monte Carlo dropout), over which its
        maps, scores and probabilities are the mean; one run for every other model. With 1, the
        first call runs a random model twice, and warns if the maps differ
    skip_refused : leave out the heatmaps that a method refuses (CAM at a layer that is not pooled,
        guided backpropagation through another activation than ReLU) instead of raising; likewise
        those of a layer whose place on the image is not known
    values : the range [low, high] of the images that the model takes: images of another scale are
        refused. None: 0 to 255 for a model that `load_model` built by name; images of any other
        model are taken as they are

    Raises
    ------
    InputError : unknown layer, method, score or geometry, or a model that these cannot be made from
    """

    def __init__(  # noqa: PLR0913 - what is explained, said once
        self,
        model: keras.Model,
        layers: Layers = "last",
        methods: str | Sequence[str] = "grad_cam",
        *,
        score: Score | OutputFunction = "logit",
        output: OutputKind | None = None,
        head: str | int | None = None,
        image_input: str | int | None = None,
        tokens: TokenGrid | str | None = None,
        engine: Engine = "auto",
        batch_size: int = 16,
        memory: int = 2 * 2**30,
        seed: int = 0,
        geometry: Geometry = "auto",
        draws: int = 1,
        skip_refused: bool = False,
        values: Sequence[float] | None = None,
    ) -> None:
        check_process()
        check_score(score)
        check_geometry(geometry)
        self.values = known_values(model, None if values is None else as_values(values))
        check_output_kind(output)
        if engine not in ENGINES:
            raise unknown_name("engine", engine, ENGINES)
        if engine == "openvino":
            check_openvino()
        check_settings(batch_size=batch_size, seed=seed, draws=draws, memory=memory)
        self.model = model
        self.methods = find_methods(methods)
        names = tuple(getattr(model, "output_names", None) or ())
        self.objective = Objective(score, head, names, output_layout(model), output)
        self.batch_size = batch_size
        self.draws = draws
        self._has_run_twice = False
        self._passes = Passes(
            model,
            self.methods,
            self.objective,
            as_list(layers),
            token_grid(tokens),
            image_input,
            Compiling(engine, batch_size, memory, seed, skip_refused, geometry),
        )
        if self._passes.has_layers and not self._passes.layers:
            raise InputError("no layer was named: wanted a role such as 'last', a path or an index")
        self._size: tuple[int, int] | None = None  # of the images that were explained last
        self._inputs: dict[Any, ModelInputs] = {}

    def only(self, cell: HeatmapCell, *, batch_size: int) -> Explainer:
        """Return an explainer of one of the heatmaps alone, by the same settings."""
        made, passes = copy(self), self._passes
        made.methods, made.batch_size = [cell.method], batch_size
        how = replace(passes.how, batch_size=batch_size)
        made._passes = Passes(
            self.model,
            made.methods,
            self.objective,
            cell.calls,
            passes.tokens,
            passes.image_input,
            how,
        )
        made._inputs, made._size = {}, None
        return made

    def calls(
        self, image_size: tuple[int, int] | None = None, *, inputs: ModelInputs | None = None
    ) -> list[LayerCall]:
        """Return the layer calls that the wanted layers stand for (one trace for each size).

        Empty where every method looks at the input alone.

        Parameters
        ----------
        image_size : (H, W), on which it depends which layer is the "last", and how large maps are;
            None: that of the images explained last, or else the model's own
        inputs : how the model takes its images of that size, where that is known already
        """
        if not self._passes.has_layers:
            return []
        size = inputs.shape[:2] if inputs else image_size or self._size
        if size in self._passes.calls:
            return self._passes.calls[size]
        return self._passes.calls_on(inputs or self._passes.inputs_of(size))

    def output(self, image_size: tuple[int, int] | None = None) -> Output:
        """Return what the model returns for an image: the kind of its output (one trace).

        Parameters
        ----------
        image_size : (H, W), as of `calls`

        Raises
        ------
        InputError : a score function is explained, which may read any output
        """
        if callable(self.objective.score):
            raise InputError("a score function is explained: it may read any output")
        return describe_output(
            self.model,
            declared=self.objective.declared,
            head=self.objective.head,
            inputs=self._passes.inputs_of(image_size or self._size),
        )

    def refused(self, image_size: tuple[int, int] | None = None) -> dict[Key, str]:
        """Return why a method refuses a layer or the model, by (layer path, method name).

        Compiles the pass; empty unless `skip_refused`, since a refusal is an error otherwise.
        """
        inputs = self._passes.inputs_of(image_size or self._size)
        compiled = self._passes.compile(inputs, has_against=False, has_regions=False)
        return refused_cells(self.cells(inputs.shape[:2]), compiled)

    def release(self) -> None:
        """Let go of all that was compiled; the next call compiles again."""
        self._passes.release()

    def cells(self, image_size: tuple[int, int] | None = None) -> list[HeatmapCell]:
        """Return what heatmaps a call returns, in their order, with what each costs in passes."""
        return cells_of(self.calls(image_size), self.methods)

    def passes(self, image_size: tuple[int, int] | None = None) -> int:
        """Return in how many passes the layers are explained, as `memory` holds them."""
        return len(self._passes.groups(self.calls(image_size)))

    def __call__(
        self, images: Any, targets: Targets = None, *, against: Targets = None, regions: Any = None
    ) -> Heatmaps:
        """Explain images.

        Parameters
        ----------
        images : float32 (N, H, W, C) or (H, W, C), in `values` or by noise up to half of that range
            beside it; for a model with several inputs a dict or list of them
        targets : for all or one for each image: a class index; a class name, for a model that
            `load_model` built by name; "predicted" (None), or "predicted:2" for the class with the
            second highest score
        against : classes whose score is subtracted: why this class rather than that one
        regions : for a segmentation: (N, h, w) or (h, w) of the image, or of the output where that
            is of another size and given so; non-zero on the pixels whose score is explained. An
            output that does not cover the image is read where it lies. None for all

        Returns
        -------
        Heatmaps, keyed by (layer path, method name); methods that look at no layer have "input"
        for one, fusions all layers joined by "+". A layer and a method are also found as they were
        written here, as in ``maps["last", "smooth_grad_cam_pp(noise=0.0)"]``

        Raises
        ------
        InputError : images of another shape or scale or not finite, targets out of range or
            miscounted

        Warns
        -----
        UserWarning : the probability that is explained is saturated, so its gradient is rounding;
            or two runs of the model differ, since a layer draws random numbers at inference
        """
        check_process()
        batch = as_batch(
            self.model, images, self._passes.image_input, known=self._inputs, values=self.values
        )
        trace = (against is not None, regions is not None)
        compiled = self._passes.compile(batch.inputs, *trace)
        count = len(batch.images)
        given = [targets] if against is None else [targets, against]
        indices = [self._indices(each, compiled[0].output, count) for each in given]
        if min(each.min() for each in indices) < -1:
            compiled = self._passes.compile(batch.inputs, *trace, has_ranks=True)
        arrays: list[NDArray[Any]] = [
            batch.images,
            *indices,
            *(
                []
                if regions is None
                else [self._regions(regions, count, compiled[0].output, batch)]
            ),
            *batch.extras,
        ]
        found = self._found(compiled, arrays)
        if self.objective.score == "probability":
            warn_of_saturation(found, stacklevel=3)
        calls = self.calls(inputs=batch.inputs)
        self._size = batch.inputs.shape[:2]
        cells = cells_of(calls, self.methods)
        refused = refused_cells(cells, compiled)
        kept = [cell for cell in cells if cell.key not in refused]
        maps, placed = maps_of(found, kept, self._passes.placings_on(batch.inputs))
        return Heatmaps(
            maps=maps,
            scores=found["scores"],
            image_size=batch.inputs.shape[:2],
            classes=(found["targets"], found["predictions"]) if "targets" in found else None,
            output=compiled[0].output,
            refused=refused,
            layer_names=self._passes.named.get(batch.inputs.shape[:2], {}),
            geometry=self._passes.how.geometry,
            placed=placed,
            find_placings=partial(self._passes.placings_on, batch.inputs),
            in_pixels=frozenset(
                cell.key
                for cell in kept
                if any(in_pixels(cell.method, maps[cell.key], c, self._size) for c in cell.calls)
            ),
            members={
                cell.key: tuple(call.path for call in cell.calls)
                for cell in kept
                if cell.method.kind == "fusion"
            },
        )

    def placings(self, image_size: tuple[int, int] | None = None) -> Mapping[str, Placing]:
        """Return where each layer's map lies on images of a size, by path.

        A `Placement`; None for a map that is laid corner to corner; `Undefined` with the reason
        where the place is not known, so that methods refuse the layer.
        """
        return self._passes.placings_on(self._passes.inputs_of(image_size or self._size))

    def _found(self, compiled: Sequence[CompiledPass], arrays: list[NDArray[Any]]) -> Found:
        """Return what the passes return for these arrays, of a random model over the draws."""

        def run(targets: Any) -> Found:
            given = arrays if targets is None else [arrays[0], targets, *arrays[2:]]
            found: Found = {}
            for each in compiled:
                found |= each(given, batch_size=self.batch_size)
            return found

        random = compiled[0].plan.found.random
        if not random:
            return run(None)
        found = mean_of_draws(run, self.draws)
        if self.draws == 1 and not self._has_run_twice:
            self._has_run_twice = True
            warn_of_randomness(found, run(found.get("targets")), random, stacklevel=3)
        return found

    def _regions(
        self, regions: Any, count: int, output: Output | None, batch: Batch
    ) -> NDArray[np.float32]:
        given = as_regions(regions, count)
        if output is None or not output.is_map:
            return given  # it has no regions, as the pass says
        return self._passes.laid(given, batch.inputs)

    def _indices(self, targets: Targets, output: Output | None, count: int) -> NDArray[np.int64]:
        if output is not None:
            return target_indices(self.model, targets, count=count, output=output)
        if targets is not None:
            raise InputError("targets were given, and the score function knows no classes")
        return np.zeros(count, np.int64)  # not looked at


def explain(  # noqa: PLR0913 - the one call that says all
    model: keras.Model,
    images: Any,
    *,
    layers: Layers = "last",
    methods: str | Sequence[str] = "grad_cam",
    targets: Targets = None,
    score: Score | OutputFunction = "logit",
    output: OutputKind | None = None,
    geometry: Geometry = "auto",
    values: Sequence[float] | None = None,
) -> Heatmaps:
    """Explain images once, as an `Explainer(model, layers, methods, …)(images, targets)` does.

    Keep an `Explainer` to explain more: making one compiles the model again. It also takes heads,
    contrasts of classes, regions, grids of tokens and engines.

    Parameters
    ----------
    model : keras.Model, which is not changed
    images : float32 (N, H, W, C) or (H, W, C), as the model takes them (named models: 0..255)
    layers : role ("last", "stages", "all"), path, unique end of a path, glob, index from the end,
        or several of them; `list_layers` shows them
    methods : a name from METHODS, or several; a name may carry options: "rise(masks=500)"
    targets : for all images or one for each: a class index, a class name, "predicted" (None), or
        "predicted:2" for the class with the second highest score
    score : what is explained: "logit", "probability" or "log_odds" of the target class, or a
        function of the model's outputs → (N,)
    output : the kind of the output, where it has to be said; see `Explainer`
    geometry : how maps are laid on the image: "auto", "stretch" or "receptive_field", as for
        `Explainer`
    values : the range [low, high] of the images, as of `Explainer`

    Returns
    -------
    Heatmaps, float32 (N, h, w) on the raw scale, keyed by (layer path, method name); larger is
    more relevant. Each covers its image corner to corner; `resized()` gives them the images' size

    Raises
    ------
    InputError : unknown layer, method or score, images that do not fit, targets out of range
    """
    options: dict[str, Any] = {"score": score, "output": output, "geometry": geometry}
    return Explainer(model, layers, methods, values=values, **options)(images, targets)
