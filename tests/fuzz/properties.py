"""What every fuzz test holds: a value of the right kind or one sentence of ours, and no file where none belongs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import strategies as st

from monai_aggrgan.exceptions import AggrganError

__all__ = ["NAMES", "cut", "damaged", "folder_where_nothing_appears", "nested", "value_or_sentence"]

Value = TypeVar("Value")
EXTREMES = [0, 1, -1, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1]

NAMES = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                ".",
                "..",
                "../../x",
                "/x",
                "a/../../x",
                "..\\x",
                "C:\\x",
                "\\\\host\\x",
                "~/x",
                "a" * 300,
                "é" * 130,
            ),
            *(
                "con",
                "NUL.txt",
                "a ",
                "a.",
                "-",
                "=1+1",
                "+x",
                "@x",
                "$x",
                "%x",
                "x@#y",
                "x\ny",
                "x\0y",
                "\ud800",
                "\u202ex",
            ),
            *("<script>", "&amp;", "x|y", "manifest.csv", "$(touch x)", "`touch x`", "; touch x", "%s%n", "{x}", "-rf"),
        ]
    ),
    st.text(max_size=12),
)
"""Names that mean something to some system, shell, format or config, and any others."""


def value_or_sentence(run: Callable[[], Value], kind: type | tuple[type, ...]) -> Value | None:
    """What `run` gives, which must be of a kind; None where it is refused in one sentence of ours."""
    try:
        value = run()
    except AggrganError as error:
        sentence = str(error)
        assert (sentence.strip()[:1] and sentence[-1:] in ".)?") or sentence.endswith("only"), sentence[-300:]
        return None
    assert isinstance(value, kind), type(value)
    return value


@contextmanager
def folder_where_nothing_appears() -> Iterator[Path]:
    """A folder `output` among others, of which none may be another afterwards."""
    with TemporaryDirectory() as name:
        root = Path(name)
        output = root / "a" / "b" / "output"
        output.mkdir(parents=True)
        before = _others(root, output)
        yield output
        assert _others(root, output) == before


def _others(root: Path, output: Path) -> set[Path]:
    return {path for path in root.rglob("*") if not path.is_relative_to(output)}


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """Some bytes, or valid ones of which a few were changed, an end cut off or a part put in."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    content = bytearray(valid)
    near = st.integers(0, min(len(content), 400) - 1)
    places = st.one_of(near, st.integers(0, len(content) - 1))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(places)
        content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
    for _ in range(draw(st.integers(0, 2))):
        place, form = draw(places), draw(st.sampled_from(["<H", ">H", "<I", ">I", "<Q", ">Q", "<f"]))
        content[place : place + struct.calcsize(form)] = _packed(form, draw(st.sampled_from(EXTREMES)))
    if draw(st.booleans()):
        place = draw(places)
        content = (
            content[:place] if draw(st.booleans()) else content[:place] + draw(st.binary(max_size=9)) + content[place:]
        )
    return bytes(content)


@st.composite
def cut(draw: st.DrawFn, valid: bytes) -> bytes:
    """Valid bytes up to some place, or any bytes: of a damaged length GDCM takes gigabytes."""
    if draw(st.booleans()):
        return valid[: draw(st.integers(0, len(valid)))]
    return draw(st.binary(max_size=300))


def _packed(form: str, number: int) -> bytes:
    if form.endswith("f"):
        return struct.pack(form, float("nan") if number < 0 else float(number))
    return struct.pack(form, number % 2 ** (8 * struct.calcsize(form)))


def nested(depth: int = 3) -> st.SearchStrategy[object]:
    """Values as JSON and YAML hold them."""
    plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), NAMES)
    return st.recursive(
        plain,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=2**depth,
    )
