"""The report as a browser reads it: complete, self-contained, escaped."""

from __future__ import annotations

import base64
import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_aggrgan.data.image_folder import write_png
from monai_aggrgan.data.manifest import write_manifest
from monai_aggrgan.evaluation.ablation import ABLATION_NOTE
from monai_aggrgan.evaluation.report import write_report
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.tables import REAL_LABEL, SD_NOTE, read_results, write_pairings_table, write_table1
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.visualize.figures import contact_sheet

CLASS = "<b>x"
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Text, links and strong words of a page; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.strong: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())
        if self.open and self.open[-1] == "strong":
            self.strong.append(data)


@pytest.fixture
def facts() -> dict[str, Any]:
    return {
        "title": "Phantoms & friends",
        "generators": {"mine": "My GAN"},
        "notices": ["These are phantoms."],
        "data": [{"class_name": CLASS, "section": "training", "images": 12, "patients": None}],
        "split": "by patient",
        "seed": 7,
        "trainings": [{"class_name": CLASS, "generator": "mine", "epochs": 3, "seconds": 552, "restarts": 1}],
        "stages": [{"stage": "train", "seconds": 11100}, {"stage": "evaluate", "seconds": 4.21}],
        "settings": {"image_size": 64, "learning_rate": 0.0002, "style_layers": ["relu1_1", "relu2_1"]},
        "versions": {"monai": "1.6.1"},
        "figures": [{"path": "sheet.png", "caption": "As Fig. 3", "alt": "Four grey squares"}],
        "galleries": [{"path": "sheet.png", "caption": "Drawn at random"}],
    }


@pytest.fixture
def folder(tmp_path: Path, facts: dict[str, Any]) -> Path:
    rows = []
    for index, method in enumerate(("mine", "mine+style", "aggregate_ssim", "aggrgan_ssim", "real")):
        values = {f"{m}_{p}": index + j + k / 7 for j, m in enumerate(METRICS) for k, p in enumerate(PAIRINGS)}
        rows.append({"class_name": CLASS, "method": method, **values})
    rows[0]["psnr_paired"] = float("inf")
    with (tmp_path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    results = read_results(tmp_path / "results.csv")
    write_table1(tmp_path, results, generators=facts["generators"])
    write_pairings_table(tmp_path, results, generators=facts["generators"])
    write_png(tmp_path / "sheet.png", contact_sheet(torch.rand(4, 1, 16, 16)))
    return tmp_path


def page_of(folder: Path, facts: dict[str, Any]) -> Page:
    return Page(write_report(folder, facts).read_text(encoding="utf-8"))


def test_every_value_of_the_tables_is_shown_and_the_best_in_bold(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, facts)
    for name in ("table1.csv", "pairings.csv"):
        with (folder / name).open(newline="") as file:
            for record in csv.DictReader(file):
                best = record.pop("best", "").split()
                left_out = record.pop("left_out")
                assert set(record.values()) <= set(page.text)
                assert {record[column] for column in best} <= set(page.strong)
                assert not left_out or f"{record['Method']}, {left_out}." in " ".join(page.text)
    assert len([tag for tag, name, value in page.attributes if (tag, name, value) == ("tr", "class", "real")]) == 2


def test_the_page_needs_nothing_from_elsewhere(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, facts)
    links = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert all(link.startswith(("data:image/png;base64,", "#")) or (folder / link).is_file() for link in links)
    picture = base64.b64encode((folder / "sheet.png").read_bytes()).decode()
    assert links.count(f"data:image/png;base64,{picture}") == 2
    assert not {"script", "link", "iframe"} & {tag for tag, _, _ in page.attributes}
    assert "url(" not in (folder / "report.html").read_text()


def test_links_within_the_page_lead_somewhere(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, facts)
    targets = {f"#{value}" for _, name, value in page.attributes if name == "id"}
    assert {value for _, name, value in page.attributes if name == "href" and value[0] == "#"} <= targets


def test_pictures_have_words_for_those_who_cannot_see_them(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, facts)
    assert [v for tag, name, v in page.attributes if (tag, name) == ("img", "alt")] == [
        "Four grey squares",
        "Drawn at random",
    ]


def test_facts_are_shown_in_plain_words(folder: Path, facts: dict[str, Any]) -> None:
    text = page_of(folder, facts).text
    shown = ["These are phantoms.", "unknown", "12", "My GAN", "9 min 12 s", "3 h 05 min", "4.2 s", "Restarts"]
    assert {*shown, "0.0002", "relu1_1, relu2_1", "1.6.1", "5 images judged · seed 7 · split: by patient"} <= set(text)
    assert text.count(SD_NOTE) == 1
    assert REAL_LABEL in text
    assert text.index("These are phantoms.") < text.index("Data")


def test_what_is_wrong_with_the_data_stands_below_them(folder: Path, facts: dict[str, Any]) -> None:
    skipped = [{"class_name": CLASS, "source": "a b.png", "reason": "a b.png is constant."}]
    page = page_of(folder, {**facts, "skipped": skipped, "attention": ["There are few images."]})
    assert {"There are few images.", "a b.png", "a b.png is constant."} <= set(page.text)
    without = page_of(folder, facts).text
    assert "Left out" in page.text and "Left out" not in without


def test_text_from_outside_is_escaped(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, {**facts, "notices": ["<script>alert(1)</script>"]})
    assert CLASS in page.text and "<script>alert(1)</script>" in page.text
    assert "Phantoms & friends" in "".join(page.text)


def test_sections_without_facts_are_left_out(folder: Path) -> None:
    page = page_of(folder, {"title": "Bare", "generators": {}})
    assert not {"Read this first", "Data", "Trainings and time", "Settings and versions"} & set(page.text)
    assert "My GAN" in page.text


def test_what_is_missing_or_unknown_is_named(folder: Path, facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="facts lack generators"):
        write_report(folder, {"title": "x"})
    with pytest.raises(ValueError, match="facts hold notes; known are title"):
        write_report(folder, {**facts, "notes": []})
    with pytest.raises(InputError, match=r"no picture .*absent\.png"):
        write_report(folder, {**facts, "figures": [{"path": "absent.png", "caption": ""}]})
    with pytest.raises(InputError, match=r"PNG and JPEG pictures, got .*results\.csv"):
        write_report(folder, {**facts, "figures": [{"path": "results.csv", "caption": ""}]})
    (folder / "table1.csv").unlink()
    with pytest.raises(InputError, match=r"no table1\.csv"):
        write_report(folder, facts)
    assert not (folder / "report.html").exists()


SELECTION = [
    {"class_name": name, "metric": metric, "generator": "My GAN", "pool": pool, "references": 40, "candidates": 31}
    | {"chosen": 17, "share": 0.254, "mean_score": score}
    for name, metric, pool, score in [("z", "SSIM", 512, 0.43219), ("z", "PSNR", 513, 17.6543), ("a", "SSIM", 514, 0.5)]
]
METHOD = {"path": "sheet.png", "caption": "z: how one image was made"}
ADDED = {"#selection": {"selection": SELECTION}, "#merging": {"methods": [METHOD]}}


def headings(page: Page) -> set[str]:
    """What the page has a section of, as its links name it."""
    return {f"#{value}" for tag, name, value in page.attributes if (tag, name) == ("h2", "id")}


def links(page: Page) -> set[str]:
    return {value for tag, name, value in page.attributes if (tag, name) == ("a", "href") and value.startswith("#")}


def write_ablation(folder: Path) -> list[dict[str, str]]:
    """An ablation.csv of two classes, the one that comes last in the alphabet first; its lines."""
    methods = {"Best single candidate": "", "Mean": "+0.011 [+0.002, +0.020]", REAL_LABEL: ""}
    lines = [
        {"Category": name, "Method": label, "SSIM": f"0.{index}00", "SSIM gain": gain, "n": "40"}
        for name in ("z", "a")
        for index, (label, gain) in enumerate(methods.items())
    ]
    write_manifest(folder, lines, name="ablation.csv")
    return lines


@pytest.mark.parametrize("present", [(), ("#selection",), ("#merging",), ("#selection", "#merging")])
def test_a_section_is_there_exactly_when_its_facts_are(
    folder: Path, facts: dict[str, Any], present: tuple[str, ...]
) -> None:
    for section in present:
        facts |= ADDED[section]
    page = page_of(folder, facts)
    for found in (headings(page), links(page)):
        assert found & set(ADDED) == set(present)


def test_the_ablation_alone_makes_its_section_and_is_named_among_the_files(folder: Path, facts: dict[str, Any]) -> None:
    without = page_of(folder, {**facts, "findings": ["z: no difference."]})
    assert "#merging" not in headings(without) and "z: no difference." not in without.text
    assert not [v for _, name, v in without.attributes if name == "href" and v.startswith("ablation")]
    write_ablation(folder)
    page = page_of(folder, {**facts, "findings": ["z: no difference."]})
    assert "#merging" in headings(page) & links(page) and "z: no difference." in page.text
    assert ABLATION_NOTE in page.text
    assert ("a", "href", "ablation.csv") in page.attributes


def test_the_ablation_shows_every_value_under_its_heading_classes_in_their_order(
    folder: Path, facts: dict[str, Any]
) -> None:
    lines = write_ablation(folder)
    text = [part for part in page_of(folder, facts).text if part]
    start = text.index("Merging: does it beat the best single image?")
    assert text[start + 1 : start + 6] == ["Category", "Merging", "SSIM", "SSIM gain", "n"]
    cells = text[start + 6 : text.index(ABLATION_NOTE)]
    assert cells == [
        value
        for place, line in enumerate(lines)
        for name, value in line.items()
        if value and (name != "Category" or place % 3 == 0)  # a class is named once
    ]


def test_selection_shows_every_value_classes_in_their_order(folder: Path, facts: dict[str, Any]) -> None:
    text = [part for part in page_of(folder, {**facts, "selection": SELECTION}).text if part]
    start = text.index("Selection: how the pools were used")
    cells = text[start + 9 : start + 9 + 2 + 3 * 7]
    assert cells == [
        *("z", "SSIM", "My GAN", "512", "31 of 40", "17", "25%", "0.432"),
        *("PSNR", "My GAN", "513", "31 of 40", "17", "25%", "17.65"),
        *("a", "SSIM", "My GAN", "514", "31 of 40", "17", "25%", "0.500"),
    ]


def test_new_pictures_have_words_and_new_tables_their_headings(folder: Path, facts: dict[str, Any]) -> None:
    write_ablation(folder)
    told = {**METHOD, "alt": "Two grey squares and arrows"}
    page = page_of(folder, {**facts, "selection": SELECTION, "methods": [METHOD, told]})
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert alts == [METHOD["caption"], told["alt"], "Four grey squares", "Drawn at random"]
    regions = [value for tag, name, value in page.attributes if (tag, name) == ("div", "aria-label")]
    assert {"Selection", "Merging", METHOD["caption"]} <= set(regions)
    source = (folder / "report.html").read_text(encoding="utf-8")
    heads = re.findall(r"<th\b[^>]*>", source)
    assert len(heads) > 40 and all('scope="' in head for head in heads)
    assert source.count('scope="rowgroup"') == source.count("rowspan") - 3  # three headings span two rows of the head
