"""The stage `report` on the finished study of drawings: what it says of selection, merging and how images were made."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_aggrgan.data import read_image_array, read_manifest, write_image_array
from monai_aggrgan.evaluation.ablation import verdicts
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.picture import picture_of

CLASSES = ("disc", "square")
LABELS = {"dcgan1": "DCGAN-1", "dcgan2": "DCGAN-2", "wgan_div": "WGAN-div"}


def page_of(study: Path) -> str:
    return (study / "report" / "report.html").read_text(encoding="utf-8")


def test_selection_counts_different_images_shares_and_scores(finished):
    table = read_manifest(finished / "report", name="selection.csv")
    cases = [(name, metric, generator) for name in CLASSES for metric in ("ssim", "psnr") for generator in LABELS]
    for line, (class_name, metric, generator) in zip(table, cases, strict=True):
        assert (line["class_name"], line["metric"], line["generator"]) == (
            class_name,
            metric.upper(),
            LABELS[generator],
        )
        assert (line["pool"], line["references"]) == ("16", "3")
        rows = read_manifest(finished / "select" / class_name / metric / generator)
        assert int(line["candidates"]) == len({row["index"] for row in rows})
        assert float(line["mean_score"]) == pytest.approx(sum(float(row["score"]) for row in rows) / 3, abs=1e-6)
        aggregates = read_manifest(finished / "aggregate" / class_name / f"aggregate_{metric}")
        merged = [
            seed
            for row in aggregates
            for name, seed in zip(row["generators"].split("+"), row["seed"].split("+"), strict=True)
            if name == generator
        ]
        assert int(line["chosen"]) == len({*merged})
        assert float(line["share"]) == pytest.approx(len(merged) / 6)  # two candidates a reference are merged


def test_the_page_shows_the_tables_and_says_what_merging_is_worth(finished):
    page = page_of(finished)
    assert 'id="selection"' in page and 'id="merging"' in page
    sentences = verdicts(read_manifest(finished / "report", name="results.csv"))
    assert len(sentences) == len(CLASSES) and all(f"<p>{sentence}</p>" in page for sentence in sentences)
    table = read_manifest(finished / "report", name="ablation.csv")
    assert len(table) == 6 * len(CLASSES)  # five ways, and real slices
    for line in table:
        assert all(f">{line[column]}<" in page for column in ("SSIM", "SSIM gain", "Held-out gain"))
    for name in ("selection.csv", "ablation.csv", "ablation.md"):
        assert f'href="{name}"' in page and (finished / "report" / name).is_file()
    for stage in ("prepare", "train", "generate", "select", "aggregate", "stylise", "evaluate"):
        assert f'<tr><th scope="row">{stage}</th>' in page[page.index('id="time"') :]


@pytest.mark.parametrize("class_name", CLASSES)
def test_the_picture_of_a_class_is_that_of_one_of_its_images(study_of, finished, class_name):
    path = finished / "report" / f"figure8_{class_name}.png"
    assert base64.b64encode(path.read_bytes()).decode() in page_of(finished)
    shown = np.asarray(Image.open(path))
    ids = [row["reference"] for row in read_manifest(finished / "aggregate" / class_name / "aggregate_ssim")]
    pictures = [picture_of(study_of(finished).settings, image) for image in ids]
    assert [np.array_equal(shown, picture) for picture in pictures].count(True) == 1


def test_without_ablation_there_is_no_table_of_it(study_of, copied):
    study_of(copied, ablation=False).run("evaluate", "report")
    methods = {row["method"] for row in read_manifest(copied / "report", name="results.csv")}
    assert methods and not [method for method in methods if method.startswith("ablation")]
    assert not [path for path in (copied / "report").iterdir() if path.name.startswith("ablation")]
    page = page_of(copied)
    assert "SSIM gain" not in page and "merging by edges" not in page and 'href="ablation' not in page
    assert (copied / "report" / "figure8_disc.png").is_file() and 'id="merging"' in page


def test_another_pool_is_told_even_where_the_same_images_were_chosen(study_of, copied):
    folder = copied / "generate" / "disc" / "dcgan1"
    images, rows = read_image_array(folder)
    write_image_array(folder, torch.cat([images, images[:1]]), [*rows, rows[0]])
    with pytest.raises(InputError, match="dcgan1 is older than what it was made from: run the stage `select` again"):
        study_of(copied).run("report")
    study_of(copied).run("select", "aggregate", "stylise", "evaluate", "report")
    assert [row["pool"] for row in read_manifest(copied / "report", name="selection.csv")][:2] == ["17", "16"]


def test_stages_that_were_passed_over_must_run_before_the_report(study_of, copied):
    study_of(copied, matching="unique").run("select")
    with pytest.raises(InputError, match="run the stage `aggregate` again, and those after it"):
        study_of(copied, matching="unique").run("report")
    study_of(copied, matching="unique").run()
    study_of(copied, matching="unique").run("report")


def test_baselines_are_trained_beside_and_have_a_table_and_a_figure_of_their_own(study_of, copied):
    before = {path: path.stat().st_mtime_ns for path in (copied / "train").rglob("generator.pt")}
    study_of(copied, baselines="lsgan").run()
    after = {path: path.stat().st_mtime_ns for path in (copied / "train").rglob("generator.pt")}
    assert {path.parent.name for path in after.keys() - before.keys()} == {"lsgan"}
    assert all(after[path] == time for path, time in before.items())
    table = read_manifest(copied / "report", name="baselines.csv")
    assert [row["Method"] for row in table if row["Category"] == "disc"][:2] == ["LSGAN", "AGGrGAN (SSIM)"]
    assert not [row for row in read_manifest(copied / "report", name="table1.csv") if row["Method"] == "LSGAN"]
    assert not (copied / "stylise" / "disc" / "lsgan+style").exists()
    claims = read_manifest(copied / "report", name="claims.csv")
    assert {row["table"] for row in claims} >= {"Table 1", "Table 3"}
    page = page_of(copied)
    assert "layout of its Table 3" in page and 'href="baselines.tex"' in page
    picture = base64.b64encode((copied / "report" / "figure5.png").read_bytes()).decode()
    assert picture in page


def test_the_report_tells_the_options_that_the_study_was_made_with(study_of, copied):
    """Whoever runs the report alone gives it few options, and must not be told the defaults of the others."""
    given = study_of(copied, dataset_dir=None, datalist=None, references=300, pool_size=1024, style_iterations=2000)
    given.run("report", again=True)
    settings = json.loads((copied / "report" / "report.json").read_text(encoding="utf-8"))["facts"]["settings"]
    assert [settings[name] for name in ("references", "pool_size", "style_iterations", "image_size")] == [3, 16, 2, 16]


def test_a_report_does_without_checkpoints_that_are_gone_or_damaged(study_of, copied):
    for number, path in enumerate(sorted((copied / "train").rglob("checkpoint_*.pt"))):
        path.write_bytes(b"damaged") if number % 2 else path.unlink()
    study_of(copied).run("report", again=True)
    trainings = json.loads((copied / "report" / "report.json").read_text(encoding="utf-8"))["facts"]["trainings"]
    assert {row["checkpoint"] for row in trainings} == {"epoch 2, the last one: nothing chose"}
    assert {row["restarts"] for row in trainings} == {""}
