"""Options of a study: settings, or a sentence that names the option, whatever type and value they have."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from monai_aggrgan.stages.settings import StudySettings
from tests.conftest import OPTIONS
from tests.fuzz.properties import NAMES, damaged, folder_where_nothing_appears, nested, value_or_sentence

FIELDS = [name for name in StudySettings.__dataclass_fields__ if name != "config_dir"]
VALUES = st.one_of(
    nested(2),
    st.sampled_from(
        [0, 1, -1, 2, 2**31, 10**30, 10**5000, 0.5, float("nan"), float("inf"), -0.0, True, b"x", {1}, (), [[]], {}]
    ),
    st.sampled_from(
        [
            "auto",
            "none",
            "0",
            "~nobody_here/x",
            "x" * 5000,
            "meta",
            "cuda:99",
            "mps",
            "$1",
            "@seed",
            "%x",
            [0.1],
            [1, 0],
        ]
    ),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """An empty folder for a data set: options are looked at before it."""
    return tmp_path_factory.mktemp("data")


def settings_of(data: Path, output: Path, **options: object) -> StudySettings:
    given_options = {**OPTIONS, "dataset_dir": data, "output_dir": output, "generators": ["dcgan1"], "training": {}}
    return StudySettings.from_options(**{**given_options, **options})


def look_at_all(settings: StudySettings) -> StudySettings:
    """What stages ask of settings before they work."""
    settings.as_json()
    _ = settings.cut_slices, settings.torch_device, settings.style_dtype, settings.labels, settings.cutting
    settings.check_classifiers()
    return settings


@given(name=st.sampled_from(FIELDS), value=VALUES)
@example(name="output_dir", value="~nobody_here/x")
@example(name="dataset_dir", value="x" * 5000)
@example(name="datalist", value="a\0b")
@example(name="datalist", value="\ud800")
@example(name="seed", value=10**5000)
@example(name="image_size", value=2**40)
@example(name="device", value=[1])
@example(name="device", value="meta")
@example(name="layout", value={"a": 1})
@example(name="mat_key", value=5)
@example(name="classes", value=[None])
@example(name="intensity", value={"a": 1})
@example(name="synthetic_counts", value="1")
@example(name="note", value=["x"])
@example(name="pretrained", value={"small": 5})
@example(name="classifier_settings", value={"max_epochs": 10**5000})
@example(name="feature_spaces", value={"mine": {}})
@example(name="dataset_dir", value=10**5000)
@example(name="intensity", value=[10**5000, 1])
@example(name="slice_positions", value=[10**5000])
def test_any_value_of_any_option(data, name, value):
    with folder_where_nothing_appears() as output:
        value_or_sentence(lambda: look_at_all(settings_of(data, output, **{name: value})), StudySettings)


@given(options=st.dictionaries(st.one_of(st.sampled_from(FIELDS), NAMES), VALUES, max_size=4))
def test_any_options_together(data, options):
    with folder_where_nothing_appears() as output:
        value_or_sentence(lambda: look_at_all(settings_of(data, output, **options)), StudySettings)


def test_the_options_are_taken_without_the_odd_one(data, tmp_path):
    assert look_at_all(settings_of(data, tmp_path)).seed == 0


SETTINGS = sorted(yaml.safe_load(Path(OPTIONS["config_dir"], "train.yaml").read_text(encoding="utf-8")))


@given(name=st.one_of(st.sampled_from(SETTINGS), NAMES), value=VALUES)
@example(name="base_width", value="wide")
@example(name="base_width", value=float("nan"))
@example(name="decay_from", value="$1")
@example(name="max_epochs", value=2.5)
@example(name="batch_size", value="@x")
def test_any_setting_of_the_trainings(data, name, value):
    with folder_where_nothing_appears() as output:
        value_or_sentence(lambda: settings_of(data, output, training={name: value}), StudySettings)


CONFIG = Path(OPTIONS["config_dir"], "train_dcgan1.yaml").read_bytes()


@given(content=st.one_of(damaged(CONFIG), nested().map(lambda value: yaml.dump(value, allow_unicode=False).encode())))
@example(content=b"[")
@example(content=b"a: 1\na: 2\n")
@example(content=b"[" * 3000)
@example(content=b"a: !!python/object/apply:os.system ['true']\n")
@example(content=b"")
@example(content=b"x@#y: null\n")
@example(content=b"? ''\n: null\n")
def test_any_config(data, content):
    with tempfile.TemporaryDirectory() as folder, folder_where_nothing_appears() as output:
        for file in ("train.yaml", "recipe_strong.yaml", "classify.yaml", "classifier_small.yaml"):
            shutil.copy(Path(OPTIONS["config_dir"], file), folder)
        Path(folder, "train_dcgan1.yaml").write_bytes(content)
        value_or_sentence(lambda: look_at_all(settings_of(data, output, config_dir=folder)), StudySettings)
        Path(folder, "train_dcgan1.yaml").write_bytes(CONFIG)
        Path(folder, "classifier_small.yaml").write_bytes(content)
        value_or_sentence(lambda: look_at_all(settings_of(data, output, config_dir=folder)), StudySettings)
