"""The paper's networks, those of its baselines, and what classifiers need."""

from __future__ import annotations

from monai_aggrgan.networks.dcgan import DCGAN1Discriminator, DCGAN1Generator, DCGAN2Discriminator, DCGAN2Generator
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.networks.feature_space import FeatureSpace, custom_space, pixel_space, vgg19_space
from monai_aggrgan.networks.grey_classifier import GreyClassifier
from monai_aggrgan.networks.infogan import InfoGANCritic, InfoGANGenerator
from monai_aggrgan.networks.initial_network import initial_network
from monai_aggrgan.networks.precision import PRECISIONS, autocast_dtype
from monai_aggrgan.networks.pretrained import load_pretrained
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features
from monai_aggrgan.networks.vgg19_classifier import VGG19Classifier
from monai_aggrgan.networks.vgg19_embedding import VGG19Embedding
from monai_aggrgan.networks.vgg19_weights import OXFORD_MEANS, Scale, load_vgg19, probe_image
from monai_aggrgan.networks.wgan_div import WGANDivCritic, WGANDivGenerator

__all__ = [
    "CONTENT_LAYER",
    "OXFORD_MEANS",
    "PRECISIONS",
    "STYLE_LAYERS",
    "DCGAN1Discriminator",
    "DCGAN1Generator",
    "DCGAN2Discriminator",
    "DCGAN2Generator",
    "FeatureSpace",
    "GeneratorEnsemble",
    "GreyClassifier",
    "InfoGANCritic",
    "InfoGANGenerator",
    "Scale",
    "VGG19Classifier",
    "VGG19Embedding",
    "VGG19Features",
    "WGANDivCritic",
    "WGANDivGenerator",
    "autocast_dtype",
    "custom_space",
    "initial_network",
    "load_pretrained",
    "load_vgg19",
    "pixel_space",
    "probe_image",
    "vgg19_space",
]
