"""Compiled functions that draw the images of a model, and their checks."""

import functools
import math
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality import is_causal
from keras_genimg.causality.image_pairs import random_conditions
from keras_genimg.causality.likelihood_check import check_likelihood
from keras_genimg.causality.probing import announce_check, check_causal
from keras_genimg.causality.random_weights import jittered_values, random_values
from keras_genimg.causality.sampler_check import check_difference
from keras_genimg.drawing.candidates import completion_of_candidates, temperatures
from keras_genimg.inputs.calls import cost_of_image, draw_images, eager_task
from keras_genimg.inputs.images import check_shape, sized_image_shape
from keras_genimg.ops.checks import check_choice, check_temperature
from keras_genimg.ops.devices import is_on_gpu, num_cores
from keras_genimg.ops.graphs import random_operations, shared_eager_traces
from keras_genimg.ops.precision import has_half_precision, in_float32, is_quantized
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.sampling.orders.waves import LARGEST_BATCH
from keras_genimg.sampling.program import Refusal
from keras_genimg.sampling.sampler import largest_small_batch

# Makes every value of a pixel about equally likely.
_FLAT = 1e6
# The check draws all rows of an image up to so many operations of a forward pass, a few
# seconds of two CPU cores, and fewer of larger models.
_AFFORDABLE = 5e9
_FEWEST_ROWS = 8


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

    # Subclasses may override the methods up to the next such line.

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

    # Subclasses share the methods below.

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

    def check_causal(self, image_shape, training=False):
        """Raise an error unless each graph is causal, which is checked once.

        Args:
            image_shape: `(height, width, colors)`.
            training: Whether to check the forward pass of training too.
        """
        if not self._model.check_causality:
            return
        for model, shape in self._network_shapes(image_shape):
            if not model.check_causality:
                continue
            for in_training in (False, True) if training else (False,):
                check = functools.partial(check_causal, model, shape, in_training)
                model._function_cache.get(("causal", shape, in_training), check)

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

    def traced(
        self,
        method,
        image_size,
        jit_compile,
        num_candidates,
        batch_size,
        first=0,
        owner="generate",
    ):
        """Return the `TracedSampler` for batches of a size.

        Args:
            method: The method; None for that of the model.
            image_size: `(height, width)`, or None for that of the model.
            jit_compile: Whether to compile with XLA.
            num_candidates: Number of candidates, for completions; None to draw new
                images.
            batch_size: Number of images, each candidate one.
            first: Index of the first scale to draw, see `ScalesDrawer.sampler`.
            owner: Name of the public method, for error texts.

        Raises:
            ValueError: If the method is unknown, or the size does not fit.
        """
        method = self.checked_method(method, owner)
        shape = sized_image_shape(self._model, image_size, owner)
        is_small = (
            method == "incremental"
            and not jit_compile
            and batch_size <= self.largest_small_batch(shape)
        )
        kind = method, shape, jit_compile, is_small, first, num_candidates
        return self._model._function_cache.get(
            kind, lambda: TracedSampler(self._model, *kind)
        )

    def check_samplers(self, method, image_size, jit_compile):
        """Raise an error unless images are drawn right in batches of all sizes."""
        shape = sized_image_shape(self._model, image_size, "generate")
        # If the sampler may draw whole rows by guessing, the check guesses every second
        # row and draws the others pixel by pixel, so that both ways are compared.
        guesses_rows = self.largest_small_batch(shape) == 1
        for batch_size in (1,) if guesses_rows else (1, LARGEST_BATCH + 1):
            arguments = method, image_size, jit_compile, None, batch_size
            self.check_sampler(self.traced(*arguments))

    def check_sampler(self, sampler):
        """Raise an error unless a sampler is right, which is checked once."""
        shape = sampler.kind[1]
        check_likelihood(self._model.likelihood, shape[-1])
        with shared_eager_traces(shape[0]):
            self._model._function_cache.get(("checked", *sampler.kind), sampler.check)

    def checked_method(self, method, owner):
        """Return a sampling method, that of the model for None."""
        if method is None:
            return self._model.sampling_method
        return check_choice("method", method, tuple(METHODS), owner)

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

        # The threads do not see a `keras.StatelessScope` around this call.
        weights = sampler.prepare()

        def draw(seeds, *others):
            return sampler(weights, seeds, temperature, *others)

        # A pixel is too little work for several cores. A forward pass is not.
        is_small = method == "incremental" and not tf.config.list_logical_devices("GPU")
        threads = num_cores() if is_small else 1
        return draw_images(
            self._model, draw, inputs, batch_size, verbose, owner, note, cost, threads
        )

    def log_prob(self, images, *conditions):
        """Return the log-probability of images in nats, `(batch,)`, for a graph."""
        model = self._model
        params = forward_pass(model, images, conditions)
        targets = model._targets_of([images, *conditions])
        return -model._own_loss().call(targets, params)


class TracedSampler:
    """Compiled function that draws or completes images.

    Before the first image, the incremental sampler is checked: the parameters that it
    draws an image from must be those of a forward pass. The graph that is checked is
    the graph that draws, which takes the weights as inputs.

    Args:
        model: An `AutoregressiveModel`.
        method: A key of `keras_genimg.sampling.METHODS`.
        image_shape: `(height, width, colors)`.
        jit_compile: Whether to compile with XLA.
        is_small: Whether batches are at most as large as `Drawer.largest_small_batch`.
        first: Index of the first scale to draw, see `ScalesDrawer.sampler`.
        num_candidates: Number of candidates, for completions; None to draw new images.

    Call arguments:
        weights: Result of `prepare`.
        seeds: Integers, `(batch,)`.
        temperature: A scalar.
        *others: `images` and `known`, for completions; smaller images, for a `first`
            scale above 0; then the conditions.

    Returns:
        Images; for completions, also effective sample sizes.

    Raises:
        ValueError: If the model is not causal, the sampler and the model disagree, or a
            layer draws random numbers of its own.

    Attributes:
        kind: Method, image shape, whether it is compiled with XLA and for small
            batches, and the first scale. Samplers of one kind need one check.
    """

    def __init__(
        self,
        model,
        method,
        image_shape,
        jit_compile,
        is_small,
        first=0,
        num_candidates=None,
    ):
        self._model = model
        self.kind = (method, tuple(image_shape), jit_compile, is_small, first)
        self._traced = None
        self._has_passed = False
        self._networks = []
        self._given = []  # Shapes of images besides the conditions.
        if num_candidates is not None:
            self._given = [image_shape] * 2
        if first:
            self._given = [(*model.scales[first - 1], image_shape[-1])]
        variables = list(model.weights)
        # One call to read them all takes a third of the time of one for each.
        read = tf.function(
            lambda: [tf.convert_to_tensor(weight) for weight in variables],
            autograph=False,
        )
        with tf.init_scope():
            self._read = read.get_concrete_function()

        def run(weights, num_rows, is_check, *inputs):
            records, options = [], {"first": first} if first else {}
            if method == "incremental":
                options["batches"] = "small" if is_small else "large"
                options |= {"num_rows": num_rows, "guess_every_second": is_check}
                options["record"] = lambda *recorded: records.append(recorded)
            kind = method, image_shape, jit_compile, num_candidates
            draw = model._drawer.from_seeds(*kind, **options)
            state = list(zip(variables, weights, strict=True))
            scope = keras.StatelessScope(state_mapping=state)
            try:
                with scope:
                    images, *sizes = tf.nest.flatten(draw(*inputs))
            finally:  # TensorFlow fails on some of what is refused.
                self._refuse_noise(scope)
            self._networks = [network for network, *_ in records]
            recorded = [tuple(tensors) for _, *tensors in records]
            return [tf.cast(images, model.likelihood.dtype), *sizes], recorded

        signature = [
            [tf.TensorSpec(weight.shape, weight.dtype) for weight in variables],
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((), tf.bool),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.float32),
            *(tf.TensorSpec((None, *shape)) for shape in self._given),
            *(tf.TensorSpec(t.shape, t.dtype) for t in model.inputs[1:]),
        ]
        # XLA would compile the check's batch of two images too, for minutes.
        self._without_xla = tf.function(run, input_signature=signature, autograph=False)
        self._function = self._without_xla
        if jit_compile:
            self._function = tf.function(
                run, input_signature=signature, autograph=False, jit_compile=True
            )

    def _refuse_noise(self, scope):
        """Raise an error if drawing changed the state of a random generator."""
        model = self._model
        changed = scope.state_mapping.keys() - set(map(id, model.weights))
        if changed:
            owners = [
                f"{type(layer).__name__} '{layer.name}'"
                for layer in model._flatten_layers(include_self=False)
                if any(id(variable) in changed for variable in _variables_of(layer))
            ]
            error = Refusal(
                f"No image of {model.name} can be reproduced from its seed, since "
                f"layers draw random numbers or keep a state of their own. Let them do "
                f"so only in training, and leave out `stateful=True`. Received: "
                f"{', '.join(owners) or 'a graph with noise'}"
            )
            error.depends_on_batch = True
            raise error

    def _refuse_random_operations(self, traced):
        """Raise an error if a traced graph has noise that no seed decides."""
        operations = random_operations(traced)
        if operations:
            error = Refusal(
                f"No image of {self._model.name} can be reproduced from its seed, "
                f"since layers or the likelihood draw numbers with `tf.random`. Layers "
                f"may do so only in training, and `sample` of a likelihood must use "
                f"the `uniforms` that it is given. Received: a graph with the "
                f"operations {', '.join(operations)}"
            )
            error.depends_on_batch = True
            raise error

    def prepare(self):
        """Trace and check the sampler, if that was not done; return the weights."""
        self._trace()
        if self._model.check_causality and not self._has_passed:
            self._model._drawer.check_sampler(self)
            self._has_passed = True
        values = [weight.value for weight in self._model.weights]
        if all(isinstance(value, tf.Variable) for value in values):
            return self._read()
        # Some are of a `keras.StatelessScope`.
        return [tf.convert_to_tensor(value) for value in values]

    def __call__(self, weights, seeds, temperature, *others):
        function = self._trace()
        num_rows, is_check = tf.constant(self.kind[1][0]), tf.constant(False)
        (images, *sizes), _ = function(
            weights, num_rows, is_check, seeds, temperature, *others
        )
        return (images, *sizes) if sizes else images

    def _trace(self):
        """Return the function that draws, after its first trace.

        Raises:
            ValueError: If the incremental sampler does not support the model. If the
                model is causal, the error recommends the fixed-point sampler.
        """
        if self._traced is None:
            try:
                with tf.init_scope():
                    # There is only one graph; a look-up by TensorFlow costs 0.3 ms.
                    traced = self._function.get_concrete_function()
                self._refuse_random_operations(traced)
                self._traced = traced
            except Refusal as error:
                if error.depends_on_batch or not is_causal(self._model, self.kind[1]):
                    raise
                raise Refusal(
                    f"{error}. The model is causal, so it can be sampled without "
                    f"changes by method='fixed_point'."
                ) from error
        return self._traced

    def check(self):
        """Raise an error unless the sampler and the model agree.

        Two images are drawn, with pixels of any value, under random weights and under
        the model's own with some noise; of large models their first rows, at least
        eight. The parameters of each are compared with those of a forward pass of it
        alone. If rows may be guessed, every second one is. A model in half precision is
        checked in float32, and then compared as closely as its rounding allows. If that
        is not close, and for the other methods, the graph alone is checked for leaks.

        Returns:
            True.

        Raises:
            ValueError: If they disagree, the sampler fails, or the model is not causal.
                The error names the layer, if it is found.
        """
        model, (method, image_shape, *_) = self._model, self.kind
        self._trace()
        if method != "incremental":
            model._drawer.check_causal(image_shape)
            return True
        with tf.init_scope():
            is_half = has_half_precision(model)
            twin = in_float32(model) if is_half else None
            if twin is not None:
                TracedSampler(twin, *self.kind).check()
            elif is_half or is_quantized(model) or is_on_gpu():
                model._drawer.check_causal(image_shape)
            else:
                announce_check(model, image_shape)
            both = random_values(model), jittered_values(model)
            try:
                drawn = [(weights, self._drawn_under(weights)) for weights in both]
            except tf.errors.InvalidArgumentError as error:
                if len(model.inputs) == 1:
                    raise ValueError(
                        f"The incremental sampler of {model.name} cannot be checked, "
                        f"since it fails under random weights: {error.message}"
                    ) from error
                warnings.warn(
                    f"Could not check the sampler of {model.name}: its graph fails on "
                    f"random conditions, whose unknown sizes are guessed "
                    f"({type(error).__name__}). Compare some images with those of "
                    f"method='ancestral'.",
                    stacklevel=2,
                )
                return True
            finite = [
                (weights, records)
                for weights, records in drawn
                if all(np.isfinite(params).all() for _, _, params, _ in records)
            ]
            for weights, records in finite or drawn[-1:]:
                for network, images, params, conditions in records:
                    check_difference(network, weights, params, images, conditions)
        return True

    def _drawn_under(self, weights):
        """Return networks with two images, their parameters and conditions."""
        model, shape = self._model, self.kind[1]
        generator = np.random.default_rng(0)
        inputs = random_conditions(model, (2, *shape), generator)
        inputs = [*(tf.zeros((2, *given)) for given in self._given), *inputs]
        values = [tf.cast(value, weight.dtype) for weight, value in weights]
        affordable = int(shape[0] * _AFFORDABLE / max(cost_of_image(model, shape), 1))
        num_rows = min(max(affordable, _FEWEST_ROWS), shape[0])
        seeds = tf.constant([0, 1], tf.int64)
        _, recorded = self._without_xla(
            values,
            tf.constant(num_rows),
            tf.constant(True),
            seeds,
            tf.constant(_FLAT),
            *inputs,
        )
        return [
            (network, images, params[:, :num_rows], given)
            for network, (images, params, given) in zip(
                self._networks, recorded, strict=True
            )
        ]


def _variables_of(layer):
    """Return the variables of a layer, those included that Keras does not list.

    Recurrent layers with `stateful=True` do not list their states.
    """
    attributes = keras.tree.flatten(list(vars(layer).values()))
    unlisted = [each for each in attributes if isinstance(each, keras.Variable)]
    return [*layer.variables, *unlisted]


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
