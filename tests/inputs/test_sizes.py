import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.models import VAE, PixelCNN
from tests.inputs.sources import IMAGES, SOURCES, dataset, small

TURNED = np.moveaxis(IMAGES, 1, 2)


OTHER_SIZE = (
    r"of cnn expects images of shape \(batch, height, width, colors\) = "
    r"\(None, 3, 4, 1\)\. Received: shape=\(8, 4, 3, 1\)"
)


@pytest.mark.parametrize(
    "mode, source",
    [
        *(("plain", source) for source in SOURCES),
        pytest.param("xla", "tf.data", marks=pytest.mark.slow),
        ("eager", "generator"),
        ("steps", "tf.data"),
    ],
)
def test_images_of_another_size_in_a_later_batch(mode, source):
    model = small(mode)
    make = SOURCES[source]
    for call, what in ((model.fit, "Training"), (model.evaluate, "Evaluation")):
        with pytest.raises(ValueError, match=f"^{what} {OTHER_SIZE}"):
            call(make([IMAGES, TURNED]), verbose=0)
    with pytest.raises(ValueError, match=f"^Evaluation {OTHER_SIZE}"):
        model.fit(IMAGES, validation_data=make([IMAGES, TURNED]), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("source", SOURCES)
def test_images_without_a_color_axis(source):
    """Keras would add it."""
    model = small()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="Add the color axis"):
            call(SOURCES[source]([IMAGES[..., 0]] * 2), verbose=0)


@pytest.mark.slow
def test_images_of_another_size_of_other_models_and_calls():
    model = VAE((3, 4, 1), 2, 3, name="cnn")
    model.compile("sgd")
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=OTHER_SIZE):
            call(dataset([TURNED]), verbose=0)
    for call in (model.elbo, model.log_prob, small().log_prob):
        with pytest.raises(ValueError, match=r"Received: shape=\(8, 4, 3, 1\)"):
            call(dataset([IMAGES, TURNED]))
    any_size = PixelCNN((None, None, 1), 2, 1, first_kernel_size=3)
    any_size.compile("sgd")
    any_size.fit(dataset([IMAGES, TURNED]), verbose=0)
    assert any_size.log_prob(dataset([IMAGES, TURNED])).shape == (16,)


def test_data_sets_of_unknown_rank_are_refused_before_training():
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([IMAGES]), output_signature=tf.TensorSpec(None)
    )
    model = small()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="number of axes.*tf.ensure_shape"):
            call(unknown)
    with pytest.raises(ValueError, match="^validation_data needs to know the number"):
        model.fit(IMAGES, validation_data=unknown)
    np.testing.assert_array_equal(model.log_prob(unknown), model.log_prob(IMAGES))
