"""The key that tells the samplers of a model apart."""

import dataclasses

from keras_genimg.types import BatchSizes, Method


@dataclasses.dataclass(frozen=True)
class SamplerKey:
    """The kind of images that a `Sampler` generates, and how.

    Attributes:
        method: A key of `keras_genimg.sampling.METHODS`.
        image_shape: `(height, width, colors)`.
        jit_compile: Whether to compile with XLA.
        batches: The sizes of batches that the sampler gets: `"small"` up to
            `SamplingScheme.largest_small_batch`, `"large"` above, or `"any"`.
        num_candidates: Number of candidates for each completion; None to generate new
            images.
    """

    method: Method
    image_shape: tuple[int, int, int]
    jit_compile: bool
    batches: BatchSizes
    num_candidates: int | None = None

    def without_candidates(self) -> "SamplerKey":
        """Return the key of new images that are generated in the same way."""
        return dataclasses.replace(self, num_candidates=None)
