"""Pictures of a run in TensorBoard: how many, at which steps, and none drawn in vain."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from ignite.engine import Engine
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from monai_aggrgan.handlers.picture import PictureHandler

TAG = "disc/method"


def picture(number: int) -> NDArray[np.uint8]:
    return np.full((6, 9, 3), (number, 100 + number, 255), dtype=np.uint8)


class Painter:
    """An engine whose iteration has a batch of numbers, and pictures of them; `drawn` tells which were drawn."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.engine = Engine(lambda engine, batch: batch)

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        for number in self.engine.state.output:
            self.drawn.append(number)
            yield picture(number)

    def run(self, folder: Path, batches: Sequence[Sequence[int]], *, count: int, runs: int = 1) -> None:
        handler = PictureHandler(self.pictures, count=count, tag=TAG, log_dir=str(folder))
        handler.attach(self.engine)
        for _ in range(runs):
            self.engine.run(batches)
        handler.close()


def shown(folder: Path) -> list[tuple[int, int]]:
    """Step and number of each picture that TensorBoard has, after a check of all its pixels."""
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    found = []
    for event in events.Images(TAG) if TAG in events.Tags()["images"] else []:
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        np.testing.assert_array_equal(pixels, picture(int(pixels[0, 0, 0])))
        found.append((event.step, int(pixels[0, 0, 0])))
    return found


@pytest.mark.parametrize(
    ("count", "numbers"), [(0, []), (1, [7]), (2, [7, 5]), (3, [7, 5, 9]), (5, [7, 5, 9, 4, 6]), (9, [7, 5, 9, 4, 6])]
)
def test_the_first_pictures_of_a_run_are_its_steps_and_no_others_are_drawn(tmp_path, count, numbers):
    painter = Painter()
    painter.run(tmp_path, [[7, 5], [9, 4], [6]], count=count)
    assert shown(tmp_path) == list(enumerate(numbers))
    assert painter.drawn == numbers


def test_a_second_run_of_the_engine_starts_anew(tmp_path):
    painter = Painter()
    painter.run(tmp_path, [[7, 5], [9]], count=2, runs=2)
    assert shown(tmp_path) == [(0, 7), (1, 5), (0, 7), (1, 5)]
    assert painter.drawn == [7, 5, 7, 5]


def test_pictures_are_in_the_file_when_the_run_ends(tmp_path, monkeypatch):
    writer, flushed = SummaryWriter(str(tmp_path)), []
    monkeypatch.setattr(writer, "flush", lambda *_: flushed.append(writer.file_writer.flush()))
    painter = Painter()
    PictureHandler(painter.pictures, tag=TAG, summary_writer=writer).attach(painter.engine)
    painter.engine.run([[1], [2]])
    assert len(flushed) == 1 and shown(tmp_path) == [(0, 1), (1, 2)]  # before the writer is closed
    writer.close()


def test_a_writer_that_is_given_is_used_and_left_open(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter(str(tmp_path / "given"))
    painter = Painter()
    handler = PictureHandler(painter.pictures, tag=TAG, summary_writer=writer)
    handler.attach(painter.engine)
    painter.engine.run([[3]])
    handler.close()
    writer.add_scalar("still/open", 1.0, 0)
    writer.close()
    assert shown(tmp_path / "given") == [(0, 3)]
    assert EventAccumulator(str(tmp_path / "given")).Reload().Tags()["scalars"] == ["still/open"]
    assert [path.name for path in tmp_path.iterdir()] == ["given"]
