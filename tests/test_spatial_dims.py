"""Every public part in 1, 2 and 3 spatial dimensions: it works or refuses, as docs/spatial_dims.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events, State
from torch import Tensor, nn

from monai_aggrgan import data, engines, handlers, inferers, losses, metrics, networks, transforms, visualize
from monai_aggrgan.exceptions import InputError

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("networks", "losses", "metrics", "inferers", "transforms", "engines", "handlers", "data", "optimizers")
ROOMS += ("visualize",)
SIDE = 16
REFUSAL = r"\((B|N|M|K|1).*H, W\).* got .*[\[(]\d.*"
"""What a refusal must say: the shape that is allowed, and the one that came."""

Part = Callable[[Tensor, Any], Any]


def documented() -> dict[str, tuple[set[int], str]]:
    """For each public name in the page's tables the dimensions that it takes, and the row's last column."""
    found = {}
    for line in (ROOT / "docs" / "spatial_dims.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and set(cells[1:4]) <= {"yes", "no"}:
            dims = {place for place in (1, 2, 3) if cells[place] == "yes"}
            for name in re.findall(r"`([\w.]+)`", cells[0]):
                assert name not in found, f"{name} stands twice"
                found[name] = dims, cells[4]
    return found


def dimension_free() -> set[str]:
    """The public names that the page lists as having nothing to do with the shape of images."""
    page = (ROOT / "docs" / "spatial_dims.md").read_text(encoding="utf-8")
    return set(re.findall(r"`([\w.]+)`", page.partition("## Nothing to do with it")[2]))


def images(spatial_dims: int, count: int = 4) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, *(SIDE,) * spatial_dims, generator=random)


def generator(spatial_dims: int, kind: str = "DCGAN2", **options: Any) -> nn.Module:
    build = getattr(networks, f"{kind}Generator")
    width = {"hidden": (8,)} if kind == "WGANDiv" else {"base_width": 2}
    return build(image_size=SIDE, latent_size=14, spatial_dims=spatial_dims, **width, **options)


def critic(spatial_dims: int, name: str, **options: Any) -> nn.Module:
    width = {"hidden": (8,)} if name == "WGANDivCritic" else {"base_width": 2}
    return getattr(networks, name)(image_size=SIDE, spatial_dims=spatial_dims, **width, **options)


def ensemble(spatial_dims: int) -> nn.Module:
    return networks.GeneratorEnsemble({"a": generator(spatial_dims), "b": generator(spatial_dims, "DCGAN1")})


def made_by(kind: str) -> Part:
    return lambda x, _: check_shape(generator(x.ndim - 2, kind)(torch.randn(4, 14)), x)


def judged_by(name: str) -> Part:
    return lambda x, _: critic(x.ndim - 2, name)(x)


def check_shape(found: Tensor, wanted: Tensor) -> Tensor:
    assert found.shape == wanted.shape
    return found


def terms_of(objective: Any, name: str = "DCGAN2Discriminator", **options: Any) -> Part:
    def terms(x: Tensor, _: Any) -> Tensor:
        judge, latent = critic(x.ndim - 2, name, **options), torch.randn(4, 14)
        both = objective.discriminator_terms(judge, x, x.flip(0), latent) | objective.generator_terms(judge, x, latent)
        return torch.stack(list(both.values()))

    return terms


def whole_training(x: Tensor, _: Any) -> Tensor:
    spatial_dims = x.ndim - 2
    made, judge = generator(spatial_dims), critic(spatial_dims, "DCGAN2Discriminator")
    engines.LatentGanTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": x}, {"image": x.flip(0)}],
        generator=made,
        critic=judge,
        objective=losses.LogisticObjective(),
        generator_optimizer=torch.optim.Adam(made.parameters()),
        critic_optimizer=torch.optim.Adam(judge.parameters()),
        latents=data.NormalLatents(14),
        augmentation=transforms.DifferentiableAugmentation(p=0.5),
    ).run()
    return torch.cat([parameter.flatten() for parameter in made.parameters()])


def classifier_training(x: Tensor, _: Any) -> Tensor:
    network = networks.GreyClassifier(nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), channels=1)
    network(x)
    engines.ClassifierTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": x, "label": torch.tensor([0, 1, 0, 1])}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=nn.CrossEntropyLoss(),
    ).run()
    return network(x)


def one_gan_step(x: Tensor, _: Any) -> Tensor:
    made, judge = generator(x.ndim - 2), critic(x.ndim - 2, "DCGAN2Discriminator")
    step = engines.GanStep(
        generator=made,
        critic=judge,
        objective=losses.LogisticObjective(),
        generator_optimizer=torch.optim.Adam(made.parameters()),
        critic_optimizer=torch.optim.Adam(judge.parameters()),
        latents=data.NormalLatents(14),
        random=torch.Generator().manual_seed(0),
    )
    return torch.stack(list(step(x, with_generator=True).values()))


def sample_grid(x: Tensor, folder: Path) -> None:
    handler = handlers.SampleGridHandler(generator(x.ndim - 2), torch.randn(2, 14), log_dir=str(folder))
    handler(Engine(lambda engine, batch: None))
    handler.close()


def best_generator(x: Tensor, folder: Path) -> Tensor:
    handler = handlers.BestGenerator(
        generator(x.ndim - 2),
        torch.randn(8, 14),
        training=images(x.ndim - 2, 12),
        held_out=x,
        embedding=nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(8)),
        log_dir=str(folder),
    )
    engine = Engine(lambda engine, batch: None)
    engine.state.epoch = 1
    handler(engine)
    handler.close()
    return torch.tensor(handler.kid)


def projector(x: Tensor, folder: Path) -> None:
    handler = handlers.EmbeddingProjectorHandler(
        generator(x.ndim - 2), torch.randn(2, 14), real={"a": x}, interval=9, log_dir=str(folder)
    )
    handler.close()


def saved(x: Tensor, folder: Path) -> None:
    saver = handlers.ImageFolderSaver(folder, describe=lambda state: [{"name": f"n{i}"} for i in range(len(x))])
    engine = Engine(lambda engine, batch: {"pred": x})
    saver.attach(engine)
    engine.state = State()
    engine.run([0])


def replaced(x: Tensor, _: Any) -> Tensor:
    return transforms.RandSyntheticSliced("image", [1 - x], prob=1.0)({"image": x[0], "label": 0})["image"]


def aggregated(x: Tensor, _: Any) -> Tensor:
    return check_shape(inferers.AggregationInferer(pool_size=3)(x, ensemble(x.ndim - 2)), x)


def kept(x: Tensor, folder: Path) -> Tensor:
    inferer = inferers.KeptAnswersInferer(inferers.AggregationInferer(pool_size=3), folder)
    return check_shape(inferer(x, ensemble(x.ndim - 2), names=list("abcd")), x)


def styled(x: Tensor, _: Any) -> Tensor:
    features = networks.VGG19Features()
    inferer = inferers.AGGrGANInferer(
        inferers.AggregationInferer(pool_size=3), inferers.StyleTransferInferer(max_iterations=1), features
    )
    return inferer(x, ensemble(x.ndim - 2))


def drawn(x: Tensor, _: Any) -> Any:
    names = ("candidates", "edges", "smoothed", "weights")
    return visualize.aggregation_figure(**dict.fromkeys(names, x[:2]), result=x[0], reference=x[0], labels=["a", "b"])


def vgg(x: Tensor) -> networks.VGG19Features:
    return networks.VGG19Features()


def candidates(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.stack([x, x.flip(0)], dim=1), torch.rand(len(x), 2)


def written_slices(x: Tensor, folder: Path) -> Any:
    data.write_image_array(folder / "a", x, [{"section": "training", "id": str(i)} for i in range(len(x))])
    return data.PreparedSlices(folder, class_name="a")[[0]]["image"]


def written_array(x: Tensor, folder: Path) -> Tensor:
    data.write_image_array(folder, x, [{"id": str(i)} for i in range(len(x))])
    assert torch.equal(data.map_image_array(folder)[0], x.half())
    return check_shape(data.read_image_array(folder)[0], x)


ONES: dict[str, Part] = {
    "networks.DCGAN1Generator": made_by("DCGAN1"),
    "networks.DCGAN2Generator": made_by("DCGAN2"),
    "networks.InfoGANGenerator": made_by("InfoGAN"),
    "networks.WGANDivGenerator": made_by("WGANDiv"),
    **{
        f"networks.{name}": judged_by(name)
        for name in ("DCGAN1Discriminator", "DCGAN2Discriminator", "InfoGANCritic", "WGANDivCritic")
    },
    "networks.GeneratorEnsemble": lambda x, _: check_shape(ensemble(x.ndim - 2)(torch.randn(4, 14))[:, 0], x),
    "networks.GreyClassifier": lambda x, _: networks.GreyClassifier(nn.Flatten(), channels=2)(x),
    "networks.VGG19Classifier": lambda x, _: networks.VGG19Classifier(2)(x.repeat(1, 3, *(2,) * (x.ndim - 2))),
    "networks.VGG19Features": lambda x, _: vgg(x)(x)["relu1_1"],
    "networks.VGG19Embedding": lambda x, _: networks.VGG19Embedding(vgg(x))(x),
    "networks.FeatureSpace": lambda x, _: networks.FeatureSpace("a", "b", nn.Flatten())(x),
    "networks.pixel_space": lambda x, _: networks.pixel_space(8)(x),
    "networks.vgg19_space": lambda x, _: networks.vgg19_space(vgg(x), weights_name="random")(x),
    "networks.custom_space": lambda x, _: networks.custom_space("a", {"target": "torch.nn.Flatten"})(x),
    "losses.LogisticObjective": terms_of(losses.LogisticObjective()),
    "losses.LeastSquaresObjective": terms_of(losses.LeastSquaresObjective()),
    "losses.WassersteinDivergenceObjective": terms_of(losses.WassersteinDivergenceObjective(), "WGANDivCritic"),
    "losses.InformationObjective": terms_of(
        losses.InformationObjective(lambda latent: (latent[:, :10].softmax(1), latent[:, 10:12])), "InfoGANCritic"
    ),
    "losses.R1Objective": terms_of(losses.R1Objective(losses.LogisticObjective()), normalization="layer"),
    "losses.r1_penalty": lambda x, _: losses.r1_penalty(critic(x.ndim - 2, "WGANDivCritic"), x, gamma=1.0),
    "losses.wasserstein_divergence_penalty": lambda x, _: losses.wasserstein_divergence_penalty(
        critic(x.ndim - 2, "WGANDivCritic"), x, x.flip(0), mix=torch.rand(4, *(1,) * (x.ndim - 1))
    ),
    "losses.content_loss": lambda x, _: losses.content_loss(x, x.flip(0)),
    "losses.gram_matrix": lambda x, _: losses.gram_matrix(x),
    "losses.style_loss": lambda x, _: losses.style_loss(x, losses.gram_matrix(x.flip(0)), style_map_size=x[0].numel()),
    "losses.total_variation": lambda x, _: losses.total_variation(x),
    "metrics.AllPairsPSNR": lambda x, _: metrics.AllPairsPSNR(x[:2])(x[2:]),
    "metrics.AllPairsSSIM": lambda x, _: metrics.AllPairsSSIM(x)(x),
    "metrics.AlignedSSIM": lambda x, _: metrics.AlignedSSIM(x)(x).ssim,
    "metrics.ShortlistSSIM": lambda x, _: metrics.ShortlistSSIM(x).shortlist(x),
    "metrics.chosen_pairs_ssim": lambda x, _: metrics.chosen_pairs_ssim(x, x, torch.tensor([[1], [0], [3], [2]])),
    "metrics.pairwise_psnr": lambda x, _: metrics.pairwise_psnr(x[:2], x[2:]),
    "metrics.pairwise_ssim": lambda x, _: metrics.pairwise_ssim(x, x),
    "metrics.best_matches": lambda x, _: metrics.best_matches(x, x[:2])[1],
    "metrics.HistogramKLMetric": lambda x, _: metrics.HistogramKLMetric()(x, x.square()),
    "metrics.histogram_kl_divergence": lambda x, _: metrics.histogram_kl_divergence(x, x.square()),
    "metrics.SharpnessDifferenceMetric": lambda x, _: metrics.SharpnessDifferenceMetric()(x, x.square()),
    "metrics.sharpness_difference": lambda x, _: metrics.sharpness_difference(x, x.square()),
    "metrics.ms_ssim_diversity": lambda x, _: metrics.ms_ssim_diversity(x).values,
    "metrics.distinct_images": lambda x, _: torch.tensor(metrics.distinct_images(x)),
    "inferers.AggregationInferer": aggregated,
    "inferers.AGGrGANInferer": styled,
    "inferers.KeptAnswersInferer": kept,
    "inferers.StyleTransferInferer": lambda x, _: inferers.StyleTransferInferer(max_iterations=0)(x, vgg(x), content=x),
    "inferers.SelectionInferer": lambda x, _: check_shape(
        inferers.SelectionInferer(pool_size=3)(x, generator(x.ndim - 2)), x
    ),
    "inferers.NearestInferer": lambda x, _: check_shape(inferers.NearestInferer(x.flip(0), metric="psnr")(x), x),
    "inferers.make_pool": lambda x, _: check_shape(inferers.make_pool(generator(x.ndim - 2), seeds=range(4)), x),
    "inferers.match": lambda x, _: inferers.match(x, x[:2], matching="unique")[1],
    "inferers.select_candidates": lambda x, _: inferers.select_candidates(x, {"a": x}).scores,
    "inferers.edge_weighted_mean": lambda x, _: check_shape(inferers.edge_weighted_mean(*candidates(x)), x),
    "inferers.merging_weights": lambda x, _: inferers.merging_weights(*candidates(x)),
    "inferers.weighted_sum": lambda x, _: check_shape(inferers.weighted_sum(candidates(x)[0], candidates(x)[0] / 2), x),
    "inferers.sobel_magnitude": lambda x, _: check_shape(inferers.sobel_magnitude(x, spatial_dims=x.ndim - 2), x),
    "inferers.gaussian_of_edges": lambda x, _: check_shape(inferers.gaussian_of_edges(x, spatial_dims=x.ndim - 2), x),
    "inferers.method_picture": lambda x, _: inferers.method_picture(x[:2], x[:2], reference=x[0], labels=["a", "b"]),
    "transforms.DifferentiableAugmentation": lambda x, _: check_shape(
        transforms.DifferentiableAugmentation(p=0.5)(x, torch.Generator().manual_seed(0)), x
    ),
    "transforms.flip_shift_zoom": lambda x, _: check_shape(transforms.flip_shift_zoom(x[0], "zoom", 0), x[0]),
    "transforms.RandSyntheticSliced": replaced,
    "engines.LatentGanTrainer": whole_training,
    "engines.GanStep": one_gan_step,
    "engines.ClassifierTrainer": classifier_training,
    "handlers.SampleGridHandler": sample_grid,
    "handlers.BestGenerator": best_generator,
    "handlers.EmbeddingProjectorHandler": projector,
    "handlers.ImageFolderSaver": saved,
    "data.LabelledImages": lambda x, _: data.LabelledImages(x, torch.zeros(4, dtype=torch.int64))[0]["image"],
    "data.PreparedSlices": written_slices,
    "data.write_image_files": lambda x, folder: data.write_image_files(folder, "a", x[0]),
    **dict.fromkeys([f"data.{name}_image_array" for name in ("write", "read", "map")], written_array),
    "data.write_image_parts": written_array,
    "visualize.contact_sheet": lambda x, _: visualize.contact_sheet(x),
    "visualize.aggregation_figure": drawn,
    "visualize.labelled_rows": lambda x, _: visualize.labelled_rows([("a", list(x))]),
    "visualize.method_figure": lambda x, _: visualize.method_figure({"a": {"b": x[0]}}),
    "visualize.pairs_figure": lambda x, _: visualize.pairs_figure([("a", x[0], x[1])]),
}
"""What is done with images (4, 1, ...) by each part, by room and name; the second argument is an empty folder."""


def test_the_page_names_every_public_part_once():
    public = {f"{room}.{name}" for room in ROOMS for name in import_module(f"monai_aggrgan.{room}").__all__}
    told, free = documented(), dimension_free()
    assert not told.keys() & free
    assert told.keys() | free == public, (
        f"missing {public - told.keys() - free}, too many {(told.keys() | free) - public}"
    )


def test_every_part_of_the_tables_is_tried_here_or_said_to_take_what_files_hold():
    of_files = {name for name, (_, why) in documented().items() if why.startswith("cuts or reads slices")}
    assert documented().keys() == ONES.keys() | of_files
    assert not ONES.keys() & of_files


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("name", ONES)
def test_each_part_works_or_refuses_as_the_page_says(name, spatial_dims, tmp_path):
    x = images(spatial_dims)
    if spatial_dims in documented()[name][0]:
        found = ONES[name](x, tmp_path)
        if isinstance(found, Tensor):
            assert found.isfinite().all() or "psnr" in name.lower()
    else:
        with pytest.raises((ValueError, InputError), match=REFUSAL):
            ONES[name](x, tmp_path)


@pytest.mark.parametrize("spatial_dims", [1, 3])
def test_networks_of_other_dimensions_than_the_images_end_a_training_with_one_sentence(spatial_dims):
    made, judge = generator(spatial_dims), critic(spatial_dims, "DCGAN2Discriminator")
    trainer = engines.LatentGanTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": images(2)}],
        generator=made,
        critic=judge,
        objective=losses.LogisticObjective(),
        generator_optimizer=torch.optim.Adam(made.parameters()),
        critic_optimizer=torch.optim.Adam(judge.parameters()),
        latents=data.NormalLatents(14),
    )
    with pytest.raises(InputError, match=REFUSAL.replace("H, W", "16") + "spatial_dims"):
        trainer.run()


GANS = {
    "dcgan1": ("DCGAN1", "DCGAN1Discriminator", losses.LogisticObjective),
    "dcgan2": ("DCGAN2", "DCGAN2Discriminator", losses.LogisticObjective),
    "lsgan": ("DCGAN2", "DCGAN2Discriminator", losses.LeastSquaresObjective),
    "wgan_div": ("WGANDiv", "WGANDivCritic", losses.WassersteinDivergenceObjective),
    "wgan_div_conv": ("DCGAN2", "DCGAN2Discriminator", losses.WassersteinDivergenceObjective),
    "infogan": ("InfoGAN", "InfoGANCritic", losses.InformationObjective),
}


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("gan", GANS)
def test_two_steps_of_each_gan_move_both_networks(gan, spatial_dims):
    kind, judge, objective = GANS[gan]
    made = generator(spatial_dims, kind)
    options = {"normalization": "layer"} if gan == "wgan_div_conv" else {}
    against = critic(spatial_dims, judge, **options)
    before = [[parameter.detach().clone() for parameter in network.parameters()] for network in (made, against)]
    outputs = []
    trainer = engines.LatentGanTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": images(spatial_dims)}, {"image": images(spatial_dims).flip(0)}],
        generator=made,
        critic=against,
        objective=objective(made.codes) if gan == "infogan" else objective(),
        generator_optimizer=torch.optim.Adam(made.parameters(), lr=1e-3, betas=(0.5, 0.999)),
        critic_optimizer=torch.optim.Adam(against.parameters(), lr=1e-3, betas=(0.5, 0.999)),
        latents=data.NormalLatents(14),
        augmentation=transforms.DifferentiableAugmentation(p=0.5),
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output))
    trainer.run()
    assert len(outputs) == 2 and all(value.isfinite() for output in outputs for value in output.values())
    for network, old in zip((made, against), before, strict=True):
        weights = [(new, was) for new, was in zip(network.parameters(), old, strict=True) if was.ndim > 1]
        assert weights and not any(torch.equal(new, was) for new, was in weights)
