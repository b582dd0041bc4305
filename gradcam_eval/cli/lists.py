"""`gradcam-eval layers`, `methods` and `metrics`: what there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_eval.cli.terminal import (
    cell,
    console,
    import_tensorflow,
    say,
    silent_stderr,
    write_csv,
)

if TYPE_CHECKING:
    import pandas as pd

TokensOption = Annotated[
    str | None,
    typer.Option(
        metavar="ROWSxCOLUMNS",
        help="For a transformer: how its tokens lie on the image, as 14x14, or 14x14+1 with a "
        "class token before them.",
    ),
]


_NAMES = ("method", "metric", "family", "protocol")  # what is broken in two is no name
_WIDE = 150  # columns, below which the metrics' summaries would have a word a line


def layers(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, or a local .keras or .h5 file.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="List every layer, not only those that carry a heatmap.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV to standard output.")] = False,
    tokens: TokensOption = None,
) -> None:
    """List a model's layers: path, type, shape, stride, receptive field, parameters, roles.

    A named model is built with random weights for this, so nothing is downloaded.
    """
    from gradcam_eval.models.zoo import check_model_name
    from gradcam_eval.picture import layers_of

    with silent_stderr():
        check_model_name(model)
    import_tensorflow()
    frame = layers_of(model, tokens)
    if not everything:
        frame = frame[frame["is_candidate"]]
    if csv:
        write_csv(frame)
    else:
        _print_layers(model, frame)
        say(f"output: {frame.attrs['output']}")


def _print_layers(model: str, frame: pd.DataFrame) -> None:
    from rich.table import Table

    table = Table(title=cell(f"{model}: {len(frame)} layers"), box=None, header_style="bold")
    columns = ("path", "type", "shape", "stride", "receptive field", "params", "roles")
    has_notes = bool((frame["note"] != "").any())
    for column in (*columns, "note") if has_notes else columns:
        table.add_column(column, overflow="fold")
    for row in frame.to_dict("records"):
        values = (
            row["path"],
            row["type"],
            "×".join(str(side or "any") for side in row["shape"]),
            _number(row["stride"]),
            _number(row["receptive_field"]),
            f"{row['params']:,}",
            row["roles"],
            *([row["note"]] if has_notes else []),
        )
        table.add_row(*map(cell, values))
    console().print(table)


def _number(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4g}"


def methods(
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV to standard output.")] = False,
) -> None:
    """List the methods: what each looks at, its options with their defaults, and what it does.

    "cam": a layer's activations and gradients, all in one pass. "layer": a layer, asking the model
    again. "fusion": several layers. "input": no layer. Options are given as in
    --method "rise(masks=500)".
    """
    with silent_stderr():
        frame = _methods_frame()
    _write(frame, csv=csv)


def metrics(
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV to standard output.")] = False,
) -> None:
    """List the metrics: family, direction, unit and range, what each needs, its default protocol.

    "needs" is what a metric asks for beside the heatmap: the boxes or masks of your data, the
    model, the method again, or nothing. What a protocol fixes, and which others a metric has:
    gradcam-eval protocols --metric NAME. A narrow terminal has no room for the summaries; the CSV
    has them.
    """
    with silent_stderr():
        frame = _metrics_frame()
    if not csv:
        bounded = frame["range"].where(frame["range"] == "", ", " + frame["range"])
        left_out = ["protocols", "range"] + ["summary"] * (console().width < _WIDE)
        frame = frame.assign(unit=frame["unit"] + bounded).drop(columns=left_out)
    _write(frame, csv=csv)


def _write(frame: pd.DataFrame, *, csv: bool) -> None:
    """Write a table of texts to standard output."""
    if csv:
        write_csv(frame)
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in frame.columns:
        table.add_column(str(column), overflow="fold", no_wrap=column in _NAMES)
    for row in frame.itertuples(index=False):
        table.add_row(*map(cell, row))
    console().print(table)


def _methods_frame() -> pd.DataFrame:
    import pandas as pd

    from gradcam_eval.methods import METHODS

    return pd.DataFrame(
        [
            {
                "method": method.name,
                "kind": method.kind,
                "options": ", ".join(f"{name}={value}" for name, value in method.defaults.items()),
                "summary": method.summary,
            }
            for method in METHODS.values()
        ]
    )


def _metrics_frame() -> pd.DataFrame:
    import pandas as pd

    import gradcam_eval.metrics  # noqa: F401 - registers them
    from gradcam_eval.metrics.listing import rows

    return pd.DataFrame([{"metric": name, **row} for name, row in rows().items()])
