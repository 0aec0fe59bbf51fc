"""Encoders, decoders and heads of a VAE, and arguments that do not match them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.latents import DiagonalNormal
from keras_genimg.layers import GaussianLatent
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import VAE

SHAPE = (4, 3, 1)
INTENSITIES = np.random.default_rng(1).uniform(size=(20, *SHAPE)).astype("float32")


def test_parts_of_ones_own(tmp_path):
    images = keras.Input(SHAPE)
    x = keras.layers.Conv2D(3, 3, activation="relu", padding="same")(images)
    encoder = keras.Model(images, keras.layers.Flatten()(x), name="my_encoder")
    decoder = part((2,), (*SHAPE, 2))
    options = {"prior": "diagonal_normal", "name": "mine"}
    model = VAE(SHAPE, 2, 5, "gaussian", encoder, decoder, **options)
    model.compile("adam", run_eagerly=True)
    model.fit(INTENSITIES, verbose=0)
    model.save(tmp_path / "model.keras")
    revived = keras.models.load_model(tmp_path / "model.keras")
    configs = [json.dumps(each.get_config()) for each in (model, revived)]
    assert configs[0] == configs[1]
    assert (revived.encoder.name, revived.name) == ("my_encoder", "mine")
    np.testing.assert_array_equal(
        revived.reconstruct(INTENSITIES, seed=0), model.reconstruct(INTENSITIES, seed=0)
    )
    np.testing.assert_array_equal(
        revived.generate(2, seed=0), model.generate(2, seed=0)
    )


def part(input_shape, output_shape):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(int(np.prod(output_shape)), dtype="float32")(x)
    return keras.Model(inputs, keras.layers.Reshape(output_shape)(x))


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"latent_dim": 0}, "`latent_dim` of VAE.*Received: latent_dim=0"),
        ({"hidden_units": -1}, "Received: hidden_units=-1"),
        ({"hidden_units": ()}, r"Received: hidden_units=\(\)"),
        ({"hidden_units": (3, 0)}, "Received: hidden_units=0"),
        ({"conv_filters": 3}, r"such as \(16, 32\). Received: conv_filters=3"),
        ({"conv_filters": (3, 0)}, "`conv_filters` of VAE.*Received: conv_filters=0"),
        (
            {"encoder": part(SHAPE, (5,)), "decoder": part((2,), SHAPE)}
            | {"activation": "elu"},
            r"both are custom.*conv_filters=\(\), activation='elu'",
        ),
        ({"conv_filters": (2,)}, r"multiples of 2. Use fewer.*image_shape=\(4, 3, 1\)"),
        ({"activation": "tan"}, "activation function identifier: tan"),
        ({"image_shape": (4, 3)}, r"image_shape=\(4, 3\)"),
        ({"weight_stddev": -1.0}, "weight_stddev=-1.0"),
        ({"weight_prior": 0}, "weight_prior=0"),
        ({"encoder": part((3, 4, 1), (5,))}, r"expected shape=\(None, 3, 4, 1\)"),
        ({"encoder": keras.layers.Flatten()}, "`encoder` of VAE.*functional model"),
        ({"encoder": keras.Sequential()}, "`encoder` of VAE.*functional"),
        ({"encoder": part(SHAPE, (5, 2))}, r"\(batch, features\).*\(None, 5, 2\)"),
        ({"decoder": part((3,), SHAPE)}, r"\(None, 3\), found shape=\(None, 2\)"),
        ({"decoder": part((2,), (3, 4, 1))}, r"end in parameters of shape \(None, 4"),
        (
            {"decoder": part((2,), SHAPE), "likelihood": "gaussian"},
            r"parameters of shape \(None, 4, 3, 1, 2\).*outputs of shape \(None, 4",
        ),
        (
            {"encoder": part(SHAPE, (5,)), "weight_prior": 9},
            r"regularizers.L2\(0.5 / num_images.*weight_prior=9",
        ),
        (
            {"decoder": part((2,), SHAPE), "weight_prior": 9},
            "default encoder and decoder",
        ),
        ({"posterior": "laplace", "prior": "diagonal_normal"}, '="monte_carlo"'),
    ],
    ids=str,
)
def test_constructor_refuses(arguments, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        VAE(**{"image_shape": SHAPE, "latent_dim": 2, "hidden_units": 3, **arguments})


def test_several_hidden_layers_are_mirrored_in_the_decoder(tmp_path):
    model = VAE(SHAPE, 2, hidden_units=(5, 3), weight_stddev=None)
    sizes = [
        [layer.units for layer in part.layers if isinstance(layer, keras.layers.Dense)]
        for part in (model.encoder, model.decoder)
    ]
    assert sizes == [[5, 3], [3, 5, int(np.prod(SHAPE))]]
    # Glorot's, not normal with a standard deviation of 0.01.
    assert np.std(model.decoder.get_layer("decoder_hidden").kernel) > 0.2
    model.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert loaded.hidden_units == (5, 3) and loaded.weight_stddev is None
    drawn = [m.generate(2, seed=0, verbose=0) for m in (model, loaded)]
    np.testing.assert_array_equal(*drawn)


def convolved(x, kernel, bias, stride=1):
    return tf.nn.elu(tf.nn.conv2d(x, kernel, stride, "SAME") + bias)


def enlarged(x, kernel, bias):
    _, height, width, _ = x.shape
    shape = (1, 2 * height, 2 * width, kernel.shape[2])
    return tf.nn.conv2d_transpose(x, kernel, shape, 2) + bias


def test_convolutions_are_those_that_are_documented():
    shape = (8, 4, 1)
    model = VAE(shape, 2, 5, weight_stddev=0.4, conv_filters=(3, 4), activation="elu")
    images = np.random.default_rng(0).integers(2, size=(1, *shape)).astype("float32")

    def weights(name):
        part = model.encoder if name.startswith("encoder") else model.decoder
        return part.get_layer(name).get_weights()

    def dense(x, name):
        kernel, bias = weights(name)
        return tf.nn.elu(x @ kernel + bias)

    x = images
    for stage in (1, 2):
        x = convolved(x, *weights(f"encoder_shrink_{stage}"), 2)
        x = convolved(x, *weights(f"encoder_convolution_{stage}"))
    expected = dense(tf.reshape(x, (1, -1)), "encoder_hidden")
    np.testing.assert_allclose(model.encoder(images), expected, atol=1e-5)

    z = np.float32([[0.3, -1.2]])
    x = dense(dense(z, "decoder_hidden"), "decoder_features")
    x = convolved(tf.reshape(x, (1, 2, 1, 4)), *weights("decoder_convolution_1"))
    x = tf.nn.elu(enlarged(x, *weights("decoder_enlarge_2")))
    x = convolved(x, *weights("decoder_convolution_2"))
    expected = enlarged(x, *weights("decoder_params"))
    np.testing.assert_allclose(model.decoder(z), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_convolutions_fit_any_likelihood(dtype, tmp_path):
    options = {"conv_filters": [2], "activation": "elu", "dtype": dtype}
    model = VAE((4, 6, 3), 2, 5, Categorical(7), **options)
    compute = keras.DTypePolicy(dtype).compute_dtype
    assert model.encoder.get_layer("encoder_shrink_1").compute_dtype == compute
    assert model.output.dtype == "float32"
    images = np.random.default_rng(0).integers(7, size=(5, 4, 6, 3)).astype("uint8")
    model.compile("adam", run_eagerly=True)
    model.fit(images, batch_size=3, verbose=0)
    model.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert loaded.conv_filters == (2,) and loaded.activation == "elu"
    bounds = [m.log_prob(images, num_samples=2, seed=0) for m in (model, loaded)]
    np.testing.assert_array_equal(*bounds)
    np.testing.assert_array_equal(model.generate(3, seed=1), loaded.generate(3, seed=1))


def test_a_variance_has_half_the_gradient():
    gradients = []
    for scale in ("log_stddev", "log_variance"):
        family = DiagonalNormal(scale)
        params = tf.zeros((1, 4))
        with tf.GradientTape() as tape:
            tape.watch(params)
            samples = family.from_noise(params, tf.constant([[0.5, -2.0]]))
            density = family.distribution(params).log_prob([1.0, 3.0])
            total = tf.reduce_sum(samples) + tf.reduce_sum(density)
        gradients.append(np.asarray(tape.gradient(total, params))[0])
    np.testing.assert_allclose(gradients[1][:2], gradients[0][:2])
    # The gradient is noise for sigma * noise, (z / sigma)^2 - 1 for the log density.
    np.testing.assert_allclose(gradients[0][2:], [0.5, 6])
    np.testing.assert_allclose(gradients[1][2:], [0.25, 3])


def test_configs_store_the_meaning():
    model = VAE(SHAPE, 2, 5, posterior=DiagonalNormal("log_variance"))
    again = VAE.from_config(json.loads(json.dumps(model.get_config())))
    assert again.latent.posterior == DiagonalNormal("log_variance")
    layer = GaussianLatent(2, scale="log_variance")
    config = json.loads(json.dumps(layer.get_config()))
    assert GaussianLatent.from_config(config).posterior == layer.posterior
    del config["scale"]
    assert GaussianLatent.from_config(config).posterior == DiagonalNormal()
    assert DiagonalNormal.from_config({}).scale == "log_stddev"
