from __future__ import annotations

import pytest

from monai_aggrgan.data.class_names import refuse_class_names
from monai_aggrgan.exceptions import InputError

UNUSABLE = [
    *("", ".", "..", ".hidden", "a/b", "a\\b", "C:", "a*", "what?", 'a"b', "a<b", "a|b", "end.", "end ", " start"),
    *("a\nb", "a\0b", "\ud800", "\u202egnp", "$x", "@x", "%x", "x@#y", "=1+1", "+x", "-x", "con", "AUX.txt", "com1"),
    *("manifest.csv", "Summary.TXT", "é" * 51),
]


@pytest.mark.parametrize("name", UNUSABLE, ids=ascii)
def test_unusable_names(name):
    with pytest.raises(InputError, match=r"cannot be the name of a class.*: rename it\.$") as caught:
        refuse_class_names(["glioma", name])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("names", [("Glioma", "glioma"), ("é", "e\u0301"), ("STRASSE", "straße")])
def test_names_of_one_folder(names):
    with pytest.raises(InputError, match="cannot both be names of classes"):
        refuse_class_names(names)


def test_usable_names():
    refuse_class_names(["glioma", "no tumour", "T1+C", "-1", "+0.5", "1", "脳", "100%", "a#b", "é" * 50, "glioma"])


def test_the_file_is_named():
    with pytest.raises(InputError, match=r"'\$x' cannot be the name of a class \(study/manifest.csv\)"):
        refuse_class_names(["$x"], source="study/manifest.csv")
