import json

import numpy as np
import pytest
from study_folder import Plan, make_study

from gradcam_eval.core import InputError
from gradcam_eval.data.geometry import Framing
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.grid import Maps, _to_tile, overlay_grid, read_maps, thumbnail
from gradcam_eval.report.look import Look
from gradcam_eval.report.plots import cost_figure, curve_figure, heat_table
from gradcam_eval.report.tiles import TILE, label_lines
from gradcam_eval.stats import summarise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plan = Plan(layers=("low/conv", "top"), methods=("grad_cam", "eigen_cam"))
    return read_folder(make_study(tmp_path_factory.mktemp("plots"), plan))


@pytest.fixture(scope="module")
def summary(folder):
    return summarise(folder.records)


def rows_of(summary, folder, index):
    metric = folder.study["metrics"][index]
    return summary[summary["metric"] == metric["name"]], metric


def words(figure):
    found = [t.get_text() for axes in figure.axes for t in axes.texts]
    for axes in figure.axes:
        found += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        found += [t.get_text() for t in axes.get_xticklabels() + axes.get_yticklabels()]
    return found + [t.get_text() for legend in figure.legends for t in legend.get_texts()]


def test_heat_table_writes_every_mean_with_interval_unit_and_n(folder, summary):
    rows, metric = rows_of(summary, folder, 0)
    text = words(heat_table(rows, metric))
    for row in rows[rows["kind"] != "control"].to_dict("records"):
        assert f"{row['mean']:.3f}" in text
        assert f"[{row['low']:.3f}, {row['high']:.3f}]" in text
    title = next(line for line in text if "rise2018" in line)
    for part in ("lower is better", "probability", "95\u00a0%", "n = 5"):
        assert part in title


def test_heat_table_shades_the_better_cell_darker(folder, summary):
    rows, metric = rows_of(summary, folder, 0)
    (image,) = heat_table(rows, metric).axes[0].get_images()
    shade = image.get_array()
    means = rows[rows["kind"] != "control"]["mean"].to_numpy(float).reshape(2, 2)
    assert np.unravel_index(shade.argmax(), (2, 2)) == np.unravel_index(means.argmin(), (2, 2))


def test_curves_are_means_over_images_and_few_stand_out(folder, summary):
    rows, metric = rows_of(summary, folder, 0)
    curves = folder.curves[folder.curves["metric"] == "deletion"]
    figure = curve_figure(curves, rows, metric, last_layer="top")
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    random = next(line for label, line in lines.items() if label.startswith("random"))
    mine = curves[(curves["method"] == "random")].groupby("fraction")["score"].mean()
    np.testing.assert_allclose(random.get_ydata(), mine.to_numpy())
    text = words(figure)
    assert any(t.startswith("best mean, top") for t in text)
    assert sum("n = 5" in t for t in text) == len(text) - len(words_beside_legend(figure))
    thin = [line for line in figure.axes[0].get_lines() if line.get_linewidth() < 1]
    assert len(thin) == 4 - len([t for t in text if t.startswith(("best mean", "last layer"))])


def words_beside_legend(figure):
    legend = {t.get_text() for each in figure.legends for t in each.get_texts()}
    return [t for t in words(figure) if t not in legend]


def test_every_line_point_and_mean_has_its_own_number_of_images(folder):
    records = folder.records
    gone = (records["layer"] == "top") & (records["method"] == "eigen_cam")
    gone &= records["sample"].isin(["disc_0", "disc_1"]) & (records["metric"] == "deletion")
    rows, metric = rows_of(summarise(records[~gone]), folder, 0)
    curves = folder.curves[folder.curves["metric"] == "deletion"]
    missing = (curves["layer"] == "top") & (curves["method"] == "eigen_cam")
    curves = curves[~(missing & curves["sample"].isin(["disc_0", "disc_1"]))]
    figure = curve_figure(curves, rows, metric, last_layer="low/conv")
    legend = [t for t in words(figure) if "n = " in t]
    best = rows[rows["kind"] == "cam"].sort_values("mean").iloc[0]
    for name, count in (
        (f"best mean, {best['layer']}", int(best["n"])),
        ("random", 5),
        ("the other", None),
    ):
        (line,) = [t for t in legend if t.startswith(name)]
        assert line.endswith(f", n = {count}" if count else "n = 3 to 5")
    assert not any("n = " in t for t in words_beside_legend(figure))
    table = words(heat_table(rows, metric))
    assert sum(t.endswith("\nn = 3") for t in table) == 1
    assert sum(t.endswith("\nn = 5") for t in table) == 3
    cost = cost_figure(folder.cost[folder.cost["batch_size"] == 1], rows, metric)
    assert sorted(t.get_text() for t in cost.axes[0].texts) == ["n = 3", *["n = 5"] * 3]


def test_the_one_number_of_a_curve_is_called_what_its_protocol_makes_it(folder, summary):
    rows, metric = rows_of(summary, folder, 0)
    curves = folder.curves[folder.curves["metric"] == "deletion"]
    for area, word in (("mean over the fractions", "mean"), ("trapezoid over …", "area")):
        figure = curve_figure(curves, rows, {**metric, "parameters": {"area": area}})
        assert any(t.startswith("best mean, ") and f": {word} 0." in t for t in words(figure))


def test_curves_with_unlike_fractions_share_a_grid(folder, summary):
    rows, metric = rows_of(summary, folder, 0)
    curves = folder.curves[
        (folder.curves["metric"] == "deletion") & (folder.curves["method"] == "random")
    ]
    short = curves[(curves["sample"] != "disc_0") | (curves.index % 2 == 0)]
    figure = curve_figure(short, rows, metric)
    (line,) = figure.axes[0].get_lines()
    assert len(line.get_xdata()) == 101


def test_every_cell_of_the_best_set_is_marked_and_no_other(folder, summary):
    rows, metric = rows_of(summary, folder, 0)
    cost = folder.cost[folder.cost["batch_size"] == 1]
    best_set = [("top", "grad_cam"), ("low/conv", "eigen_cam")]
    axes = cost_figure(cost, rows, metric, best_set).axes[0]
    (rings,) = [line for line in axes.get_lines() if line.get_label().startswith("the best set")]
    assert rings.get_label() == "the best set: 2 of 4 cells"
    means = rows.set_index(["layer", "method"])["mean"].astype(float)
    assert sorted(rings.get_ydata()) == sorted(means[key] for key in best_set)
    assert not any("best" in text for text in words(cost_figure(cost, rows, metric)))
    bold = [t for t in heat_table(rows, metric, best_set).axes[0].texts if t.get_weight() == "bold"]
    assert sorted(t.get_text() for t in bold) == sorted(f"{means[key]:.3f}" for key in best_set)


def test_cost_figure_has_unit_floor_and_uncertainty(folder, summary):
    rows, metric = rows_of(summary, folder, 1)
    figure = cost_figure(folder.cost[folder.cost["batch_size"] == 1], rows, metric)
    text = " ".join(" ".join(words(figure)).split())
    for part in (
        "ms per image at batch size 1",
        "quartiles",
        "95 % interval",
        "compiled forward pass",
        "n = 5",
    ):
        assert part in text


def test_grid_names_every_row_and_column_and_outlines_the_truth(folder):
    maps = read_maps(folder.maps("toy_net", "disc_0"))
    figure = overlay_grid(maps, caption=["A $name$ of its own", "second line"])
    text = words(figure)
    for word in ("grad_cam", "eigen_cam", "low/conv", "top", "controls", "random", "oracle"):
        assert word in text
    assert "A $name$ of its own" in text
    assert "the image, truth" in text
    figure.canvas.draw()  # a `$` must not be read as mathematics


def test_grid_says_why_a_map_shows_nothing(folder):
    maps = read_maps(folder.maps("toy_net", "disc_0"))
    maps.maps["top", "grad_cam"][:] = 0
    maps.maps["top", "eigen_cam"][:] = -1 - np.eye(maps.maps["top", "eigen_cam"].shape[0])
    del maps.maps["low/conv", "grad_cam"]
    text = [line.replace("\n", " ") for line in words(overlay_grid(maps))]
    assert "the heatmap is all zero" in text
    assert "nothing in the heatmap is positive" in text
    assert "no map" in text


def test_thumbnail_shows_the_image_beside_one_map(folder):
    maps = read_maps(folder.maps("toy_net", "disc_0"))
    assert thumbnail(maps, ("top", "grad_cam"), size=50).shape == (50, 104, 3)
    assert thumbnail(maps, None, size=50).shape == (50, 50, 3)


def test_maps_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK no")
    np.savez(tmp_path / "b.npz", names=json.dumps([["top", "grad_cam"]]))
    np.savez(tmp_path / "c.npz", names=np.array([{}], dtype=object), image=np.zeros((2, 2, 3)))
    good = {
        "names": json.dumps([["top", "grad_cam"]]),
        "image": np.zeros((2, 2, 3), np.uint8),
        "map_0": np.zeros((2, 2), np.float32),
    }
    np.savez(tmp_path / "good.npz", **good)
    whole = (tmp_path / "good.npz").read_bytes()
    at = whole.index(b"map_0.npy") + 150
    (tmp_path / "d.npz").write_bytes(whole[:at] + b"x" + whole[at + 1 :])  # another checksum
    (tmp_path / "e.npz").write_bytes(whole[:-30])
    np.savez(tmp_path / "f.npz", **good | {"image": np.zeros((2, 2, 3))})
    np.savez(tmp_path / "g.npz", **good | {"map_0": np.zeros(4, np.float32)})
    np.savez(tmp_path / "h.npz", **good | {"mask": np.ones((3, 3), bool)})
    np.savez(tmp_path / "i.npz", **good | {"boxes": np.ones(4)})
    np.save(tmp_path / "j", np.ones(3))
    (tmp_path / "j.npy").rename(tmp_path / "j.npz")
    assert read_maps(tmp_path / "good.npz").layers == ["top"]
    for name in "abcdefghij":
        with pytest.raises(InputError, match=f"{name}.npz is not a file of maps"):
            read_maps(tmp_path / f"{name}.npz")


def texts(figure):
    return [each.get_text() for each in figure.axes[0].texts]


def test_maps_of_no_layer_or_several_have_a_row_with_headings_of_their_own():
    tile = np.arange(4, dtype=np.float32).reshape(2, 2)
    maps = {
        ("a", "grad_cam"): tile,
        ("a", "score_cam(channels=16)"): tile,
        ("b", "grad_cam"): tile,
        ("a+b", "fusion_max"): tile,
        ("input", "rise(masks=64)"): tile,
        ("", "random"): tile,
    }
    image = np.zeros((8, 8, 3), np.uint8)
    found = texts(overlay_grid(Maps(image, None, np.zeros((0, 4), np.float32), maps)))
    assert found.count("no map") == 1  # score_cam at b, and nothing for rows that share no method
    order = ["grad_cam", "score_cam", "(channels=16)", "fusion_max", "rise", "(masks=64)", "random"]
    assert [each for each in found if each in order] == order
    assert [each for each in found if each in ("a", "b", "a+b", "input", "controls")] == [
        "a", "b", "a+b", "input", "controls",
    ]  # fmt: skip


def test_a_long_name_of_many_layers_is_broken_off():
    path = "+".join(f"block{i}_expand_activation" for i in range(9))
    lines = label_lines(path)
    assert len(lines) == 5
    assert lines[0] == "block0_expand_"
    assert lines[-1] == "…"


@pytest.mark.parametrize("fit", ["squash", "crop", "letterbox"])
def test_on_a_photograph_the_truth_lies_where_the_map_does(fit):
    """The box of a bright patch is outlined round that patch, whatever shape the image has."""
    photo = np.zeros((60, 120, 3), np.uint8)
    photo[20:40, 50:80] = 255
    frame = Framing(fit).frame((60, 120), (40, 40))
    box = frame.box((50, 20, 80, 40))
    boxes = np.asarray(box, np.float32)[None]
    maps = Maps(photo, None, boxes, {("a", "m"): np.eye(4, dtype=np.float32)}, frame)
    (x0, x1), (y0, y1) = _to_tile(maps, 0, 0)(boxes[0, ::2], boxes[0, 1::2])
    scale = TILE / 120
    shown = np.array([x0, y0 - TILE / 4, x1, y1 - TILE / 4]) / scale
    np.testing.assert_allclose(shown, [50, 20, 80, 40], atol=1)
    assert maps.overlay(("a", "m"), Look()).shape == photo.shape
