"""Make a results folder as a study writes it, with invented content: no model, no TensorFlow."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from gradcam_eval.store import map_path

METRICS = [
    ("deletion", "rise2018", False, "probability", "area under the score as pixels are removed"),
    ("insertion", "rise2018", True, "probability", "area under the score as pixels are added"),
    ("pointing_game", "pointing2018", True, "hit", "the map's maximum lies on the object"),
]
CONTROLS = ("random", "centre_gaussian", "edges", "oracle")
HEADERS = {
    "images": "model sample id title labels target target_name probability top5 hit_top1 hit_top5 "
    "credit licence width height status reason",
    "layers": "model path type shape stride roles",
    "records": "model layer method kind sample metric protocol status value reason",
    "curves": "model layer method sample metric protocol fraction score",
    "cost": "model layer method batch_size forwards backwards first_call_ms median_ms_per_image "
    "low_ms_per_image high_ms_per_image rounds ratio_to_forward",
}


@dataclass(frozen=True)
class Plan:
    models: tuple[str, ...] = ("toy_net",)
    layers: tuple[str, ...] = ("block2_expand", "block4_expand/conv", "top_activation")
    methods: tuple[str, ...] = ("grad_cam", "layer_cam", "eigen_cam")
    samples: tuple[str, ...] = ("disc_0", "disc_1", "disc_2", "disc_3", "disc_4")
    cost: bool = True
    truth: bool = True
    failed: tuple[str, ...] = ()
    everything_undefined: bool = False
    strong_centre: bool = False
    photos: tuple[np.ndarray, ...] = ()
    credit: str = "drawn by the test"
    metrics: tuple[tuple[str, str, bool, str, str], ...] = tuple(METRICS)


def make_study(folder: Path, plan: Plan = Plan()) -> Path:
    """Write the folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    rows = {name: [] for name in HEADERS}
    for model in plan.models:
        for i, layer in enumerate(plan.layers):
            size = 56 // 2**i
            roles = "stage" + (" last" if layer == plan.layers[-1] else "")
            rows["layers"].append([model, layer, "Conv2D", f"{size}×{size}×64", 4 * 2**i, roles])
        for index, sample in enumerate(plan.samples):
            failed = sample in plan.failed
            rows["images"].append(_image_row(model, sample, plan, failed))
            if failed:
                continue
            image, centre = _picture(index, plan, rng)
            _write_maps(map_path(folder, model, sample), image, centre, plan)
            for cell in _cells(plan):
                _judge(rows, (model, *cell), sample, plan, rng)
        if plan.cost:
            rows["cost"] += _cost(model, plan)
    for name, header in HEADERS.items():
        if name == "cost" and not plan.cost:
            continue
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header.split(), *rows[name]])
    _write_json(folder, plan)
    return folder


def grouped(folder: Path, plan: Plan, **groups: dict[str, str]) -> Path:
    """Write a study whose images have groups: name → {sample: value}."""
    make_study(folder, plan)
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    at = header.index("sample")
    rows = [[*row, *(values[row[at]] for values in groups.values())] for row in rows]
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*header, *groups], *rows])
    return folder


def _cells(plan):
    cams = [(layer, method) for layer in plan.layers for method in plan.methods]
    return [*cams, *(("", control) for control in CONTROLS)]


def _picture(index, plan, rng):
    if plan.photos:
        image = plan.photos[index % len(plan.photos)]
        return image, (image.shape[0] * 0.5, image.shape[1] * 0.5)
    side = 96
    y, x = np.mgrid[:side, :side]
    centre = (30 + 9 * (index % 5), 62 - 8 * (index % 5))
    image = rng.integers(60, 120, (side, side, 3))
    image[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 18**2] = (220, 160, 40)
    return image.astype(np.uint8), centre


def _write_maps(path, image, centre, plan):
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((y - centre[0]) / height, (x - centre[1]) / width)
    names, maps = [], {}
    rng = np.random.default_rng(len(path.stem))
    for layer, method in _cells(plan):
        depth = plan.layers.index(layer) if layer else len(plan.layers)
        side = 56 // 2 ** min(depth, 3)
        blob = ndimage.zoom(np.exp(-(distance**2) * 40), (side / height, side / width), order=1)
        noise = ndimage.gaussian_filter(rng.random((side, side)), 0.8)
        heat = blob + (noise - 0.5) * (2.5 / (depth + 1))
        if method == "random":
            heat = rng.random((height, width))
        elif method == "centre_gaussian":
            heat = np.exp(-((y / height - 0.5) ** 2 + (x / width - 0.5) ** 2) * 12)
        elif method == "edges":
            heat = ndimage.gaussian_gradient_magnitude(image.mean(axis=2), 1.5)
        elif method == "oracle":
            heat = (distance < 0.22).astype(float) if plan.truth else np.zeros((height, width))
        maps[f"map_{len(names)}"] = heat.astype(np.float32)
        names.append([layer, method])
    path.parent.mkdir(parents=True, exist_ok=True)
    truth = {"boxes": np.zeros((0, 4), np.float32)}
    if plan.truth:
        mask = distance < 0.22
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        truth = {"mask": mask, "boxes": np.array([box], np.float32)}
    np.savez_compressed(path, image=image, names=json.dumps(names), **truth, **maps)


def _judge(rows, cell, sample, plan, rng):
    _, layer, method = cell
    quality = {"random": 0.05, "edges": 0.35, "oracle": 0.95}.get(method, 0.3)
    if method == "centre_gaussian":
        quality = 1.4 if plan.strong_centre else 0.5
    if layer:
        depth = (plan.layers.index(layer) + 1) / len(plan.layers)
        quality = 0.2 + 0.6 * depth + 0.04 * plan.methods.index(method)
    quality += rng.normal(0, 0.07)
    fraction = np.linspace(0, 1, 29)
    for metric, protocol, _, _, _ in plan.metrics:
        kinds = ("cam", "layer", "input")  # whatever a method is, its cell is no control
        kind = kinds[plan.methods.index(method) % 3] if layer else "control"
        row = [*cell, kind, sample, metric, protocol]
        undefined = plan.everything_undefined or (
            not plan.truth and (metric == "pointing_game" or method == "oracle")
        )
        if undefined:
            rows["records"].append([*row, "undefined", "", "nobody annotated this image"])
            continue
        if metric == "pointing_game":
            rows["records"].append([*row, "value", float(rng.random() < quality), ""])
            continue
        rate = 2 + 10 * max(quality, 0)
        score = 0.85 * np.exp(-rate * fraction)
        if metric == "insertion":
            score = 0.85 * (1 - np.exp(-rate * fraction))
        value = np.trapezoid(score, fraction)
        rows["records"].append([*row, "value", repr(float(value)), ""])
        for f, s in zip(fraction, score, strict=True):
            rows["curves"].append([*cell, sample, metric, protocol, f"{f:.6f}", f"{s:.6f}"])


def _image_row(model, sample, plan, failed):
    top = [["disc", 0.81], ["ball", 0.09], ["coin", 0.04], ["lamp", 0.02], ["sun", 0.01]]
    status = ["failed", "the file ends too early: pixels are missing"] if failed else ["ok", ""]
    label = "disc" if plan.truth else ""
    hits = [True, True] if plan.truth else ["", ""]
    known = [0, "disc", 0.81, json.dumps(top), *hits]
    if failed:
        known = ["", "", "", "[]", "", ""]
    place = [plan.credit, "CC0-1.0", 640, 480]
    return [model, sample, "ab12" * 8, sample.replace("_", " "), label, *known, *place, *status]


def _cost(model, plan):
    rows = []
    for batch in (1, 16):
        floor = 20 if batch == 1 else 14
        rows.append([model, "", "forward", batch, 1, 0, 900, floor, floor - 1, floor + 1, 9, 1.0])
        for layer in plan.layers:
            for k, method in enumerate(plan.methods):
                ms = floor * (1.1 + 0.9 * k)
                times = [2000 + 10 * k, ms, ms * 0.97, ms * 1.06, 9, 1.1 + 0.9 * k]
                rows.append([model, layer, method, batch, 1, 1, *times])
    return rows


def _write_json(folder, plan):
    metrics = [
        {"name": n, "protocol": p, "higher_is_better": up, "unit": unit, "description": text}
        | {"parameters": {"step": 1792} if n != "pointing_game" else {"tolerance": 15}}
        for n, p, up, unit, text in plan.metrics
    ]
    study = {
        "format": 2,
        "name": "toy",
        "question": "Which layer should Grad-CAM look at?",
        "models": list(plan.models),
        "data": "discs",
        "layers": ["stages"],
        "methods": list(plan.methods),
        "controls": list(CONTROLS),
        "metrics": metrics,
        "target": "predicted",
        "score": "logit",
        "seed": 0,
        "fingerprint": "0123456789abcdef",
        "created": "2026-01-02T03:04:05+00:00",
    }
    environment = {
        "python": "3.12.1",
        "machine": {"cpu": "a test", "cores": 2},
        "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
        "devices": ["CPU:0"],
    }
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
