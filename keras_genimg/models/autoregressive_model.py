"""Models that draw an image one sub-pixel after the other."""

import math

import keras
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.image_inputs import checked_completion
from keras_genimg.models.row_seeds import row_seeds
from keras_genimg.ops.checks import check_choice
from keras_genimg.ops.uniforms import row_uniforms
from keras_genimg.sampling import METHODS
from keras_genimg.training import BitsPerDim


@keras.saving.register_keras_serializable(package="keras_genimg")
class AutoregressiveModel(GenerativeModel):
    """Any functional graph of causal layers, as a model of images.

    The probability of an image is the product of the probabilities of its sub-pixels,
    each given those before it in raster order, and within a pixel the colours before
    it:

        log p(x) = sum over i of log p(x[i] | x[0], ..., x[i - 1])

    The graph must be causal: the parameters it computes for a sub-pixel may depend
    on earlier sub-pixels alone. Its first layer that reads the image has mask `"A"`.

    Args:
        inputs: `keras.Input` of images in the likelihood's own range,
            `(batch, height, width, colors)`, or a list of it and further inputs,
            the conditions.
        outputs: Parameters of the likelihood, float32: `(batch, height, width,
            colors)`, with one more axis for `Categorical`.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If the outputs do not fit the images and the likelihood.

    Example:
        >>> images = keras.Input((28, 28, 1))
        >>> x = MaskedConv2D(32, 7, mask_type="A")(images)
        >>> x = DiagonalBiLSTM(16)(x)
        >>> logits = MaskedConv2D(1, 1, mask_type="B", dtype="float32")(x)
        >>> model = AutoregressiveModel(images, logits, "bernoulli")
        >>> model.generate(4, seed=0).shape
        (4, 28, 28, 1)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 2, https://arxiv.org/abs/1601.06759
    """

    def __init__(self, inputs, outputs, likelihood="bernoulli", **kwargs):
        likelihood = likelihoods.get(likelihood)
        if likelihood.num_values is None:
            raise ValueError(
                f"An autoregressive model needs a likelihood of finitely many pixel "
                f"values, such as Categorical(256). Received: likelihood={likelihood}"
            )
        super().__init__(inputs, outputs, likelihood, **kwargs)

    def own_metrics(self):
        return [BitsPerDim(self.likelihood)]

    def complete(
        self,
        images,
        known,
        seed=None,
        conditions=None,
        batch_size=64,
        verbose="auto",
        **options,
    ):
        """Draw the unknown pixels of images.

        Args:
            images: `(num_images, height, width, colors)`, known pixels in the
                likelihood's own range; what unknown ones hold makes no difference.
            known: Which pixels are known, 1 or True, and which are not, 0 or False:
                `(num_images, height, width)`, or `(height, width)` for all images.
            seed: As in `generate`.
            conditions: As in `generate`.
            batch_size: As in `generate`.
            verbose: As in `generate`.
            **options: As in `generate`, see `draw_function`.

        Returns:
            NumPy array of the shape of `images`, known pixels as they were.

        Raises:
            ValueError: If an argument is not as described.

        References:
            van den Oord et al., Pixel Recurrent Neural Networks, 2016, figure 1.
        """
        images, known = checked_completion(images, known, self)
        options.setdefault("image_size", images.shape[1:3])
        draw = self.draw_function(completes=True, **options)
        rows = self.condition_rows(conditions, len(images))
        rows = [row_seeds(len(images), seed), images, known, *rows]
        note = self.drawing_note(**options)
        return self.draw_in_batches(draw, rows, batch_size, verbose, "complete", note)

    def draw_function(
        self,
        method="incremental",
        temperature=1.0,
        image_size=None,
        jit_compile=False,
        completes=False,
    ):
        """Return a compiled function of `(seeds, *conditions)` that draws images.

        Args:
            method: How to draw, which changes the time it takes and not the images.
                `"incremental"`: each pixel evaluated once, about the price of a
                forward pass; for graphs of causal and pointwise layers.
                `"fixed_point"`: forward passes until nothing changes, for any causal
                graph.
                `"ancestral"`: one forward pass a sub-pixel, for any causal graph.
            temperature: Divides the logits, above 0; below 1 gives likelier images.
            image_size: `(height, width)`, for a graph of any size.
            jit_compile: Whether to compile with XLA.
            completes: Whether the function takes `images` and `known` after the seeds.

        Raises:
            ValueError: If an argument is not as described.
        """
        check_choice("method", method, tuple(METHODS), "generate")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ValueError(
                f"`temperature` must be a finite number above 0. Received: "
                f"temperature={temperature!r}"
            )
        shape = self.sized_image_shape(image_size, "generate")
        key = (method, shape, jit_compile, completes)
        if key not in self._compiled_functions:
            given = [tf.TensorSpec((None, *shape))] * 2 if completes else []
            sample = self.sampler(method, shape, jit_compile, completes)
            self._compiled_functions[key] = tf.function(
                lambda *rows: tf.cast(sample(*rows), self.likelihood.dtype),
                input_signature=[
                    tf.TensorSpec((None,), tf.int64),
                    tf.TensorSpec((), tf.float32),
                    *given,
                    *(tf.TensorSpec(t.shape, t.dtype) for t in self.inputs[1:]),
                ],
                jit_compile=jit_compile,
                autograph=False,
            )
        draw = self._compiled_functions[key]
        temperature = tf.constant(temperature, tf.float32)
        return lambda seeds, *others: draw(seeds, temperature, *others)

    def drawing_note(self, method="incremental", image_size=None, **_):
        passes = math.prod(self.sized_image_shape(image_size, "generate"))
        if method == "ancestral":
            return f"{passes} forward passes per batch"
        if method == "fixed_point":
            return f"up to {passes + 1} forward passes per batch"
        return ""

    def sampler(self, method, image_shape, jit_compile=False, completes=False):
        """Return a function of `(seeds, temperature, *conditions)` that draws images.

        Args:
            method: As in `draw_function`.
            image_shape: `(height, width, colors)`.
            jit_compile: Whether the graph will be compiled with XLA.
            completes: Whether the function takes float32 `images` and `known`, both of
                shape `(batch, height, width, colors)` or broadcasting to it, before
                the conditions.

        Returns:
            A function for a graph: seeds of shape `(batch,)` and a temperature that is
            a scalar or of shape `(batch,)` in, float32 images in the likelihood's own
            range out.
        """
        draw = METHODS[method](self, jit_compile)

        def sample(seeds, temperature, *others):
            uniforms = row_uniforms(seeds, image_shape)
            temperature = tf.reshape(temperature, (-1, 1, 1, 1))
            given, conditions = others[: 2 * completes], others[2 * completes :]
            images = draw(uniforms, temperature, conditions, *given)
            return tf.ensure_shape(images, (None, *image_shape))

        return sample

    def log_prob(
        self, images, *, num_samples=None, seed=None, batch_size=64, verbose="auto"
    ):
        """Return the exact log-probability of each image.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            num_samples: Must be None, since nothing is sampled.
            seed: Must be None.
            batch_size: Images per batch, for arrays.
            verbose: As in `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit, or
                `num_samples` or `seed` is given.
        """
        for name, value in (("num_samples", num_samples), ("seed", seed)):
            if value is not None:
                raise ValueError(
                    f"The log-probability of {self.name} is exact, without samples of "
                    f"latent variables: leave out `{name}`. Received: {name}={value!r}"
                )
        return self.map_images(
            self.log_prob_function(), images, "log_prob", batch_size, verbose
        )

    def log_prob_function(self):
        """Return a compiled function of `(images, *conditions)` that gives nats."""
        if "log_prob" not in self._compiled_functions:
            self._compiled_functions["log_prob"] = tf.function(
                self.log_prob_graph, reduce_retracing=True, autograph=False
            )
        return self._compiled_functions["log_prob"]

    def log_prob_graph(self, images, *conditions):
        """Return nats of images, for a graph; see `log_prob`."""
        params = self([images, *conditions] if conditions else images, training=False)
        log_prob = self.likelihood.log_prob(params, images)
        return tf.reduce_sum(log_prob, axis=(1, 2, 3))

    def endpoints(self, image_shape, jit_compile=False, method="incremental"):
        from keras_genimg.serving import autoregressive_endpoints

        return autoregressive_endpoints(self, image_shape, method, jit_compile)

    def served_conditions(self, image_shape):
        """Return what a server is given besides images and seeds, in order.

        Args:
            image_shape: `(height, width, colors)`, which a condition of any size
                follows.

        Returns:
            Dict of `keras_genimg.serving.Input` by name.
        """
        from keras_genimg.serving.inputs import real_input

        served = {}
        for tensor in self.inputs[1:]:
            shape = list(tensor.shape)
            if len(shape) == 4:
                sizes = zip(shape[1:3], image_shape[:2], strict=True)
                shape[1:3] = [size or whole for size, whole in sizes]
            served[tensor.name] = real_input(shape, tensor.dtype)
        return served

    def get_config(self):
        config = {"name": self.name, "trainable": self.trainable}
        graph = keras.Model(self.inputs, self.outputs[0], name=self.name)
        return {
            **config,
            "graph": keras.saving.serialize_keras_object(graph),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if "graph" not in config:
            return cls(**config)
        graph = keras.saving.deserialize_keras_object(
            config.pop("graph"), custom_objects=custom_objects
        )
        inputs = graph.inputs if len(graph.inputs) > 1 else graph.inputs[0]
        return cls(inputs, graph.outputs[0], **config)
