"""Empty files, for what is told by names alone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["touch"]


def touch(root: Path, *names: str) -> Path:
    """Make empty files, and the folders in which they lie; give `root` back."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root
