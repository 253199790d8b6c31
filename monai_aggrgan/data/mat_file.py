"""MATLAB files of every version as one tree of structs and variables, each variable as MATLAB shows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.data.declared_size import refuse_declared_size
from monai_aggrgan.data.mat5_check import refuse_damaged_mat5
from monai_aggrgan.exceptions import InputError, said_by
from monai_aggrgan.extras import require

__all__ = ["NUMBERS", "STRUCT", "TEXT", "MatNode", "open_mat"]

ONLY_MATLABS = ("function", "opaque", "unknown")
"""Classes of variables that SciPy does not read well."""
NUMBERS, TEXT, STRUCT = "numbers", "text", "a struct"
"""What a node can be, in words for an error; what is of no use here has further words, such as `a cell array`."""


class MatNode(ABC):
    """A struct of a MATLAB file, or a variable in it; the file itself is a struct of its variables."""

    @property
    @abstractmethod
    def content(self) -> str:
        """`NUMBERS` (real ones), `TEXT`, `STRUCT`, or in other words what it is."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Names of a struct's fields; none for anything else."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape as MATLAB tells it, rows first."""

    @abstractmethod
    def field(self, name: str) -> MatNode | None:
        """A field of a struct; None where there is none of that name."""

    @abstractmethod
    def array(self) -> NDArray[Any]:
        """Values of a variable in that shape, in the byte order of this computer."""

    @abstractmethod
    def text(self) -> str:
        """Text, from character codes; a single number in digits."""


@contextmanager
def open_mat(path: Path | str) -> Iterator[MatNode]:
    """The content of a MATLAB file: v7.3, which is HDF5, through h5py, and older ones through SciPy.

    Nothing is read that is not asked for, except that of a struct of an older file all is read. The file is closed
    when the block ends, and what was not asked for by then cannot be.

    Raises:
        InputError: when the file is absent or damaged or no MATLAB file, whether found here or within the block, or
            when the extra `mat` is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not there: put the file back, or leave it out.")
    require("mat", wanted_for=f"Reading {path}")
    try:
        import h5py

        if h5py.is_hdf5(path):
            with h5py.File(path, "r", locking=False) as file:  # locks fail on some network and read-only disks
                yield _Hdf5Node(file)
        else:
            yield _OldFile(path)
    except InputError:
        raise
    except Exception as error:  # h5py and SciPy raise many kinds, by where the damage is
        raise InputError(f"{path} cannot be read as a MATLAB file ({said_by(error)}): replace or remove it.") from error


class _Hdf5Node(MatNode):
    """HDF5 counts dimensions from the other end: what MATLAB calls (rows, columns) it shows as (columns, rows)."""

    def __init__(self, item: Any) -> None:
        self.item = item

    @property
    def content(self) -> str:
        kind = self.item.attrs.get("MATLAB_class", "")
        kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
        if not hasattr(self.item, "dtype"):
            return "a sparse matrix" if "MATLAB_sparse" in self.item.attrs else STRUCT
        if self.item.dtype.kind in "SO":
            return TEXT if self._is_string else "a cell array"
        if self.item.dtype.kind not in "buif":
            is_complex = self.item.dtype.kind == "c" or {"real", "imag"} <= set(self.item.dtype.names or ())
            return "complex numbers" if is_complex else "something else"
        return {"char": TEXT, "cell": "a cell array", "struct": "a struct array"}.get(kind, NUMBERS)

    @property
    def _is_string(self) -> bool:
        import h5py

        return h5py.check_string_dtype(self.item.dtype) is not None

    @property
    def names(self) -> list[str]:
        return [name for name in self.item if not name.startswith("#")] if self.content == STRUCT else []

    @property
    def shape(self) -> tuple[int, ...]:
        if "MATLAB_empty" in self.item.attrs:  # its values are the shape
            return tuple(int(length) for length in np.ravel(self.item[()]))
        return tuple(reversed(self.item.shape))

    def field(self, name: str) -> MatNode | None:
        if self.content != STRUCT or name.startswith("#") or not _is_inside(self.item, name):
            return None
        return _Hdf5Node(self.item[name])

    def array(self) -> NDArray[Any]:
        refuse_declared_size(self.shape, self.item.file.filename)
        if getattr(self.item, "external", None) or getattr(self.item, "is_virtual", False):
            raise ValueError("its values stand in another file")
        if "MATLAB_empty" in self.item.attrs:
            return np.zeros(self.shape, self.item.dtype)
        return _native(np.asarray(self.item[()]).T)

    def text(self) -> str:
        if self.item.dtype.kind in "SO":
            return "".join(value.decode("utf-8", "replace") for value in np.ravel(self.item[()]))
        if self.item.dtype.kind == "f":
            return _digits(self.array())
        return self.array().ravel("F").astype("<u2").tobytes().decode("utf-16-le", "replace")


def _is_inside(group: Any, name: str) -> bool:
    """Whether a group has a member; one that is a link is refused unseen: it may lead to any file of this computer."""
    from h5py import h5l

    links, encoded = group.id.links, name.encode("utf-8", "surrogatepass")
    if "\0" in name or not links.exists(encoded):
        return False
    if links.get_info(encoded).type != h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link to somewhere else")
    return True


class _OldNode(MatNode):
    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def content(self) -> str:
        if not isinstance(self.value, np.ndarray):
            return "a sparse matrix" if hasattr(self.value, "nnz") else "something else"
        if self.value.dtype.names:
            return STRUCT if self.value.size == 1 else "a struct array"
        kinds = {"c": "complex numbers", "U": TEXT, "S": TEXT, "O": "a cell array"} | dict.fromkeys("buif", NUMBERS)
        return kinds.get(self.value.dtype.kind, "something else")

    @property
    def names(self) -> list[str]:
        return list(self.value.dtype.names) if self.content == STRUCT else []

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def field(self, name: str) -> MatNode | None:
        return _OldNode(self.value[name].flat[0]) if name in self.names else None

    def array(self) -> NDArray[Any]:
        return _native(self.value)

    def text(self) -> str:
        return "".join(self.value.ravel("F")) if self.content == TEXT else _digits(self.value)


class _OldFile(_OldNode):
    """Its variables are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        from scipy.io import whosmat
        from scipy.io.matlab import matfile_version

        super().__init__(None)
        if matfile_version(str(path), appendmat=False)[0] == 1:
            refuse_damaged_mat5(path)
        self.path = path
        declared = whosmat(str(path), appendmat=False)
        for _, shape, _ in declared:
            refuse_declared_size(shape, path, bytes_a_value=1)
        self.variables = {str(name): str(kind) for name, _, kind in declared}

    @property
    def content(self) -> str:
        return STRUCT

    @property
    def names(self) -> list[str]:
        return list(self.variables)

    def field(self, name: str) -> MatNode | None:
        if name not in self.variables:
            return None
        if self.variables[name] in ONLY_MATLABS:
            return _OldNode(None)
        value = self._load(name, mat_dtype=False)
        # as stored, numbers are in fewer bytes where they fit; of their class, as in v7.3, complex ones would be halved
        return _OldNode(value if _has_complex(value) else self._load(name, mat_dtype=True))

    def _load(self, name: str, *, mat_dtype: bool) -> Any:
        from scipy.io import loadmat

        return loadmat(str(self.path), appendmat=False, mat_dtype=mat_dtype, variable_names=[name])[name]


def _has_complex(value: Any) -> bool:
    if not isinstance(value, np.ndarray):
        return np.iscomplexobj(value)
    if value.dtype.names:
        return any(_has_complex(value[name]) for name in value.dtype.names)
    return any(map(_has_complex, value.flat)) if value.dtype.kind == "O" else value.dtype.kind == "c"


def _native(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "b":  # MATLAB's logical, which v7.3 stores as bytes
        return array.astype(np.uint8)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _digits(values: NDArray[Any]) -> str:
    if values.size != 1:
        raise ValueError(f"text is wanted, got {values.size} numbers")
    return f"{float(values.flat[0]):.15g}"
