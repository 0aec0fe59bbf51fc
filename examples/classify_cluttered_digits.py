"""Classify a digit among fragments of others with a few glimpses of attention.

`ReadAttention` was made for DRAW but works in any Keras model. Here, an LSTM takes a
few glimpses of an image and classifies the digit after the last one. Its state decides
where to look next. By default, the example uses the 8x8 digits that scikit-learn ships,
on canvases of 29x29 pixels. With `--data mnist`, it uses digits of 28x28 on 100x100
pixels, as in section 4.1 of DRAW, https://arxiv.org/abs/1502.04623. It needs the extra
`examples`.

    python examples/classify_cluttered_digits.py
    python examples/classify_cluttered_digits.py --data mnist --units 256 --size 12
    python examples/classify_cluttered_digits.py --data mnist --convolutional

With `--convolutional`, a convolution and a dense layer see the whole image instead.
"""

import argparse
import pathlib

NUM_IMAGES = 16


def attentive_classifier(image_shape, num_glimpses, units, size):
    """Build a model of class logits, and a model of its attention.

    Args:
        image_shape: `(height, width, colors)`.
        num_glimpses: Number of glimpses.
        units: Units of the LSTM.
        size: Filters along either axis of a glimpse.

    Returns:
        Two models of images that share their layers. The first returns logits
        `(batch, 10)`, and the second attention `(batch, num_glimpses, 5)`.
    """
    import keras
    from keras import layers

    from keras_genimg.layers import ReadAttention

    read, lstm = ReadAttention(size), layers.LSTMCell(units)
    images = keras.Input(image_shape, name="images")
    # The LSTM starts from a state of zeros.
    hidden = keras.ops.zeros_like(keras.ops.repeat(images[:, 0, 0, :1], units, axis=1))
    cell = hidden
    attention = []
    for _ in range(num_glimpses):
        glimpse, where = read(images, hidden)
        hidden, (_, cell) = lstm(layers.Flatten()(glimpse), [hidden, cell])
        attention.append(where)
    logits = layers.Dense(10, name="logits")(hidden)
    looks = keras.ops.stack(attention, axis=1)
    return keras.Model(images, logits), keras.Model(images, looks)


def convolutional_classifier(image_shape):
    """Build a model of class logits: a convolution and a dense layer.

    Args:
        image_shape: `(height, width, colors)`.

    Returns:
        A model of images that returns logits `(batch, 10)`.
    """
    import keras
    from keras import layers

    images = keras.Input(image_shape, name="images")
    size = image_shape[0] // 10
    x = layers.Conv2D(16, size, strides=size // 2, activation="relu")(images)
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(10, name="logits")(x))


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
    parser.add_argument("--epochs", type=int, default=40)
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--glimpses", type=int, default=6)
    network.add_argument("--convolutional", action="store_true", help="no attention")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--size", type=int, default=8, help="filters along an axis")
    parser.add_argument(
        "--output", type=pathlib.Path, default="outputs/classify_cluttered_digits"
    )
    arguments = parser.parse_args()

    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras
    import numpy as np

    from keras_genimg import datasets
    from keras_genimg.visualization import save_canvases

    keras.utils.set_random_seed(0)
    train = datasets.cluttered_digits(
        arguments.data, "train", batch_size=64, num_images=12800
    )
    test = datasets.cluttered_digits(
        arguments.data, "test", batch_size=100, num_images=2000, fixed=True
    )
    images = next(iter(test))[0].numpy()[:NUM_IMAGES]
    image_shape = images.shape[1:]
    if arguments.convolutional:
        model = convolutional_classifier(image_shape)
    else:
        model, looks = attentive_classifier(
            image_shape, arguments.glimpses, arguments.units, arguments.size
        )
    steps = arguments.epochs * len(train)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(train, epochs=arguments.epochs, shuffle=False, verbose=2)
    _, accuracy = model.evaluate(test, verbose=0)
    print(f"\nError on 2000 cluttered test images: {1 - accuracy:.2%}")
    if arguments.convolutional:
        return

    shown = np.round(255 * images).astype("uint8")
    arguments.output.mkdir(parents=True, exist_ok=True)
    picture = arguments.output / "glimpses.gif"
    save_canvases(
        picture,
        np.repeat(shown[:, None], arguments.glimpses, axis=1),
        looks.predict(images, verbose=0),
        arguments.size,
        scale=max(1, 112 // shown.shape[1]),
        seconds_per_frame=0.5,
    )
    print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
