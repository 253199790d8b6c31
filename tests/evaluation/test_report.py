"""The report as a browser reads it: complete, self-contained, escaped."""

from __future__ import annotations

import base64
import csv
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_aggrgan.data.image_folder import write_png
from monai_aggrgan.data.manifest import read_manifest, write_manifest
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
                ends = {column: record.pop(column) for column in [*record] if column.endswith((" low", " high"))}
                assert set(record.values()) - {""} <= set(page.text)
                lows = {column.removesuffix(" low") for column in ends if column.endswith(" low") and ends[column]}
                assert {f"[{ends[f'{name} low']}, {ends[f'{name} high']}]" for name in lows} <= set(page.text)
                assert {record[column] for column in best} <= set(page.strong)
                assert not left_out or f"{record['Method']}, {left_out}." in " ".join(page.text)
    real = [tag for tag, name, value in page.attributes if (tag, name, value) == ("tr", "class", "real")]
    assert len(real) == 1 + len(PAIRINGS)  # one among the pairings, and one a pairing in Table 1


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
    assert text.index("These are phantoms.") < text.index("Data card")


def test_what_is_wrong_with_the_data_stands_below_them(folder: Path, facts: dict[str, Any]) -> None:
    skipped = [{"class_name": CLASS, "source": "Jane Doe/a b.png", "reason": "x/Jane Doe/a b.png is constant."}]
    page = page_of(folder, {**facts, "skipped": skipped, "attention": ["There are few images."]})
    assert {"There are few images.", "The file is constant."} <= set(page.text)
    for name in ("report.html", "report.md", "report.json"):
        assert "constant" in (folder / name).read_text(encoding="utf-8")
        assert not re.search(r"Jane Doe|a b\.png", (folder / name).read_text(encoding="utf-8"))
    without = page_of(folder, facts).text
    assert "Left out" in page.strong and "Left out" not in without


def test_text_from_outside_is_escaped(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, {**facts, "notices": ["<script>alert(1)</script>"]})
    assert CLASS in page.text and "<script>alert(1)</script>" in page.text
    assert "Phantoms & friends" in "".join(page.text)


def test_sections_without_facts_are_left_out(folder: Path) -> None:
    page = page_of(folder, {"title": "Bare", "generators": {}})
    assert not {"Read this first", "Data card", "Training card", "Time", "What each step is worth"} & set(page.text)
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
ADDED = {"selection": {"selection": SELECTION}, "merging": {"methods": [METHOD]}}
CASES = [(), ("selection",), ("merging",), ("selection", "merging")]


def anchors(page: Page) -> list[str]:
    """What the page has a heading for, as links name it."""
    return [value for tag, name, value in page.attributes if tag in ("h2", "h3") and name == "id"]


def contents(page: Page) -> list[str]:
    return [value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href") and value[0] == "#"]


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


@pytest.mark.parametrize("present", CASES)
def test_a_part_is_there_exactly_when_its_facts_are(
    folder: Path, facts: dict[str, Any], present: tuple[str, ...]
) -> None:
    for part in present:
        facts |= ADDED[part]
    page = page_of(folder, facts)
    assert set(anchors(page)) & set(ADDED) == set(present)
    assert ("steps" in contents(page)) == ("selection" in present)


def test_the_ablation_alone_makes_its_section_and_is_named_among_the_files(folder: Path, facts: dict[str, Any]) -> None:
    facts["findings"] = ["z: no difference."]
    without = page_of(folder, facts)
    assert "steps" not in anchors(without) and "z: no difference." not in without.text
    assert not [v for _, name, v in without.attributes if name == "href" and v.startswith("ablation")]
    write_ablation(folder)
    page = page_of(folder, facts)
    assert {"steps", "ablation"} <= set(anchors(page)) and "steps" in contents(page)
    assert "z: no difference." in page.text and ABLATION_NOTE in page.text
    assert ("a", "href", "ablation.csv") in page.attributes


def test_the_ablation_shows_every_value_under_its_heading_classes_in_their_order(
    folder: Path, facts: dict[str, Any]
) -> None:
    lines = write_ablation(folder)
    text = [part for part in page_of(folder, facts).text if part]
    start = text.index("Does merging beat the best single image?")
    heads = ["Merging", "SSIM", "↑", "(higher is better)", "SSIM gain", "n"]
    assert text[start + 1 : start + 1 + len(heads)] == heads
    assert text[start + 1 + len(heads) : text.index(ABLATION_NOTE)] == [
        value
        for place, line in enumerate(lines)
        for name, value in line.items()
        if value and (name != "Category" or place % 3 == 0)  # a class is named once
    ]


def test_selection_shows_every_value_classes_in_their_order(folder: Path, facts: dict[str, Any]) -> None:
    text = [part for part in page_of(folder, {**facts, "selection": SELECTION}).text if part]
    start = text.index("How the pools were used") + 8
    assert text[start : start + 2 + 3 * 7] == [
        *("z", "My GAN", "SSIM", "512", "31 of 40", "17", "25\N{NO-BREAK SPACE}%", "0.432"),
        *("My GAN", "PSNR", "513", "31 of 40", "17", "25\N{NO-BREAK SPACE}%", "17.65"),
        *("a", "My GAN", "SSIM", "514", "31 of 40", "17", "25\N{NO-BREAK SPACE}%", "0.500"),
    ]


def test_pictures_stand_in_the_order_of_the_sections_and_say_what_they_show(
    folder: Path, facts: dict[str, Any]
) -> None:
    told = {**METHOD, "alt": "Two grey squares and arrows"}
    more = {name: [{"path": "sheet.png", "caption": name}] for name in ("sheets", "curves")}
    more["closest"] = [{"path": "sheet.png", "caption": f"closest by {way}"} for way in ("SSIM", "vgg19", "pixels")]
    page = page_of(folder, {**facts, **more, "methods": [METHOD, told]})
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    figures = ["Four grey squares", METHOD["caption"], told["alt"]]
    assert alts == ["sheets", "curves", *figures, *(item["caption"] for item in more["closest"]), "Drawn at random"]


def write_utility(folder: Path) -> dict[str, Any]:
    """The tables of one classifier, with a picture; facts of them."""
    place = {"classifier": "vgg19", "label": "VGG-19 <x>", "protocol": "patient"}
    arms = [("3a", "real", "0"), ("3b", "synthetic", "300")]
    rows = [
        {**place, "case": case, "arm": arm, "count": count, "test": "real", "metric": "balanced_accuracy"}
        | {"value": "0.7345", "low": "0.7", "high": "0.8", "n": "61", "patients": "7", "seeds": "5"}
        for case, arm, count in arms
    ]
    write_manifest(folder, rows, name="utility.csv")
    numbers = {"difference": "0.0456", "low": "0.02", "high": "0.07", "p": "0.0123", "p_holm": "0.0369"}
    sides = {"part": "cases", "question": "3b", "first": "real + 300 synthetic", "second": "real"}
    compared = {**place, **sides, "metric": "balanced_accuracy", **numbers, "verdict": "better"}
    write_manifest(folder, [compared], name="comparisons.csv")
    verdict = {"classifier": "vgg19", "label": "VGG-19 <x>", "verdict": "helps", "sentence": "The <images> help."}
    write_manifest(folder, [verdict], name="verdicts.csv")
    table5 = {"Category": "Split by patient", "Method": "3a: real", "VGG-19 <x>": "73.5", "VGG-19 <x> paper": "88.8"}
    write_manifest(folder, [table5], name="table5.csv")
    picture = {"path": "sheet.png", "caption": "By case"}
    return {"utility": {"base": 300, "notes": ["A note on use."]}, "utility_figures": [picture]}


def test_use_is_said_to_be_unmeasured_without_a_section(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, facts)
    assert "utility" not in anchors(page) and "utility" not in contents(page)
    for name in ("report.html", "report.md", "report.json"):
        assert "was not measured: `run utility` tells." in (folder / name).read_text().replace("\\`", "`")
    assert "utility" not in json.loads((folder / "report.json").read_text())["tables"]


def test_use_is_in_the_page_in_the_markdown_and_in_the_json(folder: Path, facts: dict[str, Any]) -> None:
    page = page_of(folder, {**facts, **write_utility(folder)})
    shown = {"Do they help?", "VGG-19 <x>", "The <images> help.", "73.5", "88.8", "+4.6", "[+2.0, +7.0]"}
    assert shown | {"0.012", "0.037", "A note on use.", "By case"} <= set(page.text)
    assert {"utility", "table-5"} <= set(anchors(page)) and "not measured: `run" not in " ".join(page.text)
    assert ("a", "href", "table5.csv") in page.attributes and ("a", "href", "comparisons.csv") in page.attributes
    text = (folder / "report.md").read_text()
    assert "## Do the images help?" in text and "✓ **VGG-19 \\<x\\>**: The \\<images\\> help." in text
    assert "+4.6 \\[+2.0, +7.0\\]" in text and "Usefulness" in text
    told = json.loads((folder / "report.json").read_text())
    assert {"utility", "comparisons", "verdicts", "table5"} <= set(told["tables"])
    first = told["tables"]["utility"][0]
    assert (first["case"], first["value"], first["count"]) == ("3a", 0.7345, 0)
    assert told["facts"]["utility"]["base"] == 300
    assert {"mark": "good", "topic": "Usefulness", "text": "The <images> help."} in told["in_short"]


CLASSES = ("a", "b")


@pytest.fixture
def whole(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Facts of a study of two classes with every file beside them."""
    methods = ("mine", "mine+style", "aggrgan_ssim", "steps_000", "real")
    distribution = [
        {"class_name": name, "method": method, "space": space, "metric": metric, "value": f"{0.5 + place / 8}"}
        | {"low": "0.25", "high": "1.5", "n": "30", "reference_n": "40", "extractor": f"the extractor of {space}"}
        for name in CLASSES
        for place, method in enumerate(methods)
        for space, metrics in {"vgg19": ("kid", "frechet_ratio", "recall"), "images": ("ms_ssim", "distinct")}.items()
        for metric in metrics
    ]
    write_manifest(folder, distribution, name="distribution.csv")
    memorization = [
        {"class_name": name, "method": method, "file": f"{n}.nii.gz", "ssim": f"{0.4 + n / 40}", "flagged": ""}
        for name in CLASSES
        for method in methods
        for n in range(8)
    ]
    write_manifest(folder, memorization, name="memorization.csv")
    measures = ("flagged", "copies", "ssim", "vgg19_memorised", "vgg19_distance_ratio", "membership_auc_vgg19")
    audit = [
        {"class_name": name, "method": method, "measure": measure, "value": "0.5", "low": "0.25", "high": "0.75"}
        | {"p": "0.0312" if "ratio" in measure else "", "held_out": "0.0625", "n": "30", "detail": ""}
        | {"verdict": ("fail" if name == "b" else "pass") if measure == "flagged" and method != "real" else ""}
        for name in CLASSES
        for method in methods
        for measure in measures
    ]
    write_manifest(folder, audit, name="audit.csv")
    claims = [
        {"quote": f"Claim {n}", "table": "Table 1", "holds": holds, "evidence": f"Evidence {n}.", "in_paper": "yes"}
        for n, holds in enumerate(("holds", "does not hold", "holds in part"))
    ]
    write_manifest(folder, claims, name="claims.csv")
    steps = [
        {"Category": name, "Method": "drawn", "selection": "", "style": "yes", "SSIM": "0.3", "SSIM low": "0.2"}
        | {"SSIM high": "0.4", "KID": "0.0123456", "KID low": "0.01", "KID high": "0.02", "flagged": "0.034", "n": "30"}
        for name in CLASSES
    ]
    write_manifest(folder, steps, name="steps.csv")
    write_manifest(folder, read_manifest(folder, name="table1.csv"), name="baselines.csv")
    write_ablation(folder)
    picture = {"path": "sheet.png", "caption": "A sheet"}
    pictures = {name: [picture] for name in ("sheets", "curves", "methods", "closest")}
    texts = {"dataset": "Phantoms", "audit_rule": "The rule itself.", "filter_command": "run filter <x>"}
    words = {"findings": ["A finding."], "effects": ["An effect."], "limits": ["A limit."], "hashes": {"a": "0f" * 32}}
    more = {"selection": SELECTION, "machine": {"GPU": "none"}, **write_utility(folder)}
    return {**facts, **pictures, **texts, **words, **more}


def test_sections_stand_in_their_order_with_a_heading_and_a_link_each(folder: Path, whole: dict[str, Any]) -> None:
    page = page_of(folder, whole)
    order = ["in-short", "data", "training", "table-1", "baselines", "pairings", "claims", "figures", "distribution"]
    order += ["audit", "utility", "steps", "random-samples", "limits", "time", "files"]
    assert contents(page)[1:] == order  # after the link that skips
    assert [anchor for anchor in anchors(page) if anchor in order] == order


def test_values_of_every_file_are_shown(folder: Path, whole: dict[str, Any]) -> None:
    text = {part.replace("\N{NO-BREAK SPACE}", " ") for part in page_of(folder, whole).text}
    distribution = {"0.625", "[0.25, 1.5]", "0.62", "[0.25, 1.50]", "0 of 30", "1 of 30"}
    audit = {"The rule itself.", "run filter <x>", "50 %", "[25 %, 75 %]", "0.031", "6.2 %", "0.062"}
    claims = {"“Claim 1”", "does not hold", "Evidence 1.", "holds in part"}
    steps = {"0.3", "[0.2, 0.4]", "0.0123", "[0.01, 0.02]", "3.4 %", "yes", "no"}
    words = {"A finding.", "An effect.", "A limit.", "0f" * 32, "Phantoms", "Congruence", "Consistency"}
    assert distribution | audit | claims | steps | words <= text
    assert any("Extractor: the extractor of vgg19." in part for part in text)


def test_what_is_said_of_a_verdict_does_not_hang_on_colour(folder: Path, whole: dict[str, Any]) -> None:
    source = write_report(folder, whole).read_text(encoding="utf-8")
    verdicts = re.findall(r'<span class="mark (\w+)" aria-hidden="true">(.)</span> ([a-z ]+)</td>', source)
    assert ("bad", "✕", "fail") in verdicts and ("good", "✓", "pass") in verdicts
    assert ("open", "~", "holds in part") in verdicts
    assert {mark: {symbol for name, symbol, _ in verdicts if name == mark} for mark, _, _ in verdicts} == {
        "good": {"✓"},
        "bad": {"✕"},
        "open": {"~"},
    }


def test_the_whole_page_serves_those_who_do_not_see_it(folder: Path, whole: dict[str, Any]) -> None:
    source = write_report(folder, whole).read_text(encoding="utf-8")
    page = Page(source)
    assert ("html", "lang", "en") in page.attributes and page.attributes.count(("a", "class", "skip")) == 1
    levels = [int(level) for level in re.findall(r"<h(\d)", source)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    heads = re.findall(r"<th\b[^>]*>", source)
    assert len(heads) > 100 and all('scope="' in head for head in heads)
    regions = re.findall(r'<(?:div|pre) class="scroll[^>]*>', source)
    assert len(regions) > 15
    assert all('role="region" tabindex="0" aria-label="' in region for region in regions)
    drawings = re.findall(r"<svg\b[^>]*>", source)
    assert len(drawings) == 2 * 4  # a class: KID, recall, MS-SSIM, and the histogram of the audit
    assert all('role="img" aria-label="' in drawing for drawing in drawings)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for tag, name, value in page.attributes if name == "aria-labelledby"} <= set(ids)


def test_every_row_of_a_table_is_as_wide_as_its_head(folder: Path, whole: dict[str, Any]) -> None:
    source = write_report(folder, whole).read_text(encoding="utf-8")
    found = re.findall(r"<table>.*?</table>", source, re.DOTALL)
    assert len(found) > 12
    for table in found:
        head, body = table.split("</thead>")
        first = re.findall(r"<th\b[^>]*>", head.split("</tr>")[0])
        width = sum(int(span[1]) if (span := re.search(r'colspan="(\d+)"', cell)) else 1 for cell in first)
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL):
            span = re.search(r'colspan="(\d+)"', row)
            assert int(span[1]) if span else len(re.findall(r"<t[hd]\b", row)) == width


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("paper", ["paper", "soft", "tint", "notice"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "link", "good", "bad", "open"])
def test_words_stand_out_from_what_is_behind_them(folder: Path, facts: dict[str, Any], ink: str, paper: str) -> None:
    source = write_report(folder, facts).read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", source))
    light, dark = luminance(colours[paper]), luminance(colours[ink])
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_markdown_says_the_same_and_leads_to_the_pictures(folder: Path, whole: dict[str, Any]) -> None:
    page = page_of(folder, whole)
    text = (folder / "report.md").read_text(encoding="utf-8")
    headings = [line.lstrip("# ") for line in text.splitlines() if re.match("##? ", line)]
    assert headings[:3] == ["Phantoms & friends", "Read this first", "In short"] and set(headings) <= set(page.text)
    assert "![Four grey squares](sheet.png)" in text
    assert "\\<b\\>x" in text and "<b>" not in text
    for name in re.findall(r"\]\(([^)]+)\)", text):
        assert (folder / name).is_file()


def test_json_holds_facts_answers_and_tables(folder: Path, whole: dict[str, Any]) -> None:
    write_report(folder, {**whole, "settings": {"nothing": float("nan"), "path": Path("x")}})

    def refuse(text: str) -> None:
        raise ValueError(text)

    report = json.loads((folder / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert report["format"] == 1 and report["judged_images"] == 5
    assert report["facts"]["seed"] == 7 and report["facts"]["settings"] == {"nothing": None, "path": "x"}
    names = {"table1", "pairings", "baselines", "ablation", "steps", "distribution", "audit", "claims"}
    names |= {"utility", "comparisons", "verdicts", "table5"}
    assert set(report["tables"]) == names
    assert report["tables"]["distribution"][0]["value"] == 0.5
    assert report["tables"]["audit"][0]["p"] is None
    assert [answer["topic"] for answer in report["in_short"]][:2] == ["Copying", "Likeness"]
    assert len(report["seven_cs"]) == 7


def test_nothing_is_written_where_a_picture_is_missing(folder: Path, facts: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no picture"):
        write_report(folder, {**facts, "closest": [{"path": "absent.png", "caption": ""}]})
    assert not [path for path in folder.iterdir() if path.name.startswith(("report", ".partial"))]


def test_the_same_facts_give_the_same_page(folder: Path, whole: dict[str, Any]) -> None:
    first = write_report(folder, whole).read_bytes()
    assert write_report(folder, whole).read_bytes() == first
