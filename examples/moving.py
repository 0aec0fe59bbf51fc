"""Build the nearest models to other PixelCNNs, and compare the time of drawing.

Each model is trained for one step on random images, and then draws some:

- the PixelCNN of keras.io, https://keras.io/examples/generative/pixelcnn/, with the
  same layers and the same weights in the same order;
- the prior of the VQ-VAE of keras.io, https://keras.io/examples/generative/vq_vae/, on
  a grid of code numbers;
- `tfp.distributions.PixelCNN`, with its mixture of logistics.

The examples on keras.io draw with one `model.predict` for each pixel. This is timed for
a few pixels and extrapolated to all. `tfp.distributions.PixelCNN` works through
tf_keras, draws a whole batch in a graph, and is asked which pixels it sees.

    python examples/moving.py
    python examples/moving.py --images 64 --pixels 20
"""

import argparse
import os
import time

NUM_CODES = 64
HEADER = (
    "| moving from | weights | loss, nats | `generate` | other program | times as long |"
)


def keras_io_pixel_cnn(image_shape, filters, num_blocks=5):
    """Return the network of keras.io's PixelCNN for binary images.

    Only the masked layers are this library's. The last layer returns logits in place of
    probabilities.
    """
    import keras
    from keras import layers

    from keras_genimg.layers import MaskedConv2D
    from keras_genimg.models import AutoregressiveModel

    images = keras.Input(image_shape)
    x = MaskedConv2D(filters, 7, mask_type="A", activation="relu")(images)
    for _ in range(num_blocks):
        y = layers.Conv2D(filters, 1, activation="relu")(x)
        y = MaskedConv2D(filters // 2, 3, mask_type="B", activation="relu")(y)
        y = layers.Conv2D(filters, 1, activation="relu")(y)
        x = layers.Add()([x, y])
    for _ in range(2):
        x = MaskedConv2D(filters, 1, mask_type="B", activation="relu")(x)
    return AutoregressiveModel(images, layers.Conv2D(1, 1)(x), "bernoulli")


def code_prior(grid, num_codes, filters, num_blocks=2):
    """Return a PixelCNN over a grid of code numbers, whose order means nothing.

    Codes enter one-hot, as in the prior of keras.io's VQ-VAE.
    """
    import keras
    from keras import layers

    from keras_genimg.layers import MaskedConv2D, ResidualMaskedConvBlock
    from keras_genimg.likelihoods import Categorical
    from keras_genimg.models import AutoregressiveModel
    from keras_genimg.networks import likelihood_head

    class OneHot(layers.Layer):
        pointwise = True  # Acts on each pixel alone, so the sampler can use it.

        def call(self, codes):
            codes = keras.ops.cast(codes[..., 0], "int32")
            return keras.ops.one_hot(codes, num_codes)

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], num_codes)

    likelihood = Categorical(num_codes)
    codes = keras.Input((*grid, 1))
    x = MaskedConv2D(filters, 7, mask_type="A")(OneHot()(codes))
    for _ in range(num_blocks):
        x = ResidualMaskedConvBlock(filters // 2)(x)
    x = MaskedConv2D(filters, 1, mask_type="B", activation="relu")(x)
    return AutoregressiveModel(codes, likelihood_head(x, likelihood, 1), likelihood)


def mixture_model(image_shape, units):
    """Return a Gated PixelCNN with the mixture of logistics of PixelCNN++."""
    from keras_genimg.likelihoods import DiscretizedLogisticMixture
    from keras_genimg.models import GatedPixelCNN

    likelihood = DiscretizedLogisticMixture(256, num_components=5)
    return GatedPixelCNN(image_shape, units, 3, likelihood=likelihood)


def tfp_pixel_cnn(image_shape, filters):
    """Return a small `tfp.distributions.PixelCNN`, about as large as ours.

    It has neither dropout nor weight normalization, so that it draws faster.
    """
    import tensorflow_probability as tfp

    return tfp.distributions.PixelCNN(
        image_shape=image_shape,
        num_resnet=1,
        num_hierarchies=1,
        num_filters=filters,
        num_logistic_mix=5,
        dropout_p=0.0,
        use_weight_norm=False,
        use_data_init=False,
    )


def train_step(model, num_images):
    """Train for one step on random images; return the loss before it, in nats."""
    import keras
    import numpy as np

    shape = (num_images, *model.image_shape)
    images = np.random.default_rng(0).integers(0, model.likelihood.num_values, shape)
    model.compile(keras.optimizers.Adam(1e-3))
    history = model.fit(images, batch_size=num_images, verbose=0)
    return history.history["loss"][0]


def tfp_train_step(distribution, images):
    """Train `tfp.distributions.PixelCNN` for a step; return the loss before it."""
    import tensorflow as tf
    import tf_keras

    variables = distribution.network.trainable_variables
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(distribution.log_prob(images, training=True))
    optimizer = tf_keras.optimizers.Adam(1e-3)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return float(loss)


def tfp_sees_later_pixels(distribution):
    """Return whether a pixel changes the parameters of an earlier one."""
    import numpy as np

    height, width, colors = distribution.image_shape
    image = np.random.default_rng(0).uniform(-1, 1, (1, height, width, colors))
    changed = image.copy()
    changed[:, height // 2, width // 2] *= -1
    earlier = height // 2 * width + width // 2
    return any(
        (np.reshape(a, (height * width, -1)) != np.reshape(b, (height * width, -1)))[
            :earlier
        ].any()
        for a, b in zip(
            distribution.network(image.astype("float32"), training=False),
            distribution.network(changed.astype("float32"), training=False),
            strict=True,
        )
    )


def seconds_of(draw):
    """Return what a function returns, and the time of a second call."""
    draw()  # Traces the graph.
    start = time.perf_counter()
    drawn = draw()
    return drawn, time.perf_counter() - start


def seconds_of_predict(model, num_images, pixels):
    """Return the time of one `model.predict` for each pixel, from the first few."""
    import numpy as np

    images = np.zeros((num_images, *model.image_shape), "float32")
    width = model.image_shape[1]
    model.predict(images, verbose=0)  # Traces the graph.
    start = time.perf_counter()
    for index in range(pixels):
        row, column = divmod(index, width)
        params = model.predict(images, verbose=0)[:, row, column]
        # Which value is drawn does not change the time.
        images[:, row, column] = params.reshape(num_images, -1)[:, :1] > 0
    per_pixel = (time.perf_counter() - start) / pixels
    return per_pixel * model.image_shape[0] * width


def table_row(name, weights, loss, own_seconds, other, other_seconds):
    """Return a row of the table in Markdown."""
    times = "" if own_seconds is None else f"{other_seconds / own_seconds:.0f}"
    own = "" if own_seconds is None else f"{own_seconds:.3f} s"
    other = f"{other}, {other_seconds:.3f} s"
    return f"| {name} | {weights:,} | {loss:.1f} | {own} | {other} | {times} |"


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--images", type=int, default=16, metavar="N")
    parser.add_argument(
        "--pixels", type=int, default=10, help="drawn by `predict`, to extrapolate"
    )
    parser.add_argument("--filters", type=int, default=128, help="of keras.io's models")
    parser.add_argument("--size", type=int, default=28, help="of the binary images")
    arguments = parser.parse_args()
    smallest = {"images": 1, "pixels": 1, "filters": 2, "size": 4}
    for option, least in smallest.items():
        value = getattr(arguments, option)
        if value < least:
            parser.error(f"--{option} must be at least {least}, not {value}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    import keras
    import numpy as np
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    size, count = arguments.size, arguments.images
    models = {
        "keras.io's PixelCNN": keras_io_pixel_cnn((size, size, 1), arguments.filters),
        "the prior of a VQ-VAE": code_prior((7, 7), NUM_CODES, arguments.filters),
        "`tfd.PixelCNN`": mixture_model((8, 8, 3), units=16),
    }
    rows = []
    for name, model in models.items():
        loss = train_step(model, count)
        drawn, own = seconds_of(lambda: model.generate(count, seed=0, verbose=0))
        pixels = min(arguments.pixels, drawn.shape[1] * drawn.shape[2])
        other = seconds_of_predict(model, count, pixels)
        print(
            f"Moving from {name}: {drawn.shape[0]} images of shape {drawn.shape[1:]}, "
            f"values from {drawn.min()} to {drawn.max()}"
        )
        what = "one `predict` per pixel"
        rows.append(table_row(name, model.count_params(), loss, own, what, other))

    try:
        distribution = tfp_pixel_cnn((8, 8, 3), filters=11)
    except ImportError as error:
        print(f"No comparison with tfp.distributions.PixelCNN: {error}")
    else:
        before = tfp_sees_later_pixels(distribution)
        images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3))
        loss = tfp_train_step(distribution, images.astype("float32"))
        sample = tf.function(lambda: distribution.sample(count), autograph=False)
        drawn, other = seconds_of(lambda: sample().numpy())
        print(
            f"tfd.PixelCNN itself: {drawn.shape[0]} images of shape {drawn.shape[1:]}, "
            f"values from {drawn.min():.0f} to {drawn.max():.0f}"
        )
        weights = distribution.network.count_params()
        what = "its own `sample`"
        rows.append(table_row("`tfd.PixelCNN`", weights, loss, own, what, other))
        answers = {True: "yes", False: "no"}
        print(
            f"tfd.PixelCNN sees later pixels before its first training step: "
            f"{answers[before]}; after it: "
            f"{answers[tfp_sees_later_pixels(distribution)]}"
        )
    print(f"\nTime to draw {count} images. Only {arguments.pixels} pixels were drawn by")
    print("`predict`; the times are extrapolated to all pixels.\n")
    print(HEADER)
    print("|---" * HEADER.count(" | ") + "|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
