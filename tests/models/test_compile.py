import keras
import numpy as np
import pytest

from keras_genimg.models import VAE
from tests.fitting.one_convolution import one_convolution
from tests.inputs.sources import IMAGES

STRUCTURES = {
    "list": list,
    "tuple": tuple,
    "nested list": lambda metrics: [[metrics[0]], [metrics[1]]],
    "dict of lists": lambda metrics: {"logits": list(metrics)},
    "dict of metrics": lambda metrics: dict(zip("ab", metrics, strict=True)),
}


@pytest.mark.parametrize("name", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize("arrange", STRUCTURES.values(), ids=STRUCTURES)
def test_metrics_of_every_structure_are_computed_and_saved(arrange, name, tmp_path):
    """The keys of a dict were taken for metrics."""
    model = one_convolution((3, 4, 1))
    metrics = keras.metrics.MeanSquaredError(name="squared"), "mae"
    model.compile("sgd", run_eagerly=True, **{name: arrange(metrics)})
    logs = model.evaluate(IMAGES, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "bits_per_dim", "squared", "mae"}
    errors = np.asarray(model(IMAGES)) - IMAGES
    assert logs["squared"] == pytest.approx((errors**2).mean(), rel=1e-5)
    assert logs["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(IMAGES, verbose=0, return_dict=True) == pytest.approx(logs)


def test_dicts_leave_the_metrics_of_latent_models():
    model = VAE((3, 4, 1), 2, 4)
    model.compile("sgd", metrics={"pixels": "mae"}, run_eagerly=True)
    logs = model.evaluate(IMAGES, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "reconstruction", "kl", "elbo", "mae"}


@pytest.mark.parametrize("metric", ["mae", keras.metrics.MeanSquaredError(name="x")])
def test_a_single_metric_is_refused(metric):
    model = one_convolution((3, 4, 1))
    with pytest.raises(ValueError, match="must be a list, a tuple or a dict, such as"):
        model.compile("sgd", metrics=metric)
    with pytest.raises(ValueError, match="to be a list, tuple, or dict"):
        model.compile("sgd", weighted_metrics=metric)
