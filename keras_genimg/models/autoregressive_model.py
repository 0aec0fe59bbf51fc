"""Models that draw images one sub-pixel at a time."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg import likelihoods
from keras_genimg.causality.probing import check_causal
from keras_genimg.causality.proven_sampler import TracedSampler
from keras_genimg.inputs.calls import draw_images, map_images
from keras_genimg.inputs.conditions import condition_arrays
from keras_genimg.inputs.images import known_image_shape, sized_image_shape
from keras_genimg.inputs.progress import cost_of_image
from keras_genimg.inputs.seeds import image_seeds
from keras_genimg.metrics import BitsPerDim
from keras_genimg.models.drawing_order import DrawingOrder
from keras_genimg.ops.checks import (
    check_choice,
    check_positive_int,
    check_temperature,
)
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.completion import completions
from keras_genimg.serving.autoregressive_endpoints import (
    autoregressive_endpoints,
    log_prob_of,
)
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.types import (
    Conditions,
    Config,
    Images,
    Method,
    Seeds,
    Shape,
    SymbolicTensor,
    Verbose,
)


@keras.saving.register_keras_serializable(package="keras_genimg")
class AutoregressiveModel(DrawingOrder):
    """Model of images from any functional graph of causal layers.

    The probability of an image is the product of the probabilities of its sub-pixels,
    each conditioned on the pixels before it in raster order and on the earlier colors
    of its pixel:

        log p(x) = sum over i of log p(x[i] | x[0], ..., x[i - 1])

    The graph must be causal: the parameters of a sub-pixel may depend only on earlier
    sub-pixels, so the first layer that reads the image has mask `"A"`. Otherwise, the
    model learns to copy pixels that are not available during generation.

    Before the first `fit`, `generate`, `complete` or `export`, the graph is proven
    under random weights: it is causal, see `keras_genimg.causality.first_leak`, and the
    incremental sampler computes what a forward pass does. This is done once for a graph
    and a size, and takes about two seconds for seven diagonal layers at 28x28.

    Args:
        inputs: `keras.Input` of images in the likelihood's own range,
            `(batch, height, width, colors)`, or a list of it and further inputs,
            the conditions. In a dict, the images are the input named `"images"`, or
            else the first.
        outputs: Float32 parameters of the likelihood: `(batch, height, width, colors)`,
            with one more axis for `Categorical`, see `Likelihood.params_shape`.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        condition_ranges: `(lowest, highest)` by input name, for conditions that are
            integers in a range, such as labels; by default the range of the dtype.
            Other values are refused.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        check_causality: Whether to prove the graph before it is trained or draws;
            `export` always does. True in new and loaded models; the value is
            not saved.

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

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        condition_ranges: dict[str, tuple[int, int]] | None = None,
        **kwargs: Any,
    ):
        likelihood = likelihoods.get(likelihood)
        if likelihood.num_values is None:
            raise ValueError(
                f"An autoregressive model needs a likelihood of finitely many pixel "
                f"values, such as Categorical(256). Received: likelihood={likelihood}"
            )
        super().__init__(inputs, outputs, likelihood, **kwargs)
        if condition_ranges is not None:
            self.condition_ranges = {
                name: (low, high) for name, (low, high) in condition_ranges.items()
            }

    def _own_metrics(self):
        return [BitsPerDim(self.likelihood)]

    def _check_before_fit(self, x):
        self._check_causal(known_image_shape(x, self))

    def _check_causal(self, image_shape):
        """Raise an error unless the graph is causal, which is checked once."""
        if self.check_causality:
            self._function_cache.get(
                self, ("causal", image_shape), lambda: check_causal(self, image_shape)
            )

    def generate(
        self,
        num_images: int = 1,
        *,
        seed: Seeds | None = None,
        temperature: float = 1.0,
        method: Method = "incremental",
        jit_compile: bool = False,
        conditions: Conditions | None = None,
        image_size: Shape | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Draw images.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random, which
                `keras.utils.set_random_seed` makes reproducible. An image depends only
                on its own seed.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, which affects the speed but not the images.
                `"incremental"` evaluates each pixel once, in about the time of one
                forward pass, for graphs of causal and pointwise layers.
                `"fixed_point"` runs forward passes until nothing changes, and
                `"ancestral"` one forward pass per sub-pixel (per pixel if the
                likelihood couples its colors), for any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array for a single input, else a dict by input name.
            image_size: `(height, width)`, for a model of any size.
            batch_size: Number of images to draw at once.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of shape `(num_images, height, width, colors)`, pixels in the
            likelihood's own range.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the incremental sampler does not support a layer.
        """
        num_images = check_positive_int("num_images", num_images, "generate")
        draw = self._draw_function(method, temperature, image_size, jit_compile)
        shape = sized_image_shape(self, image_size, "generate")
        conditions = condition_arrays(self, conditions, num_images, shape)
        inputs = [image_seeds(num_images, seed), *conditions]
        note, cost = self._drawing_cost(method, shape)
        return draw_images(
            self, draw, inputs, batch_size, verbose, note=note, cost=cost
        )

    def complete(
        self,
        images: ArrayLike,
        known: ArrayLike,
        *,
        seed: Seeds | None = None,
        num_candidates: int = 1,
        temperature: float = 1.0,
        method: Method = "incremental",
        jit_compile: bool = False,
        conditions: Conditions | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Draw the unknown pixels of images.

        Unknown pixels are drawn in raster order, each conditioned on the pixels before
        it, known or drawn. Known pixels *after* an unknown one do not influence it. If
        all known pixels come before all unknown ones, such as an upper half, the result
        is an exact sample given the known pixels. Otherwise, it may not fit the known
        pixels that follow.

        With `num_candidates` above 1, that many completions are drawn. Each is weighted
        by the probability of the known pixels after its first unknown one, and one is
        chosen in proportion to its weight. The more candidates, the closer the result
        is to a sample given all known pixels. `effective_sample_size` is a measure of
        this: near 1, the result is merely the best of the candidates.

        Args:
            images: `(num_images, height, width, colors)`, known pixels in the
                likelihood's own range; unknown ones are ignored.
            known: 1 or True at known pixels, else 0 or False,
                `(num_images, height, width)`, or `(height, width)` for all images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random.
            num_candidates: Number of completions to choose from. A candidate does not
                depend on their number. If no known pixel follows an unknown one, the
                result is candidate 0, the completion for `num_candidates=1`.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, which affects the speed but not the images:
                `"incremental"` for graphs of causal and pointwise layers,
                `"fixed_point"` or `"ancestral"` for any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array for a single input, else a dict by input name.
            batch_size: Number of completions to draw at once, counting every candidate;
                at least all candidates of one image.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of the shape of `images`, with known pixels unchanged.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the incremental sampler does not support a layer.

        References:
            van den Oord et al., Pixel Recurrent Neural Networks, 2016, figure 1.
            Rubin, Using the SIR algorithm to simulate posterior distributions, 1988.
        """
        completed, _ = completions(
            self,
            images,
            known,
            seed=seed,
            num_candidates=num_candidates,
            temperature=temperature,
            method=method,
            jit_compile=jit_compile,
            conditions=conditions,
            batch_size=batch_size,
            verbose=verbose,
        )
        return completed

    def effective_sample_size(
        self,
        images: ArrayLike,
        known: ArrayLike,
        *,
        seed: Seeds | None = None,
        num_candidates: int = 1,
        temperature: float = 1.0,
        method: Method = "incremental",
        jit_compile: bool = False,
        conditions: Conditions | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the effective number of candidates of each completion.

        With the weights `w` of the candidates that `complete` draws for the same
        arguments:

            sum(w)**2 / sum(w**2)

        This is 1 if one candidate has all the weight, and `num_candidates` if all
        weights are equal, for example if no known pixel follows an unknown one.

        Args:
            images: `(num_images, height, width, colors)`, known pixels in the
                likelihood's own range; unknown ones are ignored.
            known: 1 or True at known pixels, else 0 or False,
                `(num_images, height, width)`, or `(height, width)` for all images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random.
            num_candidates: Number of completions to choose from.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, which affects the speed but not the images:
                `"incremental"` for graphs of causal and pointwise layers,
                `"fixed_point"` or `"ancestral"` for any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array for a single input, else a dict by input name.
            batch_size: Number of completions to draw at once, counting every candidate;
                at least all candidates of one image.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy float32 array of shape `(num_images,)`, from 1 to `num_candidates`.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the incremental sampler does not support a layer.

        References:
            Kong, Liu and Wong, Sequential Imputations and Bayesian Missing Data
            Problems, 1994.
        """
        _, sizes = completions(
            self,
            images,
            known,
            seed=seed,
            num_candidates=num_candidates,
            temperature=temperature,
            method=method,
            jit_compile=jit_compile,
            conditions=conditions,
            batch_size=batch_size,
            verbose=verbose,
        )
        return sizes

    def _draw_function(
        self,
        method="incremental",
        temperature=1.0,
        image_size=None,
        jit_compile=False,
        num_candidates=None,
    ):
        """Return a compiled function of `(seeds, *conditions)` that draws images.

        With `num_candidates`, it completes images: it also takes `images` and `known`,
        after the seeds, and returns effective sample sizes, after the images.

        Raises:
            ValueError: If an argument is not as described. The function raises it if
                the model is not causal.
        """
        check_choice("method", method, tuple(METHODS), "generate")
        check_temperature(temperature)
        shape = sized_image_shape(self, image_size, "generate")
        draw = self._traced_sampler(method, shape, jit_compile, num_candidates)
        temperature = tf.constant(temperature, tf.float32)
        return lambda seeds, *others: draw(seeds, temperature, *others)

    def _prove(self, sampler):
        """Raise an error unless a sampler is right, which is checked once."""
        self._function_cache.get(self, ("proven", *sampler.kind), sampler.prove)

    def _traced_sampler(self, method, shape, jit_compile, num_candidates=None):
        return self._function_cache.get(
            self,
            (method, shape, jit_compile, num_candidates),
            lambda: TracedSampler(self, method, shape, jit_compile, num_candidates),
        )

    def _drawing_cost(self, method, image_shape):
        """Return the forward passes of a batch as text, and their cost per image."""
        passes = self._num_passes(image_shape)
        if method == "incremental":
            return "", 0
        note = f"{passes} forward passes per batch"
        if method == "fixed_point":
            note = f"up to {passes + 1} forward passes per batch"
        return note, passes * cost_of_image(self, image_shape)

    def log_prob(
        self,
        images: Images,
        *,
        num_samples: None = None,
        seed: None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the exact log-probability of each image.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            num_samples: Must be None, since the result is exact.
            seed: Must be None.
            batch_size: Images per batch, for arrays.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit, or
                `num_samples` or `seed` is given.
        """
        for name, value in (("num_samples", num_samples), ("seed", seed)):
            if value is not None:
                raise ValueError(
                    f"The log-probability of {self.name} is exact, without samples: "
                    f"leave out `{name}`. Received: {name}={value!r}"
                )
        function = self._function_cache.get(
            self,
            "log_prob",
            lambda: tf.function(
                lambda *inputs: log_prob_of(self, *inputs),
                reduce_retracing=True,
                autograph=False,
            ),
        )
        return map_images(self, function, images, "log_prob", batch_size, verbose)

    def endpoints(
        self,
        image_shape: Shape,
        jit_compile: bool = False,
        method: Method = "incremental",
        num_candidates: int = 1,
    ) -> dict[str, Endpoint]:
        """Return the functions that a server can call.

        Args:
            image_shape: `(height, width, colors)`, all known.
            jit_compile: Whether to compile with XLA.
            method: `"incremental"`, `"fixed_point"` or `"ancestral"`, see `generate`.
            num_candidates: Number of completions among which `complete` chooses.

        Returns:
            Dict of `keras_genimg.serving.Endpoint` by signature name.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the sampler and the model disagree.
        """
        image_shape = tuple(image_shape)
        self._check_causal(image_shape)
        self._prove(self._traced_sampler(method, image_shape, jit_compile))
        return autoregressive_endpoints(
            self, image_shape, method, jit_compile, num_candidates
        )

    def get_config(self) -> Config:
        graph = keras.Model(self.inputs, self.outputs[0], name=self.name)
        config = {
            **self._base_config(),
            "graph": keras.saving.serialize_keras_object(graph),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
        }
        if self.condition_ranges != type(self).condition_ranges:
            ranges = {k: list(v) for k, v in self.condition_ranges.items()}
            config["condition_ranges"] = ranges
        return config

    @classmethod
    def from_config(
        cls, config: Config, custom_objects: dict[str, Any] | None = None
    ) -> "AutoregressiveModel":
        config = dict(config)
        if "graph" not in config:
            return cls(**config)
        graph = keras.saving.deserialize_keras_object(
            config.pop("graph"), custom_objects=custom_objects
        )
        inputs = graph.inputs if len(graph.inputs) > 1 else graph.inputs[0]
        return cls(inputs, graph.outputs[0], **config)
