"""The samplers of a model, and calls of them on many images."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_genimg.generation.sampler import Sampler
from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.generation.scheme import SamplingScheme
from keras_genimg.inputs.calls import call_in_batches, cost_of_image
from keras_genimg.inputs.function_cache import LayerVersion, UntilChange
from keras_genimg.inputs.images import sized_image_shape
from keras_genimg.ops.checks import check_choice, check_temperature
from keras_genimg.ops.devices import num_cores
from keras_genimg.sampling import METHODS
from keras_genimg.types import Array, BatchSizes, Method, Shape, Verbose


class Samplers:
    """The samplers of a model, one for each `SamplerKey`.

    Args:
        scheme: The `SamplingScheme` of the model.
        version: The `LayerVersion` of the model.

    Attributes:
        scheme: The `SamplingScheme`.
        by_key: The samplers that were used since the model's layers changed.
    """

    def __init__(self, scheme: SamplingScheme, version: LayerVersion):
        self.scheme = scheme
        self.by_key: UntilChange[SamplerKey, Sampler] = UntilChange(version)
        self._passed: UntilChange[SamplerKey, bool] = UntilChange(version)

    def key(
        self,
        owner: str,
        method: Method | None,
        image_size: Shape | None,
        jit_compile: bool,
        batch_size: int | None,
        num_candidates: int | None = None,
    ) -> SamplerKey:
        """Return the `SamplerKey` of what a call asks for.

        Args:
            owner: Name of the public method, for error texts.
            method: The method; None for that of the model.
            image_size: `(height, width)`, or None for that of the model.
            jit_compile: Whether to compile with XLA.
            batch_size: Number of images, each candidate one; None for a graph that gets
                batches of any size.
            num_candidates: See `SamplerKey`.

        Raises:
            ValueError: If the method is unknown, or the size does not fit.
        """
        model = self.scheme.model
        if method is None:
            method = model.sampling_method
        method = check_choice("method", method, tuple(METHODS), owner)
        height, width, colors = sized_image_shape(model, image_size, owner)
        shape = height, width, colors
        key = SamplerKey(method, shape, jit_compile, "any", num_candidates)
        if batch_size is None:
            return key
        is_small = batch_size <= self._largest_small_batch(key)
        return dataclasses.replace(key, batches="small" if is_small else "large")

    def _largest_small_batch(self, key: SamplerKey) -> int:
        """Return the size up to which batches have a faster order; 0 for none."""
        if key.method != "incremental" or key.jit_compile:
            return 0
        return self.scheme.largest_small_batch(key.image_shape)

    def guesses_rows(self, key: SamplerKey) -> bool:
        """Return whether the rows of a single image may be guessed, see `Rows`."""
        return self._largest_small_batch(key) == 1

    def sampler(self, key: SamplerKey) -> Sampler:
        """Return the sampler of a key, which is traced when it is first used."""
        return self.by_key.get(key, lambda: Sampler(self.scheme, key, self._passed))

    def check(self, key: SamplerKey) -> None:
        """Raise an error unless batches of all sizes are sampled right.

        Args:
            key: A `SamplerKey`, whose `batches` does not matter.
        """
        sizes: list[BatchSizes] = ["large"]
        if self.guesses_rows(key):
            # The check guesses every second row and samples the others pixel by pixel,
            # as in large batches, so that both ways are compared.
            sizes = ["small"]
        elif self._largest_small_batch(key) > 0:
            sizes = ["small", "large"]
        for batches in sizes:
            self.sampler(dataclasses.replace(key, batches=batches)).check_once()

    def run(
        self,
        key: SamplerKey,
        temperature: float,
        inputs: list[Array],
        batch_size: int,
        verbose: Verbose,
        owner: str,
    ) -> Any:
        """Generate or complete images in batches; announce what may take long.

        Args:
            key: The `SamplerKey`.
            temperature: Number that divides the logits.
            inputs: Arrays with one element per image: seeds; images and known pixels,
                for completions; smaller images, to enlarge them; and the conditions.
            batch_size: Number of images in a batch.
            verbose: See `AutoregressiveModel.generate`.
            owner: Name of the public method, for error texts.

        Returns:
            NumPy array of images; for completions, a dict of arrays, see
            `SamplingScheme.complete`.
        """
        check_temperature(temperature)
        divisor = tf.constant(temperature, tf.float32)
        model = self.scheme.model
        note, cost = "", 0
        if key.method != "incremental":
            passes = self.scheme.num_passes(key.image_shape)
            note = f"{passes} forward passes per batch"
            cost = passes * cost_of_image(model, key.image_shape)
            cost *= key.num_candidates or 1
            if key.method == "fixed_point":
                note = f"up to {passes + 1} forward passes per batch"
        sampler = self.sampler(key)
        # The weights are read here and not in the threads, which would not see a
        # `keras.StatelessScope` around this call.
        weights = sampler.prepare()

        def sample(seeds: tf.Tensor, *others: tf.Tensor) -> Any:
            return sampler(weights, seeds, divisor, *others)

        # A pixel is too little work for several cores. A forward pass is not.
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        threads = num_cores() if key.method == "incremental" and not has_gpu else 1
        return call_in_batches(
            model, sample, inputs, batch_size, verbose, owner, note, cost, threads
        )
