"""Models that generate images one sub-pixel at a time."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg import likelihoods
from keras_genimg.causality.causal_check import CausalCheck
from keras_genimg.generation.completion_inputs import checked_completion
from keras_genimg.generation.samplers import Samplers
from keras_genimg.generation.scheme import SamplingScheme
from keras_genimg.inputs.calls import image_seeds, map_images
from keras_genimg.inputs.images import (
    check_condition_ranges,
    checked_class_names,
    checked_ranges,
    condition_arrays,
)
from keras_genimg.metrics import BitsPerDim
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.ops.checks import check_choice, check_positive_int
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.model_endpoints import autoregressive_endpoints
from keras_genimg.types import (
    Conditions,
    Config,
    Images,
    Method,
    Seeds,
    Shape,
    SymbolicTensor,
    TensorLike,
    Verbose,
)


@keras.saving.register_keras_serializable(package="keras_genimg")
class AutoregressiveModel(GenerativeModel):
    """Model of images from any functional graph of causal layers.

    The probability of an image is the product of the probabilities of its sub-pixels,
    each conditioned on the pixels before it in raster order and on the earlier colors
    of its pixel:

        log p(x) = sum over i of log p(x[i] | x[0], ..., x[i - 1])

    The graph must be causal: the parameters of a sub-pixel may depend only on earlier
    sub-pixels, so the first layer that reads the image has mask `"A"`. Otherwise, the
    model learns to copy pixels that are not available during generation.

    Before the first training step, number or image, the graph is checked under random
    weights, once for each graph and size. It must be causal, in training too, and
    compute the same twice, see `keras_genimg.causality.first_leak`. Before the first
    image and `export`, the incremental sampler must compute what a forward pass does.

    Args:
        inputs: `keras.Input` of images in the likelihood's own range,
            `(batch, height, width, colors)`, or a list of it and further inputs,
            the conditions. In a dict, the images are the input named `"images"`, or
            else the first.
        outputs: Float32 parameters of the likelihood: `(batch, height, width, colors)`,
            with one more axis for `Categorical`, see `Likelihood.params_shape`.
        likelihood: `"bernoulli"`, `"categorical"`, `"logistic_mixture"` or an object.
        condition_ranges: `(lowest, highest)` by input name, for conditions that are
            integers in a range, such as labels; by default the range of the dtype.
            Other values are refused.
        sampling_method: Sampler that is used unless a call names another, see
            `generate`: `"fixed_point"` for a causal graph that `"incremental"` does not
            support.
        class_names: Names of the classes that the input `"label"` numbers from 0, such
            as `["cat", "dog"]`. `.keras` files and the metadata of exports have them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        check_causality: Whether to check the graph before it trains, computes a number
            or generates an image; `export` with the incremental sampler always does.
            The likelihood is always checked. True in new and loaded models; the value
            is not saved.

    Raises:
        ValueError: If the outputs do not fit the images and the likelihood, a range is
            not one of integers or is of an input that does not exist, or the names do
            not fit the labels.

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
        sampling_method: Method = "incremental",
        class_names: Sequence[str] | None = None,
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
            self.condition_ranges = checked_ranges(
                condition_ranges, type(self).__name__
            )
            check_condition_ranges(self)
        if class_names is not None:
            self.class_names = checked_class_names(self, class_names)
        self._causal_check = CausalCheck(self, self._layer_version)
        self._samplers = Samplers(SamplingScheme(self), self._layer_version)
        self.sampling_method: Method = check_choice(
            "sampling_method", sampling_method, tuple(METHODS), type(self).__name__
        )

    @property
    def sampling_scheme(self) -> SamplingScheme:
        """How the model's networks make an image from a seed."""
        return self._samplers.scheme

    def raster_models(self) -> Sequence["AutoregressiveModel"]:
        """Return the networks that generate pixels in raster order.

        Returns:
            The model itself, or the networks that a model of several is made of.
        """
        return [self]

    def own_metrics(self) -> list[keras.metrics.Metric]:
        return [BitsPerDim(self.likelihood)]

    def check_graph(self, image_shape: Shape, training: bool = False) -> None:
        super().check_graph(image_shape, training)
        self.check_causal(image_shape, training)

    def check_causal(self, image_shape: Shape, training: bool = False) -> None:
        """Raise an error unless each network is causal, which is checked once.

        Nothing is checked if `check_causality` is False.

        Args:
            image_shape: `(height, width, colors)`, all known.
            training: Whether to check the forward pass of training too.

        Raises:
            ValueError: If a network is not causal.
        """
        if not self.check_causality:
            return
        for network, shape in self.sampling_scheme.network_shapes(image_shape):
            if network is self:
                self._causal_check(shape, training)
            else:
                network.check_causal(shape, training)

    def log_prob_graph(self, images: TensorLike, *conditions: TensorLike) -> tf.Tensor:
        """Return the log-probability of images, for a graph.

        Args:
            images: Images in the likelihood's own range, `(batch, height, width,
                colors)`.
            *conditions: The model's inputs besides the images, in order.

        Returns:
            Nats, float32 `(batch,)`.
        """
        params = forward_pass(self, images, conditions)
        targets = self.targets_of([images, *conditions])
        return -self.own_loss().call(targets, params)

    def generate(
        self,
        num_images: int = 1,
        *,
        seed: Seeds | None = None,
        temperature: float = 1.0,
        method: Method | None = None,
        jit_compile: bool = False,
        conditions: Conditions | None = None,
        image_size: Shape | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Generate images.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random, which
                `keras.utils.set_random_seed` makes reproducible. An image depends only
                on its own seed, up to rounding: another batch size or method, or an
                export, changes about one in twenty images of 32x32 pixels with 256
                values. None of some 400 binary images changed.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, which affects the speed but not the images, up to rounding;
                by default the model's `sampling_method`. `"incremental"` evaluates each
                pixel once, for graphs of causal and pointwise layers. `"fixed_point"`
                runs forward passes until nothing changes, and `"ancestral"` one forward
                pass per sub-pixel (per pixel if the likelihood couples its colors), for
                any causal graph.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array for a single input, else a dict by input name.
            image_size: `(height, width)`, for a model of any size.
            batch_size: Number of images in a batch. Without a GPU, every core computes
                a batch at a time.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of shape `(num_images, height, width, colors)`, pixels in the
            likelihood's own range.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the incremental sampler does not support a layer.
            RuntimeError: If it is called in a `tf.function`.
        """
        owner, samplers = "generate", self._samplers
        num_images = check_positive_int("num_images", num_images, owner)
        batch_size = check_positive_int("batch_size", batch_size, owner)
        at_once = min(num_images, batch_size)
        key = samplers.key(owner, method, image_size, jit_compile, at_once)
        arrays = condition_arrays(self, conditions, num_images, key.image_shape)
        inputs = [image_seeds(num_images, seed), *arrays]
        return samplers.run(key, temperature, inputs, batch_size, verbose, owner)

    def complete(
        self,
        images: ArrayLike,
        known: ArrayLike,
        *,
        seed: Seeds | None = None,
        num_candidates: int = 1,
        return_effective_sample_size: bool = False,
        temperature: float = 1.0,
        method: Method | None = None,
        jit_compile: bool = False,
        conditions: Conditions | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> Any:
        """Sample the unknown pixels of images.

        Unknown pixels are sampled in raster order, each conditioned on the pixels
        before it, known or sampled. Known pixels *after* an unknown one do not
        influence it. If all known pixels come before all unknown ones, such as an upper
        half, the result is an exact sample given the known pixels. Otherwise, it may
        not fit the known pixels that follow.

        With `num_candidates` above 1, that many completions are computed. Each is
        weighted by the probability of the known pixels after its first unknown one, and
        one is chosen in proportion to its weight. The more candidates, the closer the
        result is to a sample given all known pixels. The effective sample size is a
        measure of this, `sum(w)**2 / sum(w**2)` for the weights `w`: near 1, the result
        is merely the best of the candidates; it is `num_candidates` if all weights are
        equal.

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
            return_effective_sample_size: Whether to return effective sample sizes too.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, which affects the speed but not the images, see `generate`.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array for a single input, else a dict by input name.
            batch_size: Number of completions in a batch, counting every candidate; at
                least all candidates of one image. Without a GPU, every core computes a
                batch at a time.
            verbose: See `generate`.

        Returns:
            NumPy array of the shape of `images`, with known pixels unchanged. With
            `return_effective_sample_size`, a tuple of it and of a float32 array of
            shape `(num_images,)`, from 1 to `num_candidates`.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the incremental sampler does not support a layer.
            RuntimeError: If it is called in a `tf.function`.

        References:
            van den Oord et al., Pixel Recurrent Neural Networks, 2016, figure 1.
            Rubin, Using the SIR algorithm to simulate posterior distributions, 1988.
            Kong, Liu and Wong, Sequential Imputations and Bayesian Missing Data
            Problems, 1994.
        """
        drawn = self._completed(
            images,
            known,
            seed,
            num_candidates,
            temperature,
            method,
            jit_compile,
            conditions,
            batch_size,
            verbose,
        )
        if return_effective_sample_size:
            return drawn["images"], drawn["effective_sample_size"]
        return drawn["images"]

    def _completed(
        self,
        images,
        known,
        seed,
        num_candidates,
        temperature,
        method,
        jit_compile,
        conditions,
        batch_size,
        verbose,
    ):
        """Return what `SamplingScheme.complete` does, in arrays by name.

        The arguments are those of `complete`, without what it returns.
        """
        owner, samplers = "complete", self._samplers
        num_candidates = check_positive_int("num_candidates", num_candidates, owner)
        batch_size = check_positive_int("batch_size", batch_size, owner)
        images, known = checked_completion(images, known, self)
        count, *shape = images.shape
        at_once = max(1, batch_size // num_candidates)
        num_sampled = min(count, at_once) * num_candidates
        key = samplers.key(
            owner, method, shape[:2], jit_compile, num_sampled, num_candidates
        )
        arrays = condition_arrays(self, conditions, count, shape)
        images, known = samplers.scheme.known(images, known, arrays)
        inputs = [image_seeds(count, seed), images, known, *arrays]
        return samplers.run(key, temperature, inputs, at_once, verbose, owner)

    def log_prob(
        self, images: Images, *, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Return the exact log-probability of each image.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            batch_size: Images per batch, for arrays.
            verbose: See `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.
        """
        compiled = self._function_cache.compiled(
            "log_prob", self.log_prob_graph, reduce_retracing=True
        )

        def function(images, *conditions):
            # Each batch is checked, since those of a data set may differ in size.
            self.check_graph(tuple(images.shape[1:]))
            return compiled(images, *conditions)

        return map_images(self, function, images, "log_prob", batch_size, verbose)

    def endpoints(
        self,
        image_shape: Shape,
        jit_compile: bool = False,
        method: Method | None = None,
        num_candidates: int = 1,
    ) -> dict[str, Endpoint]:
        """Return the functions that a server can call.

        Args:
            image_shape: `(height, width, colors)`, all known.
            jit_compile: Whether to compile with XLA.
            method: Sampler, see `generate`.
            num_candidates: Number of completions among which `complete` chooses.

        Returns:
            Dict of `keras_genimg.serving.Endpoint` by signature name.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the sampler and the model disagree.
        """
        return autoregressive_endpoints(
            self, self._samplers, image_shape, method, jit_compile, num_candidates
        )

    def base_config(self) -> Config:
        config = super().base_config()
        if self.sampling_method != "incremental":
            config["sampling_method"] = self.sampling_method
        if self.class_names is not None:
            config["class_names"] = list(self.class_names)
        return config

    def get_config(self) -> Config:
        graph = keras.Model(self.inputs, self.outputs[0], name=self.name)
        config = {
            **self.base_config(),
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
        # A subclass gets what its constructor gets from a user.
        inputs = graph.inputs if len(graph.inputs) > 1 else graph.inputs[0]
        return cls(inputs, graph.outputs[0], **config)
