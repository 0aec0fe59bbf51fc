"""Build the nearest models to other PixelCNNs, and compare the time of generation.

Each model is trained for one step on random images, and then generates some:

- the PixelCNN of keras.io, https://keras.io/examples/generative/pixelcnn/, with the
  same layers and the same weights in the same order;
- the prior of the VQ-VAE of keras.io, https://keras.io/examples/generative/vq_vae/, on
  a grid of code numbers;
- `tfp.distributions.PixelCNN`, with its mixture of logistics.

The examples on keras.io call `model.predict` once for each pixel. This is timed for a
few pixels and extrapolated to all. `tfp.distributions.PixelCNN` works through
tf_keras, samples a whole batch in a graph, and is asked which pixels it sees.

    python examples/moving.py
    python examples/moving.py --images 64 --pixels 20
"""

import argparse
import functools
import time

from genimg_export.arguments import integer

NUM_CODES = 64


def keras_io_pixel_cnn(image_shape, filters, num_blocks=5):
    """Return the network of keras.io's PixelCNN for binary images.

    Only the masked layers are this library's. The last layer returns logits instead of
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

    Codes enter one-hot, as in the prior of keras.io's VQ-VAE. The maps of the blocks
    have an even number of channels, one less than `filters` if that is odd.
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
    units = filters // 2
    codes = keras.Input((*grid, 1))
    x = MaskedConv2D(2 * units, 7, mask_type="A")(OneHot()(codes))
    for _ in range(num_blocks):
        x = ResidualMaskedConvBlock(units)(x)
    x = MaskedConv2D(filters, 1, mask_type="B", activation="relu")(x)
    return AutoregressiveModel(codes, likelihood_head(x, likelihood, 1), likelihood)


def mixture_model(image_shape, units):
    """Return a Gated PixelCNN with the mixture of logistics of PixelCNN++."""
    from keras_genimg.likelihoods import DiscretizedLogisticMixture
    from keras_genimg.models import GatedPixelCNN

    likelihood = DiscretizedLogisticMixture(256, num_components=5)
    return GatedPixelCNN(image_shape, units, 3, likelihood=likelihood)


def tfp_pixel_cnn(image_shape, filters, num_logistic_mix=5, **options):
    """Return a small `tfp.distributions.PixelCNN`, about as large as ours.

    For the best speed, it has neither dropout nor weight normalization.
    """
    import tensorflow_probability as tfp

    return tfp.distributions.PixelCNN(
        image_shape=image_shape,
        num_resnet=1,
        num_hierarchies=1,
        num_filters=filters,
        num_logistic_mix=num_logistic_mix,
        dropout_p=0.0,
        use_weight_norm=False,
        use_data_init=False,
        **options,
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
    gradients = tape.gradient(loss, variables)
    optimizer = tf_keras.optimizers.Adam(1e-3)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return float(loss)


def tfp_sees_later_pixels(distribution):
    """Return whether a pixel in the middle changes the parameters of earlier ones."""
    import numpy as np

    height, width, colors = distribution.image_shape
    first = np.random.default_rng(0).uniform(-1, 1, (1, height, width, colors))
    second = first.copy()
    second[:, height // 2, width // 2] *= -1
    params = [
        distribution.network(image.astype("float32"), training=False)
        for image in (first, second)
    ]
    num_earlier = height // 2 * width + width // 2
    for pair in zip(*params, strict=True):
        before, after = (np.reshape(each, (height * width, -1)) for each in pair)
        if (before != after)[:num_earlier].any():
            return True
    return False


def seconds_of(draw):
    """Return what a function returns, and the time of its second call."""
    draw()  # Traces the graph.
    start = time.perf_counter()
    drawn = draw()
    return drawn, time.perf_counter() - start


def seconds_of_predict(model, num_images, pixels):
    """Return the time of one `model.predict` for each pixel, from the first few."""
    import numpy as np

    height, width, _ = model.image_shape
    pixels = min(pixels, height * width)
    images = np.zeros((num_images, *model.image_shape), "float32")
    model.predict(images, verbose=0)  # Traces the graph.
    start = time.perf_counter()
    for index in range(pixels):
        row, column = divmod(index, width)
        params = model.predict(images, verbose=0)[:, row, column]
        # The time does not depend on the value that is drawn.
        images[:, row, column] = params.reshape(num_images, -1)[:, :1] > 0
    return (time.perf_counter() - start) / pixels * height * width


def describe(name, loss, drawn):
    """Print what a model returned."""
    print(
        f"{name}: {loss:.1f} nats before the first step; drew {len(drawn)} images of "
        f"shape {drawn.shape[1:]}, values from {drawn.min():.0f} to {drawn.max():.0f}"
    )


def compare_with_tfp(image_shape, num_images, ours):
    """Train and time `tfp.distributions.PixelCNN`; return a row of the table.

    Args:
        image_shape: `(height, width, colors)`.
        num_images: Number of images to draw.
        ours: Seconds that `generate` takes for as many images.
    """
    import numpy as np
    import tensorflow as tf

    distribution = tfp_pixel_cnn(image_shape, filters=11)
    answers = [tfp_sees_later_pixels(distribution)]
    images = np.random.default_rng(0).integers(0, 256, (num_images, *image_shape))
    loss = tfp_train_step(distribution, images.astype("float32"))
    answers.append(tfp_sees_later_pixels(distribution))
    sample = tf.function(lambda: distribution.sample(num_images), autograph=False)
    drawn, seconds = seconds_of(lambda: sample().numpy())
    describe("tfd.PixelCNN itself", loss, drawn)
    before, after = ("yes" if answer else "no" for answer in answers)
    print(f"tfd.PixelCNN sees later pixels. Before its first step: {before}")
    print(f"tfd.PixelCNN sees later pixels. After it: {after}")
    weights = distribution.network.count_params()
    return "tfd.PixelCNN", weights, ours, "its own `sample`", seconds


def print_table(rows):
    """Print the rows as a table in Markdown."""
    print("| moving from | weights | `generate` | compared with | time | ratio |")
    print("|---|---|---|---|---|---|")
    for name, weights, ours, other, theirs in rows:
        print(
            f"| {name} | {weights:,} | {ours:.3f} s | {other} | {theirs:.3f} s | "
            f"{theirs / ours:.1f} |"
        )


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    for name, least, default, text in (
        ("images", 1, 16, "to draw"),
        ("pixels", 1, 10, "drawn by `predict`"),
        ("filters", 2, 128, "of keras.io's networks"),
        ("size", 4, 16, "side of the color images"),
    ):
        options = {"type": integer(least), "default": default, "help": text}
        parser.add_argument(f"--{name}", metavar="N", **options)
    return parser.parse_args()


def main():
    """Run the whole example."""
    arguments = parse_arguments()
    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    num_images = arguments.images
    color_shape = (arguments.size, arguments.size, 3)
    models = {
        "PixelCNN of keras.io": keras_io_pixel_cnn((28, 28, 1), arguments.filters),
        "VQ-VAE prior of keras.io": code_prior((7, 7), NUM_CODES, arguments.filters),
        "tfd.PixelCNN": mixture_model(color_shape, units=16),
    }
    rows, ours = [], 0.0
    for name, model in models.items():
        loss = train_step(model, num_images)
        draw = functools.partial(model.generate, num_images, seed=0, verbose=0)
        drawn, ours = seconds_of(draw)
        describe(f"Moving from {name}", loss, drawn)
        theirs = seconds_of_predict(model, num_images, arguments.pixels)
        other = f"one `predict` per pixel, {arguments.pixels} timed"
        rows.append((name, model.count_params(), ours, other, theirs))
    try:
        rows.append(compare_with_tfp(color_shape, num_images, ours))
    except ImportError as error:
        print(f"No comparison with tfp.distributions.PixelCNN: {error}")
    print(f"\nTime to draw {num_images} images:\n")
    print_table(rows)


if __name__ == "__main__":
    main()
