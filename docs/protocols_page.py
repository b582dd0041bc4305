"""Write docs/protocols.md from the protocols themselves: python docs/protocols_page.py"""

from __future__ import annotations

from pathlib import Path

from gradcam_eval.metrics import METRICS
from gradcam_eval.protocols import PROTOCOLS, rows

PAGE = Path(__file__).with_name("protocols.md")
HEAD = """# Protocols

A number depends on more than its metric's name: on the step, the fill, the score that is read, the
order of ties, the threshold, the frame. A protocol fixes all of it under one name, which stands
beside every number, and never changes once published; numbers of different protocols do not
compare. A study may name several for one metric, and then has them all:

```toml
metrics = ["deletion", "road"]

[protocols]
deletion = ["rise2018", "gaussian_clean"]
```

`gradcam-eval protocols` lists the same on the command line. This page is made by
`python docs/protocols_page.py` from the records in `gradcam_eval/protocols/`.
"""


def page() -> str:
    """Return the page as Markdown: a section for each metric with its protocols in a table."""
    known = rows()
    parts = [HEAD]
    for metric in sorted(METRICS.values(), key=lambda each: each.name):
        direction = "higher" if metric.higher_is_better else "lower"
        parts.append(
            f"## {metric.name}\n\n{metric.description} Unit: {metric.unit}; {direction} is "
            "better.\n"
        )
        marks = {metric.default_protocol: " (default)"}
        parts.append(table({name: known[name] for name in metric.protocols}, marks))
    of_metrics = {name for metric in METRICS.values() for name in metric.protocols}
    others = {name: row for name, row in known.items() if name not in of_metrics}
    parts.append(f"## Of no metric above\n\n{table(others, {})}")
    return "\n".join(parts)


def table(rows_of: dict[str, dict[str, str]], marks: dict[str, str]) -> str:
    """Return some protocols as a Markdown table."""
    lines = ["| protocol | what is fixed | published | how we differ |", "|---|---|---|---|"]
    for name, row in rows_of.items():
        shown = f"`{name}`{marks.get(name, '')}"
        cells = (shown, row["fixed"] or "–", row["source"], row["departures"] or "–")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {len(PROTOCOLS)} protocols")
