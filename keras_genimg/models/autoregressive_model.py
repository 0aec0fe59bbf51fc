"""Models that draw an image one sub-pixel after the other."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg import likelihoods
from keras_genimg.models.autoregressive_endpoints import (
    autoregressive_endpoints,
    log_prob_of,
)
from keras_genimg.models.batched_calls import draw_images, map_images
from keras_genimg.models.causality_check import CausalityCheck
from keras_genimg.models.completion import completions
from keras_genimg.models.conditions import condition_arrays
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.image_inputs import known_image_shape, sized_image_shape
from keras_genimg.models.image_seeds import image_seeds
from keras_genimg.models.progress import Counted
from keras_genimg.models.traced_sampler import TracedSampler
from keras_genimg.ops.checks import check_choice, check_positive_int
from keras_genimg.sampling import METHODS
from keras_genimg.saved_model.endpoint import Endpoint
from keras_genimg.training import BitsPerDim
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
class AutoregressiveModel(GenerativeModel):
    """Any functional graph of causal layers, as a model of images.

    The probability of an image is the product of the probabilities of its sub-pixels,
    each given those before it in raster order, and within a pixel the colors before
    it:

        log p(x) = sum over i of log p(x[i] | x[0], ..., x[i - 1])

    The graph must be causal: the parameters it computes for a sub-pixel may depend on
    earlier sub-pixels alone. Its first layer that reads the image has mask `"A"`.
    Otherwise the model learns to copy pixels that it will not have when it draws.

    The graph is probed before the first `fit`, and before the first `generate`,
    `complete` or `export` after the weights have changed. Some images are changed from
    some sub-pixel on, and no parameter up to it may change, see
    `keras_genimg.causality.first_leak`. This takes less than a second for seven
    diagonal layers at 28x28. A leak that weights of 0 hide is found once they change.
    `check_causality = False` switches the probe off.

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

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        **kwargs: Any,
    ):
        likelihood = likelihoods.get(likelihood)
        if likelihood.num_values is None:
            raise ValueError(
                f"An autoregressive model needs a likelihood of finitely many pixel "
                f"values, such as Categorical(256). Received: likelihood={likelihood}"
            )
        super().__init__(inputs, outputs, likelihood, **kwargs)
        self._causality_check = CausalityCheck(self)

    def _own_metrics(self):
        return [BitsPerDim(self.likelihood)]

    def _check_before_fit(self, x):
        if not self._causality_check.has_passed:
            self._causality_check.run(known_image_shape(x, self))

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
            seed: Integer seed of the first image; the next images have the seeds that
                follow. Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, never on the others drawn with it.
            temperature: Number above 0 that divides the logits; below 1 gives likelier
                images.
            method: How to draw, which changes the time it takes and not the images.
                `"incremental"` evaluates each pixel once, for about the price of a
                forward pass; it takes graphs of causal and pointwise layers.
                `"fixed_point"` makes forward passes until nothing changes, and
                `"ancestral"` one forward pass for each sub-pixel, or pixel if the
                likelihood couples its colors; both take any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array if there is one input, else a dict by input name.
            image_size: `(height, width)`, for a model of any size.
            batch_size: Number of images to draw at a time.
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
        conditions = condition_arrays(self, conditions, num_images)
        inputs = [image_seeds(num_images, seed), *conditions]
        note = self._drawing_note(method, image_size)
        return draw_images(self, draw, inputs, batch_size, verbose, note=note)

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
            seed: Integer seed of the first image; the next images have the seeds that
                follow. Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, never on the others drawn with it.
            num_candidates: Number of completions to choose from. Candidate 0 is the
                image that 1 candidate gives, and a candidate does not depend on how
                many there are. Where no known pixel follows an unknown one there is
                nothing to choose by, and candidate 0 is returned.
            temperature: Number above 0 that divides the logits; below 1 gives likelier
                images.
            method: How to draw, which changes the time it takes and not the images.
                `"incremental"` evaluates each pixel once, for about the price of a
                forward pass; it takes graphs of causal and pointwise layers.
                `"fixed_point"` makes forward passes until nothing changes, and
                `"ancestral"` one forward pass for each sub-pixel, or pixel if the
                likelihood couples its colors; both take any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array if there is one input, else a dict by input name.
            batch_size: Number of completions to draw at a time, counting every
                candidate; at least one image with all of its candidates.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of the shape of `images`, known pixels as they were.

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
        """Return how many equally weighted candidates a completion was chosen from.

        With the weights `w` of the candidates that `complete` draws for the same
        arguments, this is

            sum(w)**2 / sum(w**2)

        It is 1 if one candidate has all the weight, and `num_candidates` if all weights
        are equal, as they are where no known pixel follows an unknown one.

        Args:
            images: `(num_images, height, width, colors)`, known pixels in the
                likelihood's own range; what unknown ones hold makes no difference.
            known: Which pixels are known, 1 or True, and which are not, 0 or False:
                `(num_images, height, width)`, or `(height, width)` for all images.
            seed: Integer seed of the first image; the next images have the seeds that
                follow. Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, never on the others drawn with it.
            num_candidates: Number of completions to choose from.
            temperature: Number above 0 that divides the logits; below 1 gives likelier
                images.
            method: How to draw, which changes the time it takes and not the images.
                `"incremental"` evaluates each pixel once, for about the price of a
                forward pass; it takes graphs of causal and pointwise layers.
                `"fixed_point"` makes forward passes until nothing changes, and
                `"ancestral"` one forward pass for each sub-pixel, or pixel if the
                likelihood couples its colors; both take any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array if there is one input, else a dict by input name.
            batch_size: Number of completions to draw at a time, counting every
                candidate; at least one image with all of its candidates.
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

        With `num_candidates` it completes: it takes `images` and `known` after the
        seeds, and returns effective sample sizes after the images.

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
        shape = sized_image_shape(self, image_size, "generate")
        draw = self._function_cache.get(
            self,
            (method, shape, jit_compile, num_candidates),
            lambda: TracedSampler(self, method, shape, jit_compile, num_candidates),
        )
        temperature = tf.constant(temperature, tf.float32)
        return Counted(
            lambda seeds, *others: draw(seeds, temperature, *others), draw.counter
        )

    def _drawing_note(self, method, image_size):
        """Return what drawing a batch takes, for `Progress`."""
        shape = sized_image_shape(self, image_size, "generate")
        passes = math.prod(self.likelihood.unit_shape(shape))
        if method == "ancestral":
            return f"{passes} forward passes per batch"
        if method == "fixed_point":
            return f"up to {passes + 1} forward passes per batch"
        return ""

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
            num_samples: Must be None, since nothing is sampled.
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
                    f"The log-probability of {self.name} is exact, without samples of "
                    f"latent variables: leave out `{name}`. Received: {name}={value!r}"
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
        """Return what a server can ask of the model.

        Args:
            image_shape: `(height, width, colors)`, all known.
            jit_compile: Whether to compile with XLA.
            method: `"incremental"`, `"fixed_point"` or `"ancestral"`, see `generate`.
            num_candidates: Number of completions that `complete` draws for each image,
                to choose one from.

        Returns:
            Dict of `keras_genimg.saved_model.Endpoint` by signature name.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the sampler does not compute what the model computes.
        """
        self._causality_check.run(tuple(image_shape))
        return autoregressive_endpoints(
            self, image_shape, method, jit_compile, num_candidates
        )

    def get_config(self) -> Config:
        graph = keras.Model(self.inputs, self.outputs[0], name=self.name)
        return {
            **self._base_config(),
            "graph": keras.saving.serialize_keras_object(graph),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
        }

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
