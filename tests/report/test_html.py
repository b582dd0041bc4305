import base64
import hashlib
import io
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from study_folder import CONTROLS, Plan, make_study

from gradcam_eval.core import InputError
from gradcam_eval.report import html, pictures
from gradcam_eval.report.answer import answer
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.html import write_report
from gradcam_eval.report.ranking_text import headings
from gradcam_eval.report.tables import summary_table
from gradcam_eval.results import Results
from gradcam_eval.stats import summarise

TINY = {"layers": ("top",), "methods": ("grad_cam",), "samples": ("disc_0", "disc_1")}


def said(folder, model="toy_net"):
    results = read_folder(folder)
    return answer(results, summarise(results.records), model)


def whole(sentence):
    return " ".join((sentence.lead, sentence.text, *sentence.points)).replace("\u00a0", " ")


def edit(folder, **changes):
    study = json.loads((folder / "study.json").read_text()) | changes
    (folder / "study.json").write_text(json.dumps(study))


def test_page_has_its_sections_in_order_and_asks_for_nothing(report):
    page = report.read_text(encoding="utf-8")
    ids = re.findall(r'<h2 id="(\w+)"', page)
    wanted = "answer summary matrix curves cost seen overlays missing how limits"
    assert ids == wanted.split()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "url(" not in page
    assert "@import" not in page
    assert '<html lang="en">' in page
    assert len(page) < 15_000_000


def test_untrusted_names_are_escaped(report):
    page = report.read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror" in page
    assert page.count("<script") == 1
    assert "&lt;script&gt;window.pwned=1" in page


def test_a_direction_that_a_name_turns_ends_with_the_name(tmp_path):
    """An override in a name must not write what the page says behind it from right to left."""
    turned = "a\u202egpj.exe"
    plan = Plan(**TINY | {"samples": ("disc_0", turned, "disc_2", "c\u202e")}, failed=("c\u202e",))
    page = write_report(make_study(tmp_path, plan)).read_text("utf-8")
    parts = page.split("\u202e")
    assert len(parts) > 8  # in tables, headings, alternative texts and labels
    for before, after in itertools.pairwise(parts):
        assert before.rfind("\u2068") > before.rfind("\u2069")  # inside an isolate
        assert "\u2069" in re.split('[<"]', after)[0]  # which ends in the same text


def test_policy_names_the_hashes_of_script_and_style(report):
    page = report.read_text(encoding="utf-8")
    for tag in ("script", "style"):
        (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in page.replace("&#39;", "'")


def test_pictures_are_saved_and_embedded_with_alternative_text(report):
    home = report.parent
    assert (home / "overlays/toy_net/disc_0.png").is_file()
    assert (home / "curves/toy_net/deletion_rise2018.png").is_file()
    assert (home / "figures/toy_net/pointing_game_pointing2018_table.png").is_file()
    assert (home / "figures/toy_net/insertion_rise2018_cost.png").is_file()
    page = report.read_text(encoding="utf-8")
    images = re.findall(r'<img src="data:image/webp;base64,([^"]+)"[^>]* alt="([^"]*)"', page)
    assert len(images) == page.count("<img ")
    # Two curves, three cost charts, and a thumbnail and a grid for each of three images.
    assert len(images) == 2 + 3 + 2 * 3
    for data, alt in images:
        assert alt
        Image.open(io.BytesIO(base64.b64decode(data))).verify()


def test_numbers_of_the_page_are_those_of_the_summary(report):
    page = report.read_text(encoding="utf-8")
    summary = summarise(read_folder(report.parent).records)
    table = page[page.index('<table class="summary"') : page.index('<h2 id="matrix"')]
    for row in summary.to_dict("records"):
        assert f'data-value="{row["mean"]}"' in table
    assert 'class="num group best"' not in table  # three images show no best cell
    for control in CONTROLS:
        assert control.replace("_", "_<wbr>") in table[table.index('class="controls"') :]


def test_failed_image_and_settings_are_shown(report):
    page = report.read_text(encoding="utf-8")
    assert "the file ends too early" in page[page.index('id="missing"') :]
    how = page[page.index('id="how"') :]
    for part in ("tolerance", "15", "1792", "fingerprint", "0123456789abcdef", "packages.keras"):
        assert part in how
    assert "a test of a whole family at once, paired by image, at an error rate of 0.05" in how
    assert "No correction" not in how


def test_budget_turns_pictures_into_links_to_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "BUDGET", 0)
    plan = Plan(**TINY | {"samples": ("odd name#1",)}, cost=False)
    page = write_report(make_study(tmp_path, plan)).read_text(encoding="utf-8")
    assert "<img" not in page
    assert 'href="overlays/toy_net/odd%20name%25231.png"' in page


@pytest.mark.parametrize(
    ("plan", "present", "absent"),
    [
        (Plan(**TINY, cost=False), "This study did not measure cost", "Traceback"),
        (Plan(**TINY, truth=False), "nobody annotated this image", "labelled images"),
        (Plan(**TINY, everything_undefined=True), "No metric has a value", "is best:"),
        (Plan(**TINY, failed=("disc_0", "disc_1")), "No metric has a value", "is best:"),
        (Plan(**TINY, models=("a_net", "b_net")), "Summary table of b_net", "Traceback"),
        (Plan(**TINY | {"samples": ("disc_0",)}), "1 independent image cannot", "shown to be"),
    ],
    ids=["no cost", "no truth", "undefined", "all failed", "two models", "one image"],
)
def test_unusual_studies_give_a_sensible_page(tmp_path, plan, present, absent):
    page = write_report(make_study(tmp_path, plan)).read_text(encoding="utf-8")
    text = re.sub(r'base64,[^"]+', "", page)
    text = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    assert present in text
    assert absent not in text
    assert ('id="models"' in text) == (len(plan.models) > 1)
    assert not re.search(r">\s*(nan|None|&lt;NA&gt;)\s*<", text)


MANY = tuple(f"disc_{n:02}" for n in range(12))


def test_answer_names_the_best_set_the_differences_and_the_cost(tmp_path):
    found = said(make_study(tmp_path, Plan(samples=MANY)))
    text = " ".join(map(whole, found.sentences))
    assert "12 images, 9 cells (3 layers × 3 methods)" in text
    assert "By deletion, 3 of 9 cells are in the best set (top_activation · eigen_cam, top" in text
    assert "the best mean on 12 images is" in text
    assert "it is optimistic" in text
    assert "9 of 9 cells are shown to be better than the control random; top_activation ·" in text
    assert "right on 12 of 12 labelled images (1.000 [0.758, 1.000])" in text
    assert "By insertion (exploratory)" in text
    assert "the compiled forward pass takes 20.0 ms" in text
    assert re.search(r"choose the same cell in \d+ % of splits; equal cells would in \d+ %", text)
    assert "is undetermined" in text or "The metric works here" in text
    assert found.winners == {}
    assert not any("as good a mean" in warning for warning in found.warnings)


def test_the_first_sentence_recommends_the_cheapest_of_the_best_set(tmp_path):
    folder = make_study(tmp_path, Plan(samples=MANY))
    first = whole(said(folder).sentences[0])
    assert "Use top_activation · grad_cam: by deletion (12 images) 3 cells are in the" in first
    assert "it is the cheapest of them (22.0 ms an image)" in first
    five = make_study(tmp_path / "five", Plan(methods=("grad_cam",)))
    assert "No recommendation: 5 independent images cannot" in whole(said(five).sentences[0])


def test_five_images_make_no_claim(tmp_path):
    found = said(make_study(tmp_path, Plan(methods=("grad_cam", "eigen_cam"))))
    text = " ".join(map(whole, found.sentences))
    assert "5 independent images cannot tell cells apart (a claim needs 6)" in text
    for claim in ("shown to be", "is the best of", "in the best set", "The metric"):
        assert claim not in text
    assert any("Only 5 independent images: a claim needs 6" in w for w in found.warnings)


def test_half_of_many_images_gives_the_winner_s_own_number(tmp_path):
    samples = tuple(f"disc_{n:02}" for n in range(24))
    folder = make_study(tmp_path, Plan(methods=("grad_cam",), samples=samples, cost=False))
    deletion = said(folder).sentences[2]
    assert deletion.lead == "By deletion, top_activation · grad_cam is the best of 3 cells:"
    assert re.search(r"on the other half its value is 0\.\d+ \[.*\] on 12 images", deletion.text)
    assert said(folder).winners["deletion", "rise2018"] == ("top_activation", "grad_cam")
    edit(folder, analysis={"choose": "all"})
    assert "it is optimistic" in said(folder).sentences[2].text
    edit(folder, analysis={"choose": "some"})
    with pytest.raises(InputError, match="has no valid analysis"):
        said(folder)


def test_the_declared_level_is_that_of_every_interval_and_every_word(tmp_path, monkeypatch):
    """Summaries had 95 % whatever the study declared."""
    plan = Plan(("toy_net", "other"), ("top",), ("grad_cam",), MANY[:3], cost=False)
    folder = make_study(tmp_path, plan)
    usual = Results(folder).summary()
    edit(folder, analysis={"level": 0.2})
    monkeypatch.setattr(html, "overlays", lambda *_: [])  # pictures cost seconds and have no level
    monkeypatch.setattr(html, "charts", lambda *_: {"curves": [], "costs": [], "ranks": []})
    page = write_report(folder).read_text(encoding="utf-8")
    assert page.count("80\u00a0%") > 5
    assert not re.search(r"95\s%|error rate of 0\.05", page)
    loose = Results(folder).summary()
    assert (loose["confidence"] == 0.8).all()
    known = usual["low"].notna() & (usual["low"] < usual["high"])
    assert (loose["low"] >= usual["low"])[known].all()
    assert (loose["high"] - loose["low"] < usual["high"] - usual["low"])[known].all()
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table(loose))
    assert "mean [80\u00a0% interval]" in console.file.getvalue()
    ranks = Results(folder).ranks()
    assert ranks.level == 0.2
    assert headings(ranks)[1] == "top-1 [80\u00a0% interval]"


def test_no_interval_of_the_page_leaves_the_range_of_its_metric(tmp_path):
    folder = make_study(tmp_path, Plan(samples=MANY, methods=("grad_cam",), cost=False))
    study = json.loads((folder / "study.json").read_text())
    low, high = 0.25, 0.3  # of some values: the mean stays in its interval, and ends are cut
    edit(folder, metrics=[each | {"range": f"{low}..{high}"} for each in study["metrics"]])
    rows = Results(folder).summary()
    rows = rows[(rows["metric"] != "pointing_game") & rows["low"].notna()]
    assert (rows["low"] >= np.minimum(rows["mean"], low)).all()
    assert (rows["high"] <= np.maximum(rows["mean"], high)).all()
    ends = rows[["difference_low", "difference_high"]].dropna().to_numpy(float)
    assert (np.abs(ends) <= high - low + 1e-9).all()
    table = Results(folder).compare_all("deletion")
    assert (table[["low", "high"]].abs().max() <= high - low + 1e-9).all()


def test_cells_compete_on_the_images_that_they_share(tmp_path):
    plan = Plan(layers=("top",), methods=("grad_cam", "eigen_cam"), samples=MANY)
    folder = make_study(tmp_path, plan)
    records = pd.read_csv(folder / "records.csv", keep_default_na=False, dtype=str)
    scored = (records["metric"] == "deletion") & (records["layer"] != "")
    usual, other = (scored & (records["method"] == name) for name in ("grad_cam", "eigen_cam"))
    values = np.linspace(0.1, 0.4, 12)
    records.loc[usual, "value"] = [*map(str, values[:8]), *[""] * 4]
    records.loc[usual, "status"] = ["value"] * 8 + ["undefined"] * 4
    worse = [*map(str, values[:8] + 0.01), *["0.0"] * 4]  # lower is better: a better mean of all 12
    records.loc[other, "value"] = worse
    records.to_csv(folder / "records.csv", index=False)
    deletion = said(folder).sentences[2]
    assert deletion.lead == "By deletion, top · grad_cam is the best of 2 cells:"
    assert "the best mean on 8 images" in deletion.text
    assert any("compete on the 8 that all share" in w for w in said(folder).warnings)
    keep = usual & (records["value"].isin([*map(str, values[:5])]))
    records.loc[usual & ~keep, ["status", "value"]] = "undefined", ""
    records.to_csv(folder / "records.csv", index=False)
    assert said(folder).sentences[2].lead == "By deletion, top · eigen_cam is the only cell:"
    assert any("1 cell with values on fewer than half" in w for w in said(folder).warnings)


def test_answer_takes_what_float32_rounds_for_equal(tmp_path):
    folder = make_study(tmp_path, Plan(methods=("grad_cam", "hires_cam"), samples=MANY))
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    scored = (records["metric"] == "deletion") & (records["layer"] != "")
    of = {name: scored & (records["method"] == name) for name in ("grad_cam", "hires_cam")}
    values = records.loc[of["grad_cam"], "value"].astype(float)
    records.loc[of["hires_cam"], "value"] = (values - 1e-9).to_numpy()
    records.to_csv(folder / "records.csv", index=False)
    deletion = said(folder).sentences[2]
    assert deletion.lead.startswith("By deletion, 2 of 6 cells are in the best set (top_activation")
    assert "No cell is shown to be better than grad_cam at the last layer" in whole(deletion)


def test_answer_counts_layers_and_reads_ratios_where_the_page_does(tmp_path):
    folder = make_study(tmp_path, Plan(methods=("grad_cam",)))
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    mine = records[records["layer"] == "top_activation"]
    at_no_layer = mine.assign(layer="input", method="gradient")
    pd.concat([records, at_no_layer]).to_csv(folder / "records.csv", index=False)
    cost = pd.read_csv(folder / "cost.csv", keep_default_na=False)
    cost.loc[cost["layer"] == "block2_expand", "ratio_to_forward"] = 3.5
    cost.to_csv(folder / "cost.csv", index=False)
    text = " ".join(sentence.text for sentence in said(folder).sentences)
    assert "5 images, 4 cells (3 layers and 2 methods)." in text
    assert "a heatmap takes 1.10 to 3.50 times that" in text


def test_a_control_that_beats_every_cell_means_that_the_metric_fails(tmp_path):
    found = said(make_study(tmp_path, Plan(strong_centre=True, samples=MANY)))
    text = whole(found.sentences[2])
    assert "The metric fails here: the control centre_gaussian is shown to be better" in text
    assert any(
        "By deletion the control centre_gaussian" in w and "as good a mean" in w
        for w in found.warnings
    )
    first = whole(found.sentences[0])
    assert "No recommendation: deletion fails here, since the control centre_gaussian is" in first


def test_answer_warns_where_metrics_disagree(tmp_path):
    folder = make_study(tmp_path, Plan(methods=("grad_cam",), samples=MANY))
    metrics = json.loads((folder / "study.json").read_text())["metrics"][:2]
    assert not any("disagree" in w for w in said(folder).warnings)
    edit(folder, metrics=[metrics[0], metrics[1] | {"higher_is_better": False}])
    assert any(
        "The metrics disagree: deletion excludes the best set of insertion" in w
        for w in said(folder).warnings
    )


def test_terminal_table_fits_and_shows_markup_as_text(tmp_path):
    plan = Plan(layers=("[red]block4_2_expand_activation", "top"))
    summary = summarise(read_folder(make_study(tmp_path, plan)).records)
    console = Console(width=110, file=io.StringIO())
    console.print(summary_table(summary))
    lines = console.file.getvalue().splitlines()
    assert any("[red]block4" in line for line in lines)
    assert len(lines) == 3 + len(summary) // 3 + 1
    row = summary.iloc[0]
    assert f"{row['mean']:.3f}"[1:] in lines[3]
    assert "n = 5" in lines[2]


def test_terminal_table_says_which_direction_is_better(tmp_path):
    found = read_folder(make_study(tmp_path, Plan(**TINY)))
    console = Console(width=110, file=io.StringIO())
    console.print(summary_table(summarise(found.records), metrics=found.study["metrics"]))
    said = console.file.getvalue()
    assert said.splitlines()[0].split() == ["deletion", "↓", "insertion", "↑", "pointing_game", "↑"]
    assert "↑ higher is better, ↓ lower is better" in " ".join(said.split())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "study.json").unlink(), "is not a results folder"),
        (lambda f: (f / "study.json").write_text("{"), "not valid JSON"),
        (lambda f: edit(f, format=9), "format 9"),
        (lambda f: (f / "records.csv").unlink(), "has no records.csv"),
        (lambda f: (f / "images.csv").write_text("model\nx\n"), "has no column sample"),
    ],
)
def test_broken_folders_are_refused(tmp_path, spoil, message):
    folder = make_study(tmp_path, Plan(**TINY))
    spoil(folder)
    with pytest.raises(InputError, match=message):
        write_report(folder)


def test_unreadable_maps_are_named_and_end_nothing(tmp_path):
    folder = make_study(tmp_path, Plan(**TINY))
    (folder / "maps/toy_net/disc_0.npz").write_bytes(b"junk")
    page = write_report(folder).read_text(encoding="utf-8")
    assert "disc_0.npz is not a file of maps" in page
    assert (folder / "overlays/toy_net/disc_1.png").is_file()


def test_a_name_cannot_lead_out_of_the_folder(tmp_path):
    folder = make_study(tmp_path / "study", Plan(**TINY))
    (tmp_path / "outside.npz").write_bytes(b"secret")
    assert read_folder(folder).maps("toy_net", "../../../outside") is None


def test_report_does_not_import_tensorflow(tmp_path):
    folder = make_study(tmp_path, Plan(**TINY))
    code = (
        "import sys; from gradcam_eval.report.html import write_report; "
        f"write_report({str(folder)!r}); "
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_column_of_ties_stands_behind_the_metric_that_has_them(tmp_path):
    folder = make_study(tmp_path / "toy", Plan(layers=("top",), methods=("grad_cam",), cost=False))
    plain = write_report(folder).read_text(encoding="utf-8")
    assert "row by row" not in plain
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    has_ties = records["metric"] == "insertion"
    records["tie_shift"] = np.where(has_ties, -0.0421, np.nan)
    records["tie_spread"] = np.where(has_ties, 0.0001, np.nan)
    records.to_csv(folder / "records.csv", index=False)
    page = write_report(folder).read_text(encoding="utf-8")
    (table,) = re.findall(r'<table class="summary">.*?</table>', page, re.DOTALL)
    assert re.findall(r'colspan="(\d)" scope="colgroup"', table) == ["3", "4", "3"]
    assert 'colspan="12" scope="rowgroup"' in table
    assert re.findall(r'data-column="(\d+)"', table) == [str(n) for n in range(2 + 3 + 4 + 3)]
    assert 'data-column="8" data-first="descending"><button type="button">row by row<' in table
    rows = [row for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL) if "data-value" in row]
    assert len(rows) == 1 + len(CONTROLS)
    for row in rows:
        cells = re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.DOTALL)
        assert len(cells) == 12
        assert cells[8] == '<td class="num" data-value="-0.0421">−0.042<small>± 0.000</small></td>'


def test_two_protocols_of_one_metric_stand_side_by_side(tmp_path):
    deletion = ("deletion", "rise2018", False, "probability", "area as pixels are removed")
    two = (deletion, ("deletion", "gaussian_clean", *deletion[2:]))
    folder = make_study(tmp_path, Plan(**TINY, cost=False, metrics=two))
    leads = [sentence.lead for sentence in said(folder).sentences]
    for name in ("rise2018", "gaussian_clean"):
        assert any(lead.startswith(f"By deletion ({name}), ") for lead in leads)
    page = write_report(folder).read_text(encoding="utf-8")
    for name in ("rise2018", "gaussian_clean"):
        assert f"Mean deletion ({name}) curves of toy_net" in page
    curves = sorted(path.name for path in (folder / "curves" / "toy_net").iterdir())
    assert curves == ["deletion_gaussian_clean.png", "deletion_rise2018.png"]
    drawn = [(folder / "curves" / "toy_net" / name).read_bytes() for name in curves]
    assert drawn[0] != drawn[1]
