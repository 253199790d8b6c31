"""Answering real images with merges of the best candidates of several generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor, look_up_option
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.inferers.matching import MATCHINGS
from monai_aggrgan.inferers.merge import GAUSSIANS, MERGINGS, merging_weights, weighted_sum
from monai_aggrgan.inferers.method_picture import method_picture
from monai_aggrgan.inferers.select import Selection, make_pool, select_candidates
from monai_aggrgan.metrics.pairwise import PairwiseMetric
from monai_aggrgan.networks.ensemble import GeneratorEnsemble

__all__ = ["AggregationInferer", "AggregationReport"]


@dataclass(frozen=True)
class AggregationReport:
    """What one merged image was made of: generators by falling score, their seeds and scores."""

    generators: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]

    def parts(self) -> Iterator[tuple[str, int, float]]:
        """Generator, seed and score of each candidate."""
        return zip(self.generators, self.seeds, self.scores, strict=True)


class AggregationInferer(Inferer):
    """Answers each real image with a merge of the best candidates of several generators.

    Each generator's pool is made once, from the seeds `first_seed`, `first_seed + 1`, ..., when a network is first
    seen, and kept; `reset` forgets it. What is answered again, in a further round, is answered from pools of other
    seeds, which take the place of those before. The result for an image does not depend on the others in its batch.
    Signals (B, 1, W) and volumes (B, 1, D, H, W) are answered as images are; only `pictures` does not draw them.

    Args:
        pool_size: images a generator makes.
        first_seed: seed of the pools' first images.
        top_k: candidates that are merged, the paper's 2; at most the number of generators are.
        metric: selection metric, `ssim`, `psnr` or a function, see `select_candidates`.
        matching: `best` or `unique`, see `match`. A unique matching needs `references`.
        merging: `edge-weighted` (Algorithm 1), `metric-weighted`, `mean` or `best-single`, see `merging_weights`.
        sigma: see `edge_weighted_mean`.
        gaussian: see `edge_weighted_mean`.
        references: all real images (N, 1, H, W) in [0, 1] that will be answered, if they are known. They are then
            matched at once when the first of them is met, and only they can be answered; of equal images, the first
            one's answer serves for all.
        pools: ready pools (N, 1, H, W) by generator, image i of seed `first_seed + i`; the network is then not run.
        progress: show a bar for each pool when the references are matched at once.
        selection: what `select_candidates` has found in `pools` for `references`; it is not searched again.

    Attributes:
        reports: an `AggregationReport` for each image of the last call.
        candidates: the images (B, K, 1, H, W) that the last call merged, by falling score.
        weights: their weights (B, K, 1, H, W).

    Raises:
        ValueError: when an option is not one of those allowed, or needs another that is missing.

    Example:
        >>> from monai_aggrgan.networks import DCGAN2Generator, GeneratorEnsemble
        >>> ensemble = GeneratorEnsemble({n: DCGAN2Generator(image_size=16, base_width=4, seed=ord(n)) for n in "ab"})
        >>> AggregationInferer(pool_size=8)(torch.rand(3, 1, 16, 16), ensemble).shape
        torch.Size([3, 1, 16, 16])
    """

    def __init__(
        self,
        *,
        pool_size: int = 1024,
        first_seed: int = 0,
        top_k: int = 2,
        metric: str | PairwiseMetric = "ssim",
        matching: str = "best",
        merging: str = "edge-weighted",
        sigma: float = 1.0,
        gaussian: str = "filter",
        references: Tensor | None = None,
        pools: Mapping[str, Tensor] | None = None,
        selection: Selection | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__()
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        self.pool_size, self.first_seed, self.top_k = pool_size, first_seed, top_k
        self.metric = look_up_option(metric, ("ssim", "psnr")) if isinstance(metric, str) else metric
        self.matching = look_up_option(matching, MATCHINGS)
        self.merging = look_up_option(merging, MERGINGS)
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.sigma, self.gaussian = sigma, look_up_option(gaussian, GAUSSIANS)
        if references is None and (matching == "unique" or selection is not None):
            told = "matching='unique'" if selection is None else "a selection"
            raise ValueError(f"{told} needs `references`, all the images that will be answered")
        if selection is not None and (pools is None or tuple(pools) != selection.generators):
            raise ValueError(
                f"a selection needs the `pools` that it was made from, {', '.join(selection.generators)}, "
                f"got {', '.join(pools or ()) or 'none'}"
            )
        if selection is not None and references is not None and len(selection.scores) != len(references):
            raise ValueError(f"the selection was made for {len(selection.scores)} references, got {len(references)}")
        self._references: Tensor | None = None
        self._row_of: dict[bytes, int] = {}
        if references is not None:
            self._references = convert_to_tensor(references, track_meta=False)
            self._row_of = _rows_by_content(references)
        self.progress = progress
        self._given = pools is not None
        self._pools = dict(pools or {})
        self._given_selection = self._selection = selection
        self._network: GeneratorEnsemble | None = None
        self._round = 0
        self.reports: list[AggregationReport] = []
        self.candidates = self.weights = self._inputs = torch.empty(0)

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: GeneratorEnsemble, rounds: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Merged images (B, 1, H, W) in [0, 1] for the real images `inputs` (B, 1, H, W) in [0, 1].

        Args:
            inputs: the real images.
            network: the generators.
            rounds: how often each image was answered before, 0 by default: in round r the seeds of the pools begin at
                `first_seed + r * pool_size`.

        Raises:
            ValueError: when an image is not among the references that were named, or its round is not a number of at
                least 0, or not 0 where ready pools were given.
        """
        references = self._inputs = convert_to_tensor(inputs, track_meta=False)
        turns = [0] * len(references) if rounds is None else [int(turn) for turn in rounds]
        if len(turns) != len(references) or min(turns, default=0) < 0:
            raise ValueError(f"rounds must be {len(references)} numbers of at least 0, one an image, got {turns}")
        rows_of = {turn: [row for row, of in enumerate(turns) if of == turn] for turn in sorted({*turns})}
        parts = [self._candidates(references[rows], network, turn) for turn, rows in rows_of.items()]
        images, metrics, reports = (list(column) for column in zip(*parts, strict=True))
        back = torch.tensor([row for rows in rows_of.values() for row in rows]).argsort()
        self.candidates, scores = torch.cat(images)[back], torch.cat(metrics)[back]
        self.reports = [[*chain(*reports)][row] for row in back.tolist()]
        self.weights = merging_weights(
            self.candidates, scores, merging=self.merging, sigma=self.sigma, gaussian=self.gaussian
        )
        return weighted_sum(self.candidates, self.weights)

    def pictures(self, *, styled: Tensor | None = None) -> Iterator[NDArray[np.uint8]]:
        """How each image of the last call was made, drawn as the paper's Fig. 8; `PictureHandler` shows them.

        Args:
            styled: the same images after style transfer (B, 1, H, W) in [0, 1], where they have it.
        """
        metric = self.metric.upper() if isinstance(self.metric, str) else "score"
        for index, report in enumerate(self.reports):
            yield method_picture(
                self.candidates[index],
                self.weights[index],
                reference=self._inputs[index],
                labels=[f"{name}, seed {seed}, {metric} {score:.3f}" for name, seed, score in report.parts()],
                sigma=self.sigma,
                gaussian=self.gaussian,
                styled=None if styled is None else styled[index],
            )

    def reset(self) -> None:
        """Forget the pools that were made, after a network has been trained further, and what was found in them."""
        self._network = None
        self._selection = self._given_selection

    def _candidates(
        self, references: Tensor, network: GeneratorEnsemble, turn: int
    ) -> tuple[Tensor, Tensor, list[AggregationReport]]:
        """Images (B, K, 1, H, W) of a round's pools by falling score, their scores (B, K), and what they are."""
        pools = self._pools_of(network, turn)
        selection = self._select(references, pools)
        order = selection.top(self.top_k)
        images = _chosen_images(selection, order, pools).to(references.device, torch.float32)
        return images, selection.scores.gather(1, order), self._describe(selection, order, turn)

    def _pools_of(self, network: GeneratorEnsemble, turn: int) -> Mapping[str, Tensor]:
        if self._given and turn:
            raise ValueError(f"ready `pools` answer an image once, in round 0, got round {turn}")
        if not self._given and (network is not self._network or turn != self._round):
            self.reset()
            start = self.first_seed + turn * self.pool_size
            images = make_pool(network, seeds=range(start, start + self.pool_size))
            self._pools = dict(zip(network.names, images.unbind(dim=1), strict=True))
            self._network, self._round = network, turn
        return self._pools

    def _select(self, references: Tensor, pools: Mapping[str, Tensor]) -> Selection:
        if self._references is None:
            return select_candidates(references, pools, metric=self.metric)
        rows = [self._row(image) for image in references.cpu()]
        if self._selection is None:
            known = self._references.to(references.device)
            label = "search" if self.progress else None
            self._selection = select_candidates(
                known, pools, metric=self.metric, matching=self.matching, progress=label
            )
        return self._selection.of_references(rows)

    def _row(self, image: Tensor) -> int:
        try:
            return self._row_of[_content(image)]
        except KeyError:
            raise ValueError(
                f"an image is not among the {len(self._row_of)} `references` that this inferer was made for: give all "
                "images that will be answered, as they are after all transforms"
            ) from None

    def _describe(self, selection: Selection, order: Tensor, turn: int) -> list[AggregationReport]:
        seeds = selection.indices.gather(1, order).add(self.first_seed + turn * self.pool_size).tolist()
        scores = selection.scores.gather(1, order).tolist()
        generators = [tuple(selection.generators[index] for index in row) for row in order.tolist()]
        return [
            AggregationReport(generators=name, seeds=tuple(seed), scores=tuple(score))
            for name, seed, score in zip(generators, seeds, scores, strict=True)
        ]


def _chosen_images(selection: Selection, order: Tensor, pools: Mapping[str, Tensor]) -> Tensor:
    """The candidates (B, K, 1, H, W) of the generators `order` (B, K); no others are read from the pools."""
    images = list(pools.values())
    indices = selection.indices.gather(1, order).tolist()
    rows = zip(order.tolist(), indices, strict=True)
    return torch.stack([torch.stack([images[g][i] for g, i in zip(*row, strict=True)]) for row in rows])


def _rows_by_content(references: Tensor) -> dict[bytes, int]:
    contents = [_content(image) for image in convert_to_tensor(references, track_meta=False).cpu()]
    return {content: row for row, content in reversed(list(enumerate(contents)))}  # of equal images the first


def _content(image: Tensor) -> bytes:
    return image.numpy().tobytes()
