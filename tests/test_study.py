"""A whole study on tiny drawings, from files to report."""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, load_decathlon_datalist
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.engines import LatentGanTrainer
from monai_aggrgan.exceptions import InputError, TrainingDiverged
from monai_aggrgan.handlers import latest_checkpoint
from monai_aggrgan.stages import read_record

CLASSES = ("disc", "square")
GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
SINGLE = (*GENERATORS, *(f"{name}+style" for name in GENERATORS))
AGGREGATED = ("aggregate_ssim", "aggregate_psnr", "aggrgan_ssim", "aggrgan_psnr")
ABLATION = ("best_single", "mean", "metric_weighted", "edge_weighted", "edge_function")
STEPS = ("steps_000", "steps_010", "steps_001", "steps_011")
METHODS = {*SINGLE, *AGGREGATED, *(f"ablation_{name}" for name in ABLATION), *STEPS, "real"}
JUDGED = METHODS | {"steps_100", "steps_101"}
REFERENCES, POOL_SIZE = 3, 16


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def changed(folder: Path, before: dict[Path, int]) -> set[str]:
    """Stages of which a file is new, gone or was written anew."""
    after = times(folder)
    paths = {path for path in {**before, **after} if before.get(path) != after.get(path)}
    return {path.relative_to(folder).parts[0] for path in paths}


def test_every_stage_leaves_its_folder_a_manifest_and_a_record(finished):
    for class_name in CLASSES:
        assert (finished / "prepare" / class_name / "images.npy").is_file()
        for generator in GENERATORS:
            names = {path.name for path in (finished / "train" / class_name / generator).iterdir()}
            assert names >= {"generator.pt", "checkpoint_2.pt", "tensorboard", "stage.json"}
            assert len(read_manifest(finished / "generate" / class_name / generator)) == POOL_SIZE
        for metric, searched in {"ssim": {*GENERATORS, "real"}, "psnr": {*GENERATORS}}.items():
            folders = {path.name: path for path in (finished / "select" / class_name / metric).iterdir()}
            assert set(folders) == searched
            assert all(len(read_manifest(folder)) == REFERENCES for folder in folders.values())
        aggregates, styled = (finished / stage / class_name for stage in ("aggregate", "stylise"))
        made = {path.name: path for path in (*aggregates.iterdir(), *styled.iterdir())}
        assert set(made) == METHODS
        for folder in made.values():
            rows = read_manifest(folder)
            assert len(rows) == REFERENCES
            assert all((folder / row["file"]).is_file() and (folder / row["preview"]).is_file() for row in rows)
    assert all(json.loads(path.read_text())["finished"] for path in finished.rglob("stage.json"))
    assert not [path for path in finished.rglob("*") if "partial" in path.name]


def test_a_manifest_says_how_an_image_came_about(finished):
    folder = finished / "stylise" / "disc" / "aggrgan_ssim"
    before = {row["reference"]: row for row in read_manifest(finished / "aggregate" / "disc" / "aggregate_ssim")}
    for row in read_manifest(folder):
        assert (row["class_name"], row["method"]) == ("disc", "aggrgan_ssim")
        assert row["style_image"] == row["reference"] and row["reference"].startswith("disc/")
        assert row["seed"] == before[row["reference"]]["seed"] and len(row["seed"].split("+")) == 2
        assert all(int(seed) < POOL_SIZE for seed in row["seed"].split("+"))
        assert set(row["generators"].split("+")) <= set(GENERATORS)
        assert len(row["sha256"]) == 64 and row["iterations"] == "2"
        pixels = np.asarray(Image.open(folder / row["preview"]))
        assert pixels.shape == (16, 16) and pixels.dtype == np.uint8


def test_results_have_one_row_an_image_in_the_documented_columns(finished):
    rows = read_manifest(finished / "report", name="results.csv")
    numbers = [
        f"{metric}_{pairing}"
        for pairing in ("paired", "nearest", "random", "held_out_nearest")
        for metric in ("ssim", "psnr", "kl", "sd")
    ]
    told = {"class_name", "method", "file", "reference", "patient", "seed", "nearest_training", "nearest_held_out"}
    assert set(rows[0]) == {*told, *numbers}
    assert len(rows) == len(CLASSES) * len(JUDGED) * REFERENCES
    assert {(row["class_name"], row["method"]) for row in rows} == {(c, m) for c in CLASSES for m in JUDGED}
    for row in rows:
        assert (finished / row["file"]).is_file()
        for name in numbers:
            value = float(row[name])
            assert math.isfinite(value) or (value == math.inf and name.startswith(("psnr", "sd")))
        assert -1 <= float(row["ssim_paired"]) <= 1 and float(row["kl_paired"]) >= 0
        assert float(row["ssim_nearest"]) >= float(row["ssim_paired"]) - 1e-5


def test_real_slices_meet_no_slice_of_their_own_patient(finished):
    patient = {row["id"]: row["patient"] for row in read_manifest(finished / "prepare")}
    for class_name in CLASSES:
        folder = finished / "aggregate" / class_name / "real"
        image_of = {f"aggregate/{class_name}/real/{row['file']}": row["image_of"] for row in read_manifest(folder)}
        rows = read_manifest(finished / "report", name="results.csv")
        real = [row for row in rows if (row["class_name"], row["method"]) == (class_name, "real")]
        assert len(real) == REFERENCES
        for row in real:
            assert patient[image_of[row["file"]]] != patient[row["nearest_held_out"]]
            assert patient[image_of[row["file"]]] != patient[row["nearest_training"]]


def test_table_1_has_the_papers_eight_rows_a_class_and_the_real_one(finished):
    lines = (finished / "report" / "table1.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["Category", "Method", "SSIM", "PSNR", "KL-divergence", "SD", "n"]
    methods = ["DCGAN-1", "DCGAN-1 + style transfer", "DCGAN-2", "DCGAN-2 + style transfer"]
    methods += ["WGAN-div", "WGAN-div + style transfer", "AGGrGAN (SSIM)", "AGGrGAN (PSNR)"]
    methods += [f"Real (held-out patients){pairing}" for pairing in ("", ", nearest", ", random", ", held-out nearest")]
    assert [row[1] for row in cells[2:]] == methods * len(CLASSES)
    assert [row[0] for row in cells[2::12]] == list(CLASSES)
    assert {row[6] for row in cells[2:]} == {str(REFERENCES)}
    assert "**" in "\n".join(lines)


def test_table_1_holds_the_means_of_the_results(finished):
    rows = read_manifest(finished / "report", name="results.csv")
    table = read_manifest(finished / "report", name="table1.csv")
    means = {(line["Category"], line["Method"]): float(line["SSIM"]) for line in table}
    mine = [float(r["ssim_paired"]) for r in rows if (r["class_name"], r["method"]) == ("disc", "aggrgan_ssim")]
    assert means["disc", "AGGrGAN (SSIM)"] == pytest.approx(sum(mine) / len(mine), abs=6e-4)


def test_the_report_is_one_page_that_says_what_must_not_be_missed(finished):
    page = (finished / "report" / "report.html").read_text(encoding="utf-8")
    assert "These are drawings." in page and "weights are random" in page
    assert "Patients are unknown" not in page
    pictures = 4 + 4 * len(CLASSES)  # real images, two of curves, Fig. 3; a class: Fig. 8, two of pairs, a gallery
    assert page.count("data:image/png;base64,") == pictures
    for name in ("results.csv", "table1.md", "pairings.csv", "selection.csv", "ablation.csv", "ablation.md"):
        assert f'href="{name}"' in page and (finished / "report" / name).is_file()
    assert "AGGrGAN (PSNR)" in page and "<script src" not in page and 'src="http' not in page


def test_the_synthetic_data_set_can_be_trained_on_with_monai(finished):
    folder = finished / "synthetic"
    items = load_decathlon_datalist(folder / "datalist.json", is_segmentation=False, base_dir=folder)
    labels = json.loads((folder / "datalist.json").read_text())["labels"]
    assert len(items) == len(CLASSES) * REFERENCES
    assert {labels[str(item["label"])] for item in items} == set(CLASSES)
    assert all(labels[str(item["label"])] == Path(item["image"]).parent.name for item in items)
    load = Compose([LoadImaged("image"), EnsureChannelFirstd("image", channel_dim="no_channel")])
    loader = DataLoader(CacheDataset(items, load, progress=False), batch_size=4, shuffle=True)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16 * 16, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    batch = next(iter(loader))
    assert batch["image"].shape == (4, 1, 16, 16) and batch["image"].dtype == torch.float32
    assert batch["image"].min() >= 0 and batch["image"].max() <= 1 and batch["image"].std() > 0
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(network(batch["image"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


def test_synthetic_files_are_those_of_the_stage_stylise(finished):
    for row in read_manifest(finished / "synthetic"):
        name = Path(row["file"]).name
        source = finished / "stylise" / row["class_name"] / "aggrgan_ssim" / name
        assert (finished / "synthetic" / row["file"]).read_bytes() == source.read_bytes()
        assert (finished / "synthetic" / row["file"]).with_name(name.replace(".nii.gz", ".png")).is_file()


def curves(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


PARTS = ("generator", "critic")


@pytest.mark.parametrize("generator", GENERATORS)
def test_tensorboard_shows_every_term_scores_samples_and_held_out_metrics(finished, generator):
    accumulator = curves(finished / "train" / "square" / generator)
    terms = {"critic/real", "critic/fake", "critic/score_real", "critic/score_fake", "critic/certainty"}
    terms |= {"generator/adversarial", "generator/diversity"}
    terms |= {"critic/penalty"} if generator == "wgan_div" else set()
    held_out = {f"held_out/{metric}" for metric in ("ssim", "psnr", "kl", "sd")}
    curves_of_parts = {f"{curve}/{part}" for curve in ("gradient_norm", "learning_rate") for part in PARTS}
    assert set(accumulator.Tags()["scalars"]) == terms | held_out | curves_of_parts | {"speed/images_per_second"}
    steps = [event.step for event in accumulator.Scalars("critic/real")]
    assert steps == list(range(1, 9))  # 8 training slices in batches of 2, two epochs
    generator_steps = [event.step for event in accumulator.Scalars("generator/adversarial")]
    assert generator_steps == ([5] if generator == "wgan_div" else steps)
    for name in held_out:
        assert [event.step for event in accumulator.Scalars(name)] == [1, 2]
    assert all(math.isfinite(event.value) for name in terms for event in accumulator.Scalars(name))
    grids = [tag for tag in accumulator.Tags()["images"] if tag.startswith("samples")]
    assert grids and {event.step for tag in grids for event in accumulator.Images(tag)} == {1, 2}


def patients(drawings: Path) -> set[str]:
    """The names that the datalist tells."""
    return {row["patient_id"] for row in read_manifest(drawings, name="datalist.csv")}


def test_a_patient_is_on_one_side_and_references_are_training_images(finished, drawings):
    rows = read_manifest(finished / "prepare")
    side = {row["id"]: row["section"] for row in rows}
    for patient in {row["patient"] for row in rows}:
        assert len({row["section"] for row in rows if row["patient"] == patient}) == 1
    assert len({row["patient"] for row in rows}) == len(patients(drawings)) == 6
    for class_name in CLASSES:
        sides = [row["section"] for row in rows if row["class_name"] == class_name]
        assert (sides.count("training"), sides.count("held_out")) == (8, 4)
    results = read_manifest(finished / "report", name="results.csv")
    assert {side[row["reference"]] for row in results} == {"training"}
    assert {side[row["nearest_training"]] for row in results} == {"training"}
    assert {side[row["nearest_held_out"]] for row in results} == {"held_out"}
    for path in (finished / "aggregate").glob("*/real"):
        assert {side[row["image_of"]] for row in read_manifest(path)} == {"held_out"}


def test_no_patients_name_is_in_any_file(finished, drawings):
    words = [name.encode() for name in patients(drawings)] + [b"Mustermann", b"Dupont", b"Rossi", b"Smith"]
    files = [path for path in finished.rglob("*") if path.is_file()]
    texts = [path for path in files if path.suffix in (".csv", ".json", ".html", ".md", ".txt", ".log")]
    assert len(texts) > 20
    for path in files:
        if path in texts or path.suffix == ".pt" or "tfevents" in path.name:
            read = re.sub(rb"base64,[A-Za-z0-9+/=]+", b"", path.read_bytes())  # in a picture's code any word may occur
            assert not [word for word in words if word in read], path


def test_unknown_patients_are_said_loudly_and_known_ones_not(study_of, finished, messages, tmp_path, caplog):
    assert not [message for message in messages if "PATIENTS ARE UNKNOWN" in message]
    study_of(tmp_path, datalist=None).run("prepare")
    (record,) = [record for record in caplog.records if "PATIENTS ARE UNKNOWN" in record.getMessage()]
    assert record.levelno == logging.WARNING and "24 of 24 images" in record.getMessage()


def test_the_smallest_study_one_class_one_generator_one_reference_no_patients(study_of, tmp_path):
    least = {"classes": "square", "generators": "dcgan2", "references": 1, "pool_size": 2, "max_epochs": 1}
    report = study_of(tmp_path, datalist=None, **least).run()
    assert "Patients are unknown for 12 of 12 images" in report.read_text(encoding="utf-8")
    table = read_manifest(report.parent, name="table1.csv")
    methods = ["DCGAN-2", "DCGAN-2 + style transfer", "AGGrGAN (SSIM)", "AGGrGAN (PSNR)", "Real (held-out patients)"]
    assert [(row["Category"], row["Method"], row["n"]) for row in table[:5]] == [
        ("square", name, "1") for name in methods
    ]


def test_running_again_does_nothing(study_of, finished):
    before = times(finished)
    assert study_of(finished).run() == finished / "report" / "report.html"
    assert times(finished) == before


def test_again_repeats_a_stage_to_the_same_result(study_of, copied):
    before = times(copied)
    manifest = copied / "aggregate" / "disc" / "aggregate_psnr" / "manifest.csv"
    bytes_before = manifest.read_bytes()
    study_of(copied).run("aggregate", again=True)
    assert changed(copied, before) == {"aggregate"}
    assert manifest.read_bytes() == bytes_before
    study_of(copied).run()
    assert changed(copied, before) == {"aggregate"}  # the same bytes: what follows is still good


def test_a_changed_setting_repeats_what_depends_on_it_alone(study_of, copied):
    before = times(copied)
    study_of(copied, top_k=1).run()
    assert changed(copied, before) == {"aggregate", "stylise", "synthetic", "evaluate", "filtered", "report"}
    untouched = copied / "aggregate" / "disc" / "dcgan1" / "manifest.csv"
    assert times(copied)[untouched] == before[untouched]


def test_a_stage_alone_needs_those_before_it(study_of, finished, tmp_path):
    with pytest.raises(InputError, match="run the stage that writes"):
        study_of(tmp_path / "new").run("train")
    shutil.copytree(finished / "prepare", tmp_path / "some" / "prepare")
    with pytest.raises(InputError, match=r"generator.pt is missing: run the stage that writes it first"):
        study_of(tmp_path / "some").run("generate")
    assert not (tmp_path / "some" / "train").exists()


def test_an_interrupted_stage_keeps_what_it_has_made(study_of, copied, finished, monkeypatch):
    from monai_aggrgan.handlers import image_folder_saver
    from monai_aggrgan.stages import stylise

    folder, write = copied / "stylise" / "disc" / "aggrgan_ssim", image_folder_saver.write_image_files
    written: list[str] = []

    def interrupt(folder: Path, stem: str, image: torch.Tensor) -> dict[str, str]:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(stem)
        return write(folder, stem, image)

    shutil.rmtree(folder)
    monkeypatch.setitem(stylise.BATCH, "cpu", 2)
    monkeypatch.setattr(image_folder_saver, "write_image_files", interrupt)
    with pytest.raises(KeyboardInterrupt):
        study_of(copied).run("stylise")
    assert not (folder / "manifest.csv").exists() and read_record(folder)["finished"] is False
    kept = {path: time for path, time in times(folder).items() if path.suffix in (".png", ".gz")}
    assert len(kept) == 4
    monkeypatch.undo()
    study_of(copied).run("stylise")
    assert kept.items() <= times(folder).items()
    rows, whole = read_manifest(folder), read_manifest(finished / "stylise" / "disc" / "aggrgan_ssim")
    assert [row["name"] for row in rows] == [row["name"] for row in whole]
    for row in rows:  # float32 of another batch size may round to the next grey level
        file = Path("stylise", "disc", "aggrgan_ssim", f"{row['name']}.png")
        found, wanted = (Image.open(study / file) for study in (copied, finished))
        assert np.abs(np.subtract(found, wanted, dtype=int)).max() <= 1


def weights(folder: Path, *parts: str) -> dict[str, torch.Tensor]:
    return torch.load(folder.joinpath("train", *parts, "generator.pt"), weights_only=True)


@pytest.fixture
def interrupted(study_of, tmp_path, monkeypatch) -> Iterator[Path]:
    """A study whose training was killed in its second epoch."""

    def kill(trainer: LatentGanTrainer, engine: LatentGanTrainer) -> None:
        if engine.state.epoch == 2:  # a step into the second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LatentGanTrainer, "_check_health", kill)
        killed = study_of(tmp_path / "study", generators="dcgan1", classes="disc")
        with pytest.raises(KeyboardInterrupt):
            killed.run("prepare", "train")
    yield tmp_path / "study"


def test_an_interrupted_training_goes_on_to_the_same_weights(study_of, finished, interrupted):
    folder = interrupted / "train" / "disc" / "dcgan1"
    assert sorted(path.name for path in folder.glob("checkpoint_*.pt")) == ["checkpoint_0.pt", "checkpoint_1.pt"]
    assert not (folder / "generator.pt").exists() and read_record(folder)["finished"] is False
    study_of(interrupted, generators="dcgan1", classes="disc").run("train")
    ours, uninterrupted = weights(interrupted, "disc", "dcgan1"), weights(finished, "disc", "dcgan1")
    assert all(torch.equal(ours[name], value) for name, value in uninterrupted.items())
    steps = [event.step for event in curves(folder).Scalars("held_out/ssim")]
    assert steps == [1, 2]  # the first epoch was not repeated


def test_the_strong_recipe_is_another_training_and_goes_on_as_exactly(study_of, finished, tmp_path, monkeypatch):
    given = {"generators": "dcgan2", "classes": "disc", "recipe": "strong"}
    given["training"] = {**study_of(finished).settings.training, "select_best": True}
    given["training"] |= {"selection_interval": 1, "selection_pool": 16}

    def kill(trainer: LatentGanTrainer, engine: LatentGanTrainer) -> None:
        if engine.state.epoch == 2:
            raise KeyboardInterrupt

    study_of(tmp_path / "whole", **given).run("prepare", "train")
    with monkeypatch.context() as patch:
        patch.setattr(LatentGanTrainer, "_check_health", kill)
        with pytest.raises(KeyboardInterrupt):
            study_of(tmp_path / "parts", **given).run("prepare", "train")
    study_of(tmp_path / "parts", **given).run("train")
    whole, parts = (weights(tmp_path / name, "disc", "dcgan2") for name in ("whole", "parts"))
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
    plain = weights(finished, "disc", "dcgan2")
    assert plain.keys() == whole.keys()
    assert not all(torch.equal(plain[name], value) for name, value in whole.items())
    tags = curves(tmp_path / "whole" / "train" / "disc" / "dcgan2").Tags()["scalars"]
    assert {"held_out/kid", "held_out/memorised", "critic/augmentation"} <= set(tags)


def test_more_epochs_extend_a_training_and_fewer_are_refused(study_of, finished, tmp_path):
    def run(epochs: int) -> None:
        given = {"generators": "dcgan1", "classes": "disc", "max_epochs": epochs}
        study_of(tmp_path, **given).run("prepare", "train")

    run(1)
    once = weights(tmp_path, "disc", "dcgan1")
    run(2)
    twice = weights(tmp_path, "disc", "dcgan1")
    uninterrupted = weights(finished, "disc", "dcgan1")
    assert not all(torch.equal(once[name], value) for name, value in uninterrupted.items())
    assert all(torch.equal(twice[name], value) for name, value in uninterrupted.items())
    before, record = times(tmp_path), read_record(tmp_path / "train" / "disc" / "dcgan1")
    with pytest.raises(InputError, match="is trained for 2 epochs already, more than the 1 asked for"):
        run(1)
    assert read_record(tmp_path / "train" / "disc" / "dcgan1") == record  # a refusal leaves everything as it was
    run(2)
    assert {path.name for path, time in times(tmp_path).items() if before.get(path) != time} <= {"stage.json"}


def test_other_training_settings_are_refused_not_overwritten(study_of, finished):
    before = times(finished)
    training = {**study_of(finished).settings.training, "batch_size": 4}
    with pytest.raises(InputError, match=r"other settings \(batch_size 2 before and 4 now\)"):
        study_of(finished, training=training).run("train")
    assert times(finished) == before


def test_settings_that_only_report_may_change(study_of, finished):
    before = times(finished)
    training = {**study_of(finished).settings.training, "log_interval": 7}
    study_of(finished, training=training).run("train")
    assert times(finished) == before


def test_a_training_that_diverges_says_so_and_keeps_its_last_good_checkpoint(study_of, tmp_path, monkeypatch):
    iterate = LatentGanTrainer._iteration

    def explode(trainer: LatentGanTrainer, engine: LatentGanTrainer, batch: dict) -> dict[str, torch.Tensor]:
        output = iterate(trainer, engine, batch)
        if engine.state.epoch == 2:
            with torch.no_grad():
                next(engine.generator.parameters()).fill_(math.nan)
        return output

    monkeypatch.setattr(LatentGanTrainer, "_iteration", explode)
    with pytest.raises(
        TrainingDiverged, match=r"DCGAN-2 on disc .* at epoch 2: .* after 3 fresh starts; the last good"
    ):
        study_of(tmp_path, generators="dcgan2", classes="disc").run("prepare", "train")
    folder = tmp_path / "train" / "disc" / "dcgan2"
    checkpoint = latest_checkpoint(folder)
    state = torch.load(checkpoint, weights_only=True)["generator"]
    assert checkpoint.name == "checkpoint_1.pt" and all(value.isfinite().all() for value in state.values())
    assert not (folder / "generator.pt").exists()
