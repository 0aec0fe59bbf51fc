"""What an autoregressive model draws, and how."""

import functools
import math

import numpy as np
import tensorflow as tf

from keras_genimg.causality.probing import check_causal
from keras_genimg.drawing.candidates import completion_of_candidates, temperatures
from keras_genimg.drawing.proven_sampler import TracedSampler
from keras_genimg.inputs.calls import cost_of_image, draw_images, eager_task
from keras_genimg.inputs.images import check_shape, sized_image_shape
from keras_genimg.ops.checks import check_choice, check_temperature
from keras_genimg.ops.devices import num_cores
from keras_genimg.ops.graphs import shared_eager_traces
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.sampling.incremental import largest_small_batch
from keras_genimg.sampling.waves import LARGEST_BATCH


class Drawer:
    """Draws the images of a model: one network, all pixels in raster order.

    A model that draws with several networks, in another order, or not all pixels has a
    separate kind of drawer.

    Args:
        model: The model.

    Attributes:
        order: Flat indices of the pixels in the order in which they are drawn; None for
            raster order.
    """

    order: np.ndarray | None = None

    def __init__(self, model):
        self._model = model

    # What another kind may do in another way.

    def sampler(self, method, jit_compile=False, **options):
        """Return a function that draws images, see `keras_genimg.sampling.METHODS`."""
        return METHODS[method](self._model, jit_compile, **options)

    def networks(self, images, conditions):
        """Return `(model, images, conditions)` of each network that draws."""
        return [(self._model, images, conditions)]

    def shape(self, image_shape):
        """Return the shape of what is drawn, without the batch."""
        return image_shape

    def known(self, images, known, conditions):
        """Return the images and the known pixels of a completion.

        Args:
            images: Checked images, float32.
            known: 1 at known sub-pixels, else 0; of the shape of the images.
            conditions: List of checked conditions.

        Raises:
            ValueError: If the model cannot complete such images.
        """
        return images, known

    # What all do.

    def _network_shapes(self, image_shape):
        """Return `(model, image_shape)` of each network that draws."""
        own, networks = self._model, self._model._raster_models()
        return [(x, image_shape if x is own else x.image_shape) for x in networks]

    def num_passes(self, image_shape):
        """Return the number of forward passes of the ancestral sampler."""
        networks = self._network_shapes(image_shape)
        return sum(math.prod(x.likelihood.unit_shape(shape)) for x, shape in networks)

    def largest_small_batch(self, image_shape):
        """Return the size up to which batches are drawn in a faster way; 0 for none."""
        networks = self._network_shapes(image_shape)
        return max(largest_small_batch(*network) for network in networks)

    def check_causal(self, image_shape):
        """Raise an error unless each graph is causal, which is checked once."""
        if not self._model.check_causality:
            return
        for model, shape in self._network_shapes(image_shape):
            if model.check_causality:
                check = functools.partial(check_causal, model, shape)
                model._function_cache.get(("causal", shape), check)

    def from_seeds(
        self, method, image_shape, jit_compile=False, num_candidates=None, **options
    ):
        """Return a function for a graph that draws or completes images.

        Args:
            method: See `keras_genimg.sampling.METHODS`.
            image_shape: `(height, width, colors)`.
            jit_compile: Whether to compile with XLA.
            num_candidates: Number of candidates, for completions; None to draw new
                images.
            **options: Options of `sampler`.

        Returns:
            A function of `(seeds, temperature, *others)`: integers, `(batch,)`; a
            scalar or `(batch,)`; float32 `images` and `known`, for completions; and
            the conditions. It returns float32 images in the likelihood's own range;
            for completions, also effective sample sizes.
        """
        draw = self.sampler(method, jit_compile, **options)

        def sample(seeds, temperature, *conditions):
            uniforms = seeded_uniforms(seeds, self.shape(image_shape))
            images = draw(uniforms, temperatures(temperature), conditions)
            return tf.ensure_shape(images, (None, *image_shape))

        def complete(seeds, temperature, images, known, *conditions):
            temperature = temperatures(temperature)
            if num_candidates == 1:  # No forward pass for weights.
                uniforms = seeded_uniforms(seeds, image_shape)
                completed = draw(uniforms, temperature, conditions, images, known)
                sizes = tf.ones_like(seeds, tf.float32)
            else:
                given = seeds, temperature, images, known, conditions
                completed, sizes = completion_of_candidates(
                    self._model, draw, num_candidates, *given
                )
            return tf.ensure_shape(completed, (None, *image_shape)), sizes

        return sample if num_candidates is None else complete

    def traced(self, method, image_size, jit_compile, num_candidates, batch_size):
        """Return the `TracedSampler` for batches of a size.

        Args:
            method: The method; None for that of the model.
            image_size: `(height, width)`, or None for that of the model.
            jit_compile: Whether to compile with XLA.
            num_candidates: Number of candidates, for completions; None to draw new
                images.
            batch_size: Number of images, each candidate one.

        Raises:
            ValueError: If the method is unknown, or the size does not fit.
        """
        method = self.checked_method(method)
        shape = sized_image_shape(self._model, image_size, "generate")
        is_small = (
            method == "incremental"
            and not jit_compile
            and batch_size <= self.largest_small_batch(shape)
        )
        kind = method, shape, jit_compile, is_small, num_candidates
        return self._model._function_cache.get(
            kind, lambda: TracedSampler(self._model, *kind)
        )

    def prove(self, method, image_size, jit_compile):
        """Raise an error unless images are drawn right in batches of all sizes."""
        shape = sized_image_shape(self._model, image_size, "generate")
        # Between guessed rows, the proof draws rows pixel by pixel, as batches are.
        guesses_rows = self.largest_small_batch(shape) == 1
        for batch_size in (1,) if guesses_rows else (1, LARGEST_BATCH + 1):
            arguments = method, image_size, jit_compile, None, batch_size
            self.prove_sampler(self.traced(*arguments))

    def prove_sampler(self, sampler):
        """Raise an error unless a sampler is right, which is checked once."""
        with shared_eager_traces(sampler.kind[1][0]):
            self._model._function_cache.get(("proven", *sampler.kind), sampler.prove)

    def checked_method(self, method):
        """Return a sampling method, that of the model for None."""
        if method is None:
            return self._model.sampling_method
        return check_choice("method", method, tuple(METHODS), "generate")

    def draw(
        self, sampler, temperature, inputs, batch_size, verbose, owner, num_candidates=1
    ):
        """Call a sampler on batches of inputs; announce what may take long.

        Args:
            sampler: Result of `traced`.
            temperature: Number that divides the logits.
            inputs: Arrays with one element per image: seeds; images and known pixels,
                for completions; and the conditions.
            batch_size: Number of images to draw at once.
            verbose: See `AutoregressiveModel.generate`.
            owner: Name of the public method.
            num_candidates: Number of completions of an image.

        Returns:
            NumPy arrays, as the function of `from_seeds` returns tensors.
        """
        check_temperature(temperature)
        temperature = tf.constant(temperature, tf.float32)
        method, shape, *_ = sampler.kind
        note, cost = "", 0
        if method != "incremental":
            passes = self.num_passes(shape)
            note = f"{passes} forward passes per batch"
            cost = passes * cost_of_image(self._model, shape) * num_candidates
            if method == "fixed_point":
                note = f"up to {passes + 1} forward passes per batch"

        # Not in the threads, which know no `keras.StatelessScope` around this call.
        weights = sampler.prepare()

        def draw(seeds, *others):
            return sampler(weights, seeds, temperature, *others)

        threads = self.num_threads(method)
        return draw_images(
            self._model, draw, inputs, batch_size, verbose, owner, note, cost, threads
        )

    def num_threads(self, method):
        """Return the number of batches to draw at the same time."""
        # A pixel is too little work for several cores. A forward pass is not.
        is_small = method == "incremental" and not tf.config.list_logical_devices("GPU")
        return num_cores() if is_small else 1

    def log_prob(self, images, *conditions):
        """Return the log-probability of images in nats, `(batch,)`, for a graph."""
        model = self._model
        params = forward_pass(model, images, conditions)
        targets = model._targets_of([images, *conditions])
        return -model._own_loss().call(targets, params)


def checked_completion(images, known, model):
    """Validate the images and the masks of `complete`.

    Unknown pixels become 0. Both get the shape of `images`, in float32.
    """
    owner = eager_task(model, "complete")
    images, known = np.asarray(images), np.asarray(known)
    check_shape(images.shape, model, owner)
    if len(images) == 0:
        raise ValueError(f"{owner} received no images: shape={images.shape}")
    if known.shape not in (images.shape[:3], images.shape[1:3]):
        raise ValueError(
            f"`known` of {owner} must have the shape {images.shape[:3]} or "
            f"{images.shape[1:3]}. Received: shape={known.shape}"
        )
    if not np.isin(known, (0, 1)).all():
        raise ValueError(
            f"`known` of {owner} must be 0 or 1 everywhere. Received: values "
            f"{np.unique(known)[:10]}"
        )
    known = np.broadcast_to((known == 1)[..., None], images.shape)
    model.likelihood.check_images(images[known], owner)
    images = np.where(known, images, 0)
    return images.astype("float32"), known.astype("float32")
