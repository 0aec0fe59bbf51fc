"""How the networks of a model make an image from a seed, as a graph."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

from keras_genimg.generation.candidates import completion_of_candidates, temperatures
from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.sampler import incremental_sampler, largest_small_batch
from keras_genimg.types import Array, Shape


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """What a check asks of a graph that generates images, see `incremental_sampler`.

    Only the method `"incremental"` supports it.
    """

    record: Callable[..., Any] | None = None
    num_rows: tf.Tensor | int | None = None
    guess_every_second: tf.Tensor | bool = False


NO_INSPECTION = Inspection()


class SampledModel(PixelModel, Protocol):
    """A model that has a `SamplingScheme`."""

    @property
    def sampling_scheme(self) -> "SamplingScheme":
        """How the model's networks make an image from a seed."""
        ...


class SamplingScheme:
    """How a model generates images: by one network, all pixels in raster order.

    A model that has several networks, another order, or pixels that are not sampled has
    a scheme of another class. The methods that take a `SamplerKey` are for a graph.

    Args:
        model: An `AutoregressiveModel`.

    Attributes:
        model: The model.
        order: Flat indices of the pixels in the order in which they are sampled; None
            for raster order.
    """

    order: Array | None = None

    def __init__(self, model: SampledModel):
        self.model = model

    # A subclass may override these methods.

    def sample_pixels(
        self,
        key: SamplerKey,
        uniforms: tf.Tensor,
        temperature: float | tf.Tensor,
        conditions: Sequence[tf.Tensor],
        images: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
        inspection: Inspection = NO_INSPECTION,
    ) -> tf.Tensor:
        """Return images, see `keras_genimg.sampling.pixel_sampler.PixelSampler`."""
        if key.method == "incremental":
            sample = incremental_sampler(
                self.model,
                key.jit_compile,
                inspection.record,
                inspection.num_rows,
                inspection.guess_every_second,
                key.batches,
            )
        else:
            sample = METHODS[key.method](self.model, key.jit_compile)
        return sample(uniforms, temperature, conditions, images, known)

    def generate(
        self,
        key: SamplerKey,
        seeds: tf.Tensor,
        temperature: float | tf.Tensor,
        *conditions: tf.Tensor,
        inspection: Inspection = NO_INSPECTION,
    ) -> tf.Tensor:
        """Return the images of seeds.

        Args:
            key: The `SamplerKey`.
            seeds: Integers, `(batch,)`.
            temperature: A scalar, or `(batch,)`.
            *conditions: The model's inputs besides the images, in order.
            inspection: What a check asks.

        Returns:
            Float32 images in the likelihood's own range.
        """
        uniforms = seeded_uniforms(seeds, self.uniforms_shape(key.image_shape))
        temperature = temperatures(temperature)
        images = self.sample_pixels(
            key, uniforms, temperature, conditions, inspection=inspection
        )
        return tf.ensure_shape(images, (None, *key.image_shape))

    def complete(
        self,
        key: SamplerKey,
        seeds: tf.Tensor,
        temperature: float | tf.Tensor,
        images: tf.Tensor,
        known: tf.Tensor,
        *conditions: tf.Tensor,
        inspection: Inspection = NO_INSPECTION,
    ) -> dict[str, tf.Tensor]:
        """Return completed images, and how they were found.

        Args:
            key: The `SamplerKey`, with a number of candidates.
            seeds: Integers, `(batch,)`.
            temperature: A scalar, or `(batch,)`.
            images: Float32 images in the likelihood's own range.
            known: 1 at known pixels, else 0, float32; it broadcasts against the images.
            *conditions: The model's inputs besides the images, in order.
            inspection: What a check asks.

        Returns:
            Dict of `images`, float32; of `effective_sample_size`, `(batch,)`; and of
            what a subclass adds, with one element per image.
        """
        sample = functools.partial(self.sample_pixels, key, inspection=inspection)
        temperature = temperatures(temperature)
        num_candidates = key.num_candidates or 1
        # A single candidate needs no weight, so there is no forward pass.
        if num_candidates == 1:
            uniforms = seeded_uniforms(seeds, key.image_shape)
            completed = sample(uniforms, temperature, conditions, images, known)
            sizes = tf.ones_like(seeds, tf.float32)
        else:
            given = seeds, temperature, images, known, conditions
            completed, sizes = completion_of_candidates(
                self.model, sample, self.order, num_candidates, *given
            )
        completed = tf.ensure_shape(completed, (None, *key.image_shape))
        return {"images": completed, "effective_sample_size": sizes}

    def networks(
        self, images: tf.Tensor, conditions: Sequence[tf.Tensor]
    ) -> list[tuple[PixelModel, tf.Tensor, Sequence[tf.Tensor]]]:
        """Return `(model, images, conditions)` of each network."""
        return [(self.model, images, conditions)]

    def uniforms_shape(self, image_shape: Shape) -> Shape:
        """Return the shape of the random numbers of a new image."""
        return image_shape

    def given_shapes(self, key: SamplerKey) -> list[Shape]:
        """Return the shapes of the images and masks that come before conditions."""
        return [] if key.num_candidates is None else [key.image_shape] * 2

    def known(
        self, images: Array, known: Array, conditions: Sequence[Array]
    ) -> tuple[Array, Array]:
        """Return the images and the known pixels of a completion.

        Args:
            images: Checked images, float32.
            known: 1 at known sub-pixels, else 0; of the shape of the images.
            conditions: List of checked conditions.

        Raises:
            ValueError: If the model cannot complete such images.
        """
        return images, known

    # All schemes share these methods.

    def network_shapes(self, image_shape: Shape) -> list[tuple[PixelModel, Shape]]:
        """Return `(model, image_shape)` of each network.

        Args:
            image_shape: `(height, width, colors)` of the model's images.
        """
        own, networks = self.model, self.model.raster_models()
        return [(x, image_shape if x is own else x.image_shape) for x in networks]

    def num_passes(self, image_shape: Shape) -> int:
        """Return the number of forward passes of the ancestral sampler."""
        networks = self.network_shapes(image_shape)
        return sum(math.prod(x.likelihood.unit_shape(shape)) for x, shape in networks)

    def largest_small_batch(self, image_shape: Shape) -> int:
        """Return the size up to which batches have a faster order; 0 for none."""
        networks = self.network_shapes(image_shape)
        return max(largest_small_batch(*network) for network in networks)
