"""The stage `select` on the finished study of drawings: what it finds, when it looks again, what it refuses."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from monai_aggrgan.data import PreparedSlices, read_image_array, read_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers import match, select_candidates
from monai_aggrgan.stages import aggregate, read_record, select

GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
SEARCHED = [*((metric, name) for metric in ("ssim", "psnr") for name in GENERATORS), ("ssim", "real")]
DISC = {"classes": "disc"}


def references_of(study: Path, class_name: str, rows: list[dict[str, str]]) -> Tensor:
    """The training images that a manifest's rows answer."""
    training = PreparedSlices(study / "prepare", class_name=class_name)
    place = {row["id"]: index for index, row in enumerate(training.rows)}
    return training.images[[place[row["reference"]] for row in rows]]


def pool_of(study: Path, class_name: str, name: str) -> Tensor:
    if name == "real":
        return PreparedSlices(study / "prepare", class_name=class_name, section="held_out").images
    return read_image_array(study / "generate" / class_name / name)[0]


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def changed(folder: Path, before: dict[Path, int]) -> set[str]:
    """Stages of which a file is new, gone or was written anew."""
    after = times(folder)
    return {path.relative_to(folder).parts[0] for path in {**before, **after} if before.get(path) != after.get(path)}


@pytest.mark.parametrize("class_name", ["disc", "square"])
@pytest.mark.parametrize(("metric", "name"), SEARCHED)
def test_a_manifest_holds_what_is_found_in_the_pool(finished, class_name, metric, name):
    rows = read_manifest(finished / "select" / class_name / metric / name)
    references = references_of(finished, class_name, rows)
    indices, scores = match(pool_of(finished, class_name, name), references, metric=metric)
    assert [int(row["index"]) for row in rows] == indices.tolist()
    assert [float(row["score"]) for row in rows] == pytest.approx(scores.tolist(), abs=1e-6)
    assert {(row["method"], row["matching"]) for row in rows} == {(name, "best")}


def test_all_searches_of_a_class_answer_the_same_references(finished):
    answered = [
        [row["reference"] for row in read_manifest(finished / "select" / "disc" / metric / name)]
        for metric, name in SEARCHED
    ]
    assert all(ids == answered[0] for ids in answered) and len(set(answered[0])) == 3


def test_references_are_training_images_that_the_seed_draws(study_of, finished):
    def drawn(**options: object) -> list[str]:
        images, ids = select.chosen_references(study_of(finished, **options).settings, "disc")
        assert torch.equal(images, references_of(finished, "disc", [{"reference": name} for name in ids]))
        return ids

    assert drawn() == drawn()
    assert drawn() == [row["reference"] for row in read_manifest(finished / "select" / "disc" / "ssim" / "dcgan1")]
    training = [row["id"] for row in PreparedSlices(finished / "prepare", class_name="disc").rows]
    assert drawn(references=8) == drawn(references=99) == training  # all there are, in their order
    assert len({tuple(drawn(seed=seed)) for seed in range(8)}) > 3


def test_a_selection_is_read_with_a_column_for_each_generator(study_of, finished):
    settings = study_of(finished).settings
    selection = select.read_selection(settings, "square", "psnr", GENERATORS[::-1])
    references, _ = select.chosen_references(settings, "square")
    pools = {name: pool_of(finished, "square", name) for name in GENERATORS[::-1]}
    found = select_candidates(references, pools, metric="psnr")
    assert selection.generators == found.generators == GENERATORS[::-1]
    assert torch.equal(selection.indices, found.indices)
    torch.testing.assert_close(selection.scores, found.scores)


def test_another_pool_or_matching_repeats_select_and_what_follows_but_no_training(study_of, copied, monkeypatch):
    monkeypatch.setattr(aggregate, "PICTURES", 0)
    quick = {"style_iterations": 0, "pool_size": 12}  # some of the best were beyond
    before = times(copied)
    study_of(copied, **quick).run()
    follows = {"select", "aggregate", "stylise", "synthetic", "evaluate", "filtered", "report"}
    assert changed(copied, before) == {"generate", *follows}  # and neither prepare nor train
    chosen = [row for path in (copied / "select").rglob("manifest.csv") for row in read_manifest(path.parent)]
    assert max(int(row["index"]) for row in chosen) < 12
    before = times(copied)
    study_of(copied, **quick, matching="unique").run("prepare", "train", "generate", "select", "aggregate", "report")
    assert changed(copied, before) == {"select", "aggregate", "report"}
    selection = read_manifest(copied / "report", name="selection.csv")
    assert {row["candidates"] for row in selection} == {"3"}


def test_a_unique_matching_uses_no_image_of_a_pool_twice(study_of, copied):
    study_of(copied, matching="unique", **DISC).run("select")
    repeated = 0
    for metric, name in SEARCHED:
        rows = read_manifest(copied / "select" / "disc" / metric / name)
        images = {row["index"] for row in rows}
        assert len(images) == len(rows) == 3 and {row["matching"] for row in rows} == {"unique"}
        references = references_of(copied, "disc", rows)
        expected, _ = match(pool_of(copied, "disc", name), references, metric=metric, matching="unique")
        assert [int(row["index"]) for row in rows] == expected.tolist()
        best, _ = match(pool_of(copied, "disc", name), references, metric=metric)
        repeated += len(best.unique()) < 3
    assert repeated > 1  # where `best` would have


def test_real_slices_that_are_too_few_are_matched_as_best_and_that_is_said(study_of, copied, caplog):
    study_of(copied, matching="unique", references=8, **DISC).run("select")  # four are held out
    told = "4 held-out slices are too few to answer 8 references"
    assert [record.levelno for record in caplog.records if told in record.getMessage()] == [logging.WARNING]
    matchings = {
        name: {row["matching"] for row in read_manifest(copied / "select" / "disc" / metric / name)}
        for metric, name in SEARCHED
    }
    assert matchings.pop("real") == {"best"} and list(matchings.values()) == [{"unique"}] * 3
    rows = read_manifest(copied / "select" / "disc" / "ssim" / "real")
    expected, _ = match(pool_of(copied, "disc", "real"), references_of(copied, "disc", rows))
    assert [int(row["index"]) for row in rows] == expected.tolist()


def test_a_pool_that_will_be_too_small_is_refused_before_the_training(study_of, tmp_path):
    sentence = (
        "--matching unique needs a pool of at least as many images as references, got 2 for 3: "
        "enlarge --pool_size, answer fewer --references, or use --matching best."
    )
    with pytest.raises(InputError) as caught:
        study_of(tmp_path / "study", matching="unique", pool_size=2).run()
    assert str(caught.value) == sentence
    assert {path.name for path in (tmp_path / "study").iterdir()} == {"prepare", "prepare_cache"}


def test_a_pool_that_is_too_small_is_refused_before_it_is_searched(study_of, copied, monkeypatch):
    study_of(copied, pool_size=2, **DISC).run("generate")
    monkeypatch.setattr(select, "match", lambda *_, **__: pytest.fail("searched"))
    with pytest.raises(InputError, match=r"--matching unique needs a pool .*, got 2 for 3: enlarge --pool_size"):
        study_of(copied, matching="unique", **DISC).run("select")


def test_pools_may_be_smaller_where_an_image_answers_several_references(study_of, copied):
    study_of(copied, pool_size=2, **DISC).run("generate", "select")
    assert len(read_manifest(copied / "select" / "disc" / "ssim" / "dcgan1")) == 3


def test_interrupted_between_two_generators_it_goes_on_without_repeating_the_first(study_of, copied, monkeypatch):
    searched: list[str] = []

    def interrupt(pool: Tensor, references: Tensor, **options: str) -> tuple[Tensor, Tensor]:
        if len(searched) == 1:
            raise KeyboardInterrupt
        searched.append(options["progress"])
        return match(pool, references, **options)

    with monkeypatch.context() as patch:
        patch.setattr(select, "match", interrupt)
        with pytest.raises(KeyboardInterrupt):
            study_of(copied, references=4, **DISC).run("select")
    first, second = (copied / "select" / "disc" / "ssim" / name for name in GENERATORS[:2])
    assert read_record(first)["finished"] and not read_record(second)["finished"]
    assert not (second / "manifest.csv").exists()
    before = times(first)

    def note(pool: Tensor, references: Tensor, **options: str) -> tuple[Tensor, Tensor]:
        searched.append(options["progress"])
        return match(pool, references, **options)

    monkeypatch.setattr(select, "match", note)
    study_of(copied, references=4, **DISC).run("select")
    assert times(first) == before
    assert searched == [f"disc {name} SSIM" for name in (*GENERATORS, "real")] + [f"disc {n} PSNR" for n in GENERATORS]
