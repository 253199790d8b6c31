"""What the extras of `pip install monai-aggrgan[...]` bring, and one sentence for those who lack it."""

from __future__ import annotations

from importlib.util import find_spec

from monai_aggrgan.exceptions import InputError

__all__ = ["EXTRAS", "require"]

EXTRAS = {
    "itk": ("itk",),
    "mat": ("h5py",),
    "onnx": ("onnx", "onnxscript"),
    "report": ("matplotlib", "tensorboard"),
}
"""Extra -> the modules that the package imports of it, each when it is first needed."""


def require(extra: str, *, wanted_for: str) -> None:
    """Refuse to begin what would end in a missing module.

    Args:
        extra: a key of `EXTRAS`.
        wanted_for: what needs it, the first words of the sentence.

    Raises:
        InputError: when a module of the extra is not installed.

    Example:
        >>> require("report", wanted_for="A study")
    """
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise InputError(
            f"{wanted_for} needs what is not installed here ({', '.join(missing)}):"
            f" run pip install 'monai-aggrgan[{extra}]'."
        )
