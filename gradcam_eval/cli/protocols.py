"""`gradcam-eval protocols`: what the numbers depend on."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gradcam_eval.cli.terminal import cell, console


def protocols(
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="METRIC", help="Those of one metric alone.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write every parameter to standard output as JSON.")
    ] = False,
) -> None:
    """List the protocols: the metrics each defines, what it fixes, and where it was published."""
    from gradcam_eval.metrics import METRICS
    from gradcam_eval.metrics.registry import find_metric
    from gradcam_eval.protocols import describe, rows

    known = rows()
    if metric is not None:
        known = {name: known[name] for name in find_metric(metric)[0].protocols}
    if as_json:
        print(json.dumps([describe(name) for name in known], indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    defaults = {each.default_protocol for each in METRICS.values()}
    table = Table(box=None, header_style="bold")
    for column in ("protocol", "metrics", "fixed", "source"):
        table.add_column(column, overflow="fold")
    for name, row in known.items():
        mark = " (default)" if name in defaults else ""
        values = (name + mark, row["metrics"], row["fixed"], row["source"])
        table.add_row(*map(cell, values))
    console().print(table)
