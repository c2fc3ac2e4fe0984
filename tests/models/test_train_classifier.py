"""The classifier that guides: trained by its command, it knows the stains of an unseen plate, and less from more noise."""

import numpy as np
import torch

from brightpaint import store
from brightpaint.models import train_classifier
from brightpaint.models.data import TrainingImages
from models_fixture import SETTINGS, labelled_plates, made, train_arguments


def trained():
    settings = {**SETTINGS, "label": "perturbation", "images": 960, "batch": 8, "ema_images": 100, "width": 8}
    settings = {key: value for key, value in settings.items() if key not in ("kind", "preset", "objective")}
    plates = labelled_plates()[:2]
    train = lambda folder: train_classifier.main(train_arguments(folder, plates, settings))  # noqa: E731
    return made("classifier", train) / "weights.safetensors"


def test_classifier_tells_the_stains_of_a_plate_it_never_saw_and_knows_less_from_more_noise():
    tensors, meta = store.read_weights(trained())
    assert meta["settings"]["kind"] == "classifier" and meta["label_map"] == {"DMSO": 1, "cpd1": 2}
    classifier = train_classifier.build_classifier(meta["settings"], meta["channels"], 2)
    classifier.load_state_dict(tensors)
    classifier.eval()
    data = TrainingImages(*zip(labelled_plates()[2]), channels=meta["channels"], label="perturbation")
    images = torch.from_numpy(np.stack([data.field(number) for number in range(len(data))]))
    truth = data.condition.labels - 1
    certainty = []
    for gamma in (0.999, 0.5, 4.4e-5):
        level = torch.full((len(images),), gamma, dtype=torch.float64)
        eps = torch.randn(images[:, 2:].shape, generator=torch.Generator().manual_seed(0))
        noisy = gamma**0.5 * images[:, 2:] + (1 - gamma) ** 0.5 * eps
        with torch.no_grad():
            table = classifier(images[:, :2], noisy, level)
        torch.testing.assert_close(table.exp().sum(1), torch.ones(len(images)))
        certainty.append(float(table.exp()[torch.arange(len(images)), truth].mean()))
    assert certainty[0] > 0.7 and certainty[0] > certainty[2] and abs(certainty[2] - 0.5) < 0.2


def test_fields_without_a_label_are_left_out():
    data = TrainingImages(*zip(*labelled_plates()[:2]), channels=SETTINGS["channels"], label="perturbation")
    data.condition.labels[3] = 0
    kept = [data.field(number) for number in range(len(data)) if number != 3]
    data.keep_labelled()
    assert len(data) == len(kept) == len(data.fields) and bool((data.condition.labels > 0).all())
    np.testing.assert_array_equal(data.field(3), kept[3])
