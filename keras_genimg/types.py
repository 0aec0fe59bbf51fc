"""Types that several public signatures share.

Those of models are in `keras_genimg.model_types`, since they need likelihoods, which
import this module.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

# An array of any shape and dtype. NumPy before 2.3 wants both to be named.
Array: TypeAlias = np.ndarray[Any, Any]
TensorLike: TypeAlias = Array | tf.Tensor
# Divides logits: a number, or a tensor that broadcasts against the pixels.
Temperature: TypeAlias = float | TensorLike
Tensors: TypeAlias = tuple[tf.Tensor, ...]
# A `keras.KerasTensor`. Pyright takes what `keras.Input` returns for a list as well.
SymbolicTensor: TypeAlias = Any
# A `tfp.distributions.Distribution`. TFP is not annotated, and imported late.
Distribution: TypeAlias = Any

# Sizes along axes, such as `(height, width)` or `(height, width, colors)`.
Shape: TypeAlias = Sequence[int]
# The size of an axis of a model's images, None where any size will do. `Any`, since a
# caller knows which models have a size, and should not need to check.
AxisSize: TypeAlias = int | Any
# All inputs of a model in arrays, or a source of batches of them.
Images: TypeAlias = ArrayLike | Iterable[Any]
# An array, or a dict of arrays by name of the input.
Conditions: TypeAlias = ArrayLike | dict[str, Any]
# The seed of the first image, or one seed per image.
Seeds: TypeAlias = int | Sequence[int] | Array
# A stream of a seed, see `keras_genimg.ops.seeded_uniforms`.
Stream: TypeAlias = int | tf.Tensor | tuple[int | tf.Tensor, int | tf.Tensor]

# The arguments of a constructor.
Config: TypeAlias = dict[str, Any]
# A Keras object, such as an initializer: by name, by config, or itself.
Identifier: TypeAlias = str | Config | Callable[..., Any]
Policy: TypeAlias = str | Config | keras.DTypePolicy

# Batches that a graph is for: small ones may have a faster order of pixels.
BatchSizes: TypeAlias = Literal["any", "small", "large"]
Method: TypeAlias = Literal["incremental", "fixed_point", "ancestral"]
Verbose: TypeAlias = Literal["auto", 0, 1, 2]
PathLike: TypeAlias = str | os.PathLike[str]
