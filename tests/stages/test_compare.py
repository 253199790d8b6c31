"""What is said of a comparison beside its tables."""

from __future__ import annotations

import json

from monai_aggrgan.data import write_manifest
from monai_aggrgan.data.manifest import sha256_of
from monai_aggrgan.stages import compare
from monai_aggrgan.stages.evaluate import AUDIT, read_evaluation


def test_what_was_not_asked_is_not_there(study_of, finished):
    settings = study_of(finished).settings
    assert not compare.is_there(settings) and not compare.is_current(settings) and compare.notes(settings) == []


def test_answers_stand_beside_a_failed_audit_and_notes_are_those_of_the_stage(study_of, copied):
    settings, folder = study_of(copied).settings, copied / "utility"
    folder.mkdir()
    for name, verdict in (("disc", "pass"), ("square", "fail")):
        rows = read_evaluation(settings, name, AUDIT)
        for row in rows:
            if (row["method"], row["measure"]) == ("aggrgan_ssim", "flagged"):
                row["verdict"] = verdict
        write_manifest(copied / "evaluate" / name, rows, name=AUDIT)
        digest = sha256_of((copied / "evaluate" / name / AUDIT).read_bytes())
        write_manifest(copied / "evaluate" / name, [{"file": AUDIT, "sha256": digest}])
    (folder / "utility.json").write_text(json.dumps({"notes": ["A note."]}), encoding="utf-8")
    for verdict, told in (("helps", ["It may.", "But the memorisation audit fails"]), ("cannot tell", ["It may."])):
        write_manifest(folder, [{"verdict": verdict, "sentence": "It may."}], name="verdicts.csv")
        found = compare.answers(settings)
        assert len(found) == len(told) and all(map(str.startswith, found, told))
    assert compare.notes(settings) == ["A note."]
