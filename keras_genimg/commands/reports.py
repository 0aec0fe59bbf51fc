"""Nats of test images, as reports of runs and cards of weights have them."""

import math
from typing import Any

from keras_genimg.commands.training_images import TEST_SEED, images_in
from keras_genimg.models import GenerativeModel, LatentModel


def nats_of(model: GenerativeModel, images, num_samples, **options):
    """Return the nats of images by name.

    The `nats` of models with latent variables are a bound by `num_samples` samples;
    their `elbo` is the looser bound that they are trained on.
    """
    if not isinstance(model, LatentModel):
        return {"nats": -model.log_prob(images)}
    options |= {"num_samples": num_samples, "seed": TEST_SEED}
    bound = model.log_prob(images, **options)
    return {"nats": -bound, "elbo": -model.elbo(images, seed=TEST_SEED)}


def mean_of(name, values):
    """Return the mean of an array and its standard error, by name."""
    error = values.std() / math.sqrt(max(len(values) - 1, 1))
    return {
        name: round(float(values.mean()), 4),
        f"{name}_standard_error": round(float(error), 4),
    }


def report_of(model: GenerativeModel, test, num_samples):
    """Return the mean nats of the test images with standard error."""
    found = nats_of(model, test, num_samples)
    images = images_in(test)
    report: dict[str, Any] = {"images": len(images), "weights": model.count_params()}
    if "elbo" in found:
        report["num_samples"] = num_samples
    for name, nats in found.items():
        report |= mean_of(name, nats)
    bits = report["nats"] / math.prod(images.shape[1:]) / math.log(2)
    return {**report, "bits_per_dim": bits}
