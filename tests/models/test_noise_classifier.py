"""The network of the classifier: its published size, and fields of any size."""

import torch

from brightpaint.models.networks.noise_classifier import Classifier
from brightpaint.models.networks.unet import parameter_count
from brightpaint.study.presets import classifier_spec


def test_published_width_has_about_the_published_size():
    with torch.device("meta"):
        classifier = Classifier(classifier_spec(None), 3, 5, 290)
    assert 100e6 < parameter_count(classifier) < 110e6


def test_any_field_size():
    classifier = Classifier(classifier_spec(8), 2, 2, 3)
    level = torch.full((1,), 0.5, dtype=torch.float64)
    for size in (16, 40):
        assert classifier(torch.zeros(1, 2, size, size), torch.zeros(1, 2, size, size), level).shape == (1, 3)
