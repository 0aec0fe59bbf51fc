"""Models that draw an image one sub-pixel after the other."""

import math
import warnings

import keras
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.causality import probe
from keras_genimg.models.autoregressive_endpoints import autoregressive_endpoints
from keras_genimg.models.candidates import candidate_completer, completions
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.image_inputs import known_image_shape
from keras_genimg.models.progress import Counted
from keras_genimg.models.traced_sampler import TracedSampler, pixel_sampler
from keras_genimg.ops.checks import check_choice
from keras_genimg.ops.fingerprint import weights_fingerprint
from keras_genimg.sampling import METHODS
from keras_genimg.saved_model.input import real_input
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
    Otherwise the model learns to copy pixels that it will not have when it draws. So
    the graph is probed, in less than a second for seven diagonal layers at 28x28,
    before the first `fit`, and before the first `generate`, `complete` or `export`
    after weights have changed: some images are changed from some sub-pixel on, and no
    parameter up to it may change, see `keras_genimg.causality.first_leak`. What weights
    of 0 hide is found once they have changed. `check_causality = False` switches the
    probe off.

    Args:
        inputs: `keras.Input` of images in the likelihood's own range,
            `(batch, height, width, colors)`, or a list of it and further inputs,
            the conditions.
        outputs: Parameters of the likelihood, float32, of its `params_shape` behind
            the batch: `(batch, height, width, colors)`, with one more axis for
            `Categorical`.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        check_causality: Whether the probe runs, True in a new model. It is not saved: a
            model that is loaded or cloned has True.

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

    check_causality = True

    def __init__(self, inputs, outputs, likelihood="bernoulli", **kwargs):
        likelihood = likelihoods.get(likelihood)
        if likelihood.num_values is None:
            raise ValueError(
                f"An autoregressive model needs a likelihood of finitely many pixel "
                f"values, such as Categorical(256). Received: likelihood={likelihood}"
            )
        super().__init__(inputs, outputs, likelihood, **kwargs)
        # By image shape: the fingerprint of the weights that were probed.
        self._probed = {}

    def own_metrics(self):
        return [BitsPerDim(self.likelihood)]

    def check_before_fit(self, x):
        if not self._probed:
            self.check_before_use(known_image_shape(x, self))

    def check_before_use(self, image_shape, fingerprint=None, also=()):
        """Raise if a sub-pixel sees itself or a later one, as far as a probe can tell.

        Nothing is done if these weights have passed, or `check_causality` is False.

        Args:
            image_shape: `(height, width, colors)`; None for a size that is not known.
            fingerprint: Of the weights, see `weights_fingerprint`; taken if left out.
            also: Inputs to be evaluated in the probe's forward pass, as tensors.

        Returns:
            The model's output for `also`, or None if the probe did not run.

        Raises:
            ValueError: If the model is not causal, with the layer where it can be told.
        """
        if not self.check_causality:
            return None
        if fingerprint is None:
            fingerprint = weights_fingerprint(self.weights)
        if self._probed.get(image_shape) == fingerprint:
            return None
        try:
            leak, params = probe(self, image_shape, also)
        except Exception as error:  # Conditions were a bad guess, for example.
            leak = params = None
            warnings.warn(
                f"Whether {self.name} is causal could not be found out, since it fails "
                f"on random images and conditions ({type(error).__name__}). Check it "
                f"with keras_genimg.testing.assert_causal(model, images, "
                f"conditions=...), then set `check_causality = False` on the model.",
                stacklevel=2,
            )
        if leak is not None:
            raise ValueError(
                f"{self.name} is not causal, so that it learns to copy pixels that it "
                f"will not have when it draws. {leak} If it is meant to be so, switch "
                f"this check off by `check_causality = False` on the model."
            )
        self._probed[image_shape] = fingerprint
        return params

    def complete(
        self,
        images,
        known,
        seed=None,
        conditions=None,
        batch_size=64,
        verbose="auto",
        num_candidates=1,
        **options,
    ):
        """Draw the unknown pixels of images.

        Unknown pixels are drawn in raster order, each given the pixels before it: the
        known ones and those drawn already. Known pixels *after* an unknown one do not
        influence it. If all known pixels come before all unknown ones, as in an upper
        half, this is an exact draw of the unknown pixels given the known ones. If not,
        the result may not fit the known pixels that follow.

        With `num_candidates` above 1, that many completions are drawn, each is weighted
        by the probability of the known pixels after its first unknown one, and one of
        them is chosen with probability in proportion to its weight. The more
        candidates, the closer the result is to a draw given all known pixels.
        `effective_sample_size` tells how far to trust it: where that is near 1, one
        candidate outweighs the others, and the result is merely the best of them.

        Args:
            images: `(num_images, height, width, colors)`, known pixels in the
                likelihood's own range; what unknown ones hold makes no difference.
            known: Which pixels are known, 1 or True, and which are not, 0 or False:
                `(num_images, height, width)`, or `(height, width)` for all images.
            seed: As in `generate`.
            conditions: As in `generate`.
            batch_size: How many completions to draw at a time, each candidate counted;
                at least one image with all of its candidates.
            verbose: As in `generate`.
            num_candidates: How many completions to choose from. Candidate 0 is the
                image that 1 candidate gives, and a candidate does not depend on how
                many there are. Where no known pixel follows an unknown one there is
                nothing to choose by, and candidate 0 is returned.
            **options: As in `generate`, see `draw_function`.

        Returns:
            NumPy array of the shape of `images`, known pixels as they were.

        Raises:
            ValueError: If an argument is not as described.

        References:
            van den Oord et al., Pixel Recurrent Neural Networks, 2016, figure 1.
            Rubin, Using the SIR algorithm to simulate posterior distributions, 1988.
        """
        completed, _ = completions(
            self,
            images,
            known,
            seed,
            conditions,
            batch_size,
            verbose,
            num_candidates,
            **options,
        )
        return completed

    def effective_sample_size(
        self,
        images,
        known,
        seed=None,
        **options,
    ):
        """Return how many equally weighted candidates a completion was chosen from.

        With the weights `w` of the candidates that `complete` draws for the same
        arguments, this is

            sum(w)**2 / sum(w**2)

        It is 1 if one candidate has all the weight, and `num_candidates` if all weights
        are equal, as they are where no known pixel follows an unknown one.

        Args:
            images: As in `complete`.
            known: As in `complete`.
            seed: As in `complete`.
            **options: The other arguments of `complete`, such as `num_candidates`.

        Returns:
            NumPy float32 array of shape `(num_images,)`, from 1 to `num_candidates`.

        Raises:
            ValueError: If an argument is not as described.

        References:
            Kong, Liu and Wong, Sequential Imputations and Bayesian Missing Data
            Problems, 1994.
        """
        _, sizes = completions(self, images, known, seed, **options)
        return sizes

    def draw_function(
        self,
        method="incremental",
        temperature=1.0,
        image_size=None,
        jit_compile=False,
        completes=False,
        num_candidates=1,
    ):
        """Return a compiled function of `(seeds, *conditions)` that draws images.

        Args:
            method: How to draw, which changes the time it takes and not the images.
                `"incremental"`: each pixel evaluated once, about the price of a
                forward pass; for graphs of causal and pointwise layers.
                `"fixed_point"`: forward passes until nothing changes, for any causal
                graph.
                `"ancestral"`: one forward pass a sub-pixel (a pixel, if the likelihood
                couples its colors), for any causal graph.
            temperature: Divides the logits, above 0; below 1 gives likelier images.
            image_size: `(height, width)`, for a graph of any size.
            jit_compile: Whether to compile with XLA.
            completes: Whether the function takes `images` and `known` after the seeds,
                and returns effective sample sizes after the images.
            num_candidates: As in `complete`, for a function that completes.

        Raises:
            ValueError: If an argument is not as described. The function raises one if
                the model is not causal.
        """
        check_choice("method", method, tuple(METHODS), "generate")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ValueError(
                f"`temperature` must be a finite number above 0. Received: "
                f"temperature={temperature!r}"
            )
        shape = self.sized_image_shape(image_size, "generate")
        key = (method, shape, jit_compile, completes, num_candidates)
        functions = self._compiled_functions
        if key not in functions:
            functions[key] = TracedSampler(
                self, method, shape, jit_compile, num_candidates if completes else None
            )
        draw = functions[key]
        temperature = tf.constant(temperature, tf.float32)
        return Counted(
            lambda seeds, *others: draw(seeds, temperature, *others), draw.counter
        )

    def drawing_note(self, method="incremental", image_size=None, **_):
        shape = self.sized_image_shape(image_size, "generate")
        passes = math.prod(self.likelihood.unit_shape(shape))
        if method == "ancestral":
            return f"{passes} forward passes per batch"
        if method == "fixed_point":
            return f"up to {passes + 1} forward passes per batch"
        return ""

    def sampler(self, method, image_shape, jit_compile=False):
        """Return a function of `(seeds, temperature, *conditions)` that draws images.

        Args:
            method: As in `draw_function`.
            image_shape: `(height, width, colors)`.
            jit_compile: Whether the graph will be compiled with XLA.

        Returns:
            A function for a graph: seeds of shape `(batch,)` and a temperature that is
            a scalar or of shape `(batch,)` in, float32 images in the likelihood's own
            range out.
        """
        return pixel_sampler(METHODS[method](self, jit_compile), image_shape)

    def completer(self, method, image_shape, jit_compile=False, num_candidates=1):
        """Return a function that completes images.

        Args:
            method: As in `draw_function`.
            image_shape: `(height, width, colors)`.
            jit_compile: Whether the graph will be compiled with XLA.
            num_candidates: As in `complete`.

        Returns:
            A function for a graph, see `candidate_completer`:
            `(seeds, temperature, images, known, *conditions)` in, float32 images in the
            likelihood's own range and effective sample sizes out.
        """
        draw = METHODS[method](self, jit_compile)
        return candidate_completer(self, draw, image_shape, num_candidates)

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
        functions = self._compiled_functions
        if "log_prob" not in functions:
            functions["log_prob"] = tf.function(
                self.log_prob_graph, reduce_retracing=True, autograph=False
            )
        return functions["log_prob"]

    def log_prob_graph(self, images, *conditions):
        """Return nats of images, for a graph; see `log_prob`."""
        params = self([images, *conditions] if conditions else images, training=False)
        return self.likelihood.log_prob_of_images(params, images)

    def endpoints(
        self, image_shape, jit_compile=False, method="incremental", num_candidates=1
    ):
        self.check_before_use(tuple(image_shape))
        return autoregressive_endpoints(
            self, image_shape, method, jit_compile, num_candidates
        )

    def served_conditions(self, image_shape):
        """Return what a server is given besides images and seeds, in order.

        Args:
            image_shape: `(height, width, colors)`, which a condition of any size
                follows.

        Returns:
            Dict of `keras_genimg.saved_model.Input` by name.
        """
        served = {}
        for tensor in self.inputs[1:]:
            shape = list(tensor.shape)
            if len(shape) == 4:
                sizes = zip(shape[1:3], image_shape[:2], strict=True)
                shape[1:3] = [size or whole for size, whole in sizes]
            served[tensor.name] = real_input(shape, tensor.dtype)
        return served

    def get_config(self):
        graph = keras.Model(self.inputs, self.outputs[0], name=self.name)
        return {
            **self.base_config(),
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
