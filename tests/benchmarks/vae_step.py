"""One training step of a VAE, with and without TensorFlow Probability."""

import keras
import numpy as np

from keras_genimg.models import VAE
from tests.benchmarks.draw_peers import HandWrittenVAE
from tests.benchmarks.timing import Program, Row, at_most, print_unsteady, time_programs


def vae_rows(timing_options, quick):
    """Time `train_on_batch` of a VAE against a hand-written step."""
    side, hidden, latent_dim, batch = (6, 8, 2, 4) if quick else (28, 500, 20, 100)
    images = np.random.default_rng(0).integers(0, 2, (batch, side, side, 1))
    images = images.astype("float32")
    keras.utils.set_random_seed(0)
    ours = VAE((side, side, 1), latent_dim, hidden)
    peer = HandWrittenVAE((side, side, 1), latent_dim, hidden)
    weights = [weight.numpy() for weight in ours.trainable_weights]
    # With almost no noise, both must reach the same loss whatever noise they draw.
    weights[3][latent_dim:] = -12
    names = ["with TFP: keras_genimg.models.VAE", "without: keras.Model by hand"]
    models = dict(zip(names, (ours, peer), strict=True))
    for model in models.values():
        model.compile(keras.optimizers.Adagrad(0.02))
        for weight, value in zip(model.trainable_weights, weights, strict=True):
            weight.assign(value)
    results = [model.train_on_batch(images, return_dict=True) for model in (ours, peer)]
    for key in ("loss", "kl", "reconstruction"):
        np.testing.assert_allclose(results[0][key], results[1][key], rtol=1e-4)
    for pair in zip(ours.trainable_weights, peer.trainable_weights, strict=True):
        np.testing.assert_allclose(*(w.numpy() for w in pair), rtol=0, atol=1e-3)
    programs = {
        name: Program(lambda m=model: m.train_on_batch(images, return_dict=True))
        for name, model in models.items()
    }
    timings, _ = time_programs(programs, **timing_options)
    print_unsteady(timings)
    first, second = (timings[name].median for name in names)
    size = f"{hidden} hidden, latent {latent_dim}, batch {batch}"
    target = None if quick else at_most(1.05)
    return [
        Row(names[0], size, first, first / second, target, note="Ratio to the other."),
        Row(names[1], size, second),
    ]
