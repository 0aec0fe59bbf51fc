"""Types of models, for the rooms below `keras_genimg.models`.

A parameter called `model` has the smallest type with what its function uses. The
families of `keras_genimg.models` have these attributes and methods, and do not derive
from the types. A method that is described here can be overridden in a family.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

from keras_genimg.latents.inference import Inference
from keras_genimg.likelihoods import Likelihood
from keras_genimg.types import (
    Array,
    AxisSize,
    Config,
    Method,
    PathLike,
    Shape,
    Stream,
    SymbolicTensor,
    TensorLike,
)


class FunctionalModel(Protocol):
    """A functional `keras.Model`, with the names of Keras that are used here.

    Attributes:
        name: Name of the model.
        inputs: Symbolic inputs, a flat list.
        outputs: Symbolic outputs, a flat list.
        output: The outputs in their structure.
        variables: All variables, seeds of random generators too.
        weights: The variables without such seeds.
        built: Whether the variables were made.
    """

    name: str
    built: bool
    inputs: list[SymbolicTensor]
    outputs: list[SymbolicTensor]
    output: Any
    variables: list[keras.Variable]
    weights: list[keras.Variable]

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the outputs of tensors or symbolic tensors."""
        ...

    def count_params(self) -> int:
        """Return the number of numbers in the weights."""
        ...


class ImageModel(FunctionalModel, Protocol):
    """A `keras_genimg.models.GenerativeModel`: a model of images, of any family.

    Attributes:
        image_shape: `(height, width, colors)` of the images; None where any size will
            do.
        likelihood: The distribution of a sub-pixel.
        condition_ranges: `(lowest, highest)` by input name, for conditions that are
            integers in a range.
        class_names: Names of the classes that the input `"label"` numbers from 0, or
            None.
        weighs_images: True if the loss is a mean over images. Only then can
            `sample_weight` be used.
        distribute_strategy: Keras' strategy of the model.
        optimizer: The optimizer, after `compile`.
        compiled: Whether `compile` was called.
        steps_per_execution: Number of steps in a call of the train function.
        train_function: Keras' compiled steps of `fit`.
        trainable_variables: The variables that training changes.
    """

    image_shape: tuple[AxisSize, AxisSize, int]
    likelihood: Likelihood
    condition_ranges: dict[str, tuple[int, int]]
    class_names: tuple[str, ...] | None
    weighs_images: bool
    distribute_strategy: Any
    optimizer: Any
    compiled: bool
    steps_per_execution: int
    train_function: Callable[..., Any] | None
    trainable_variables: list[keras.Variable]

    # Hooks of a family.

    def base_config(self) -> Config:
        """Return the arguments that all constructors share, for `get_config`."""
        ...

    def own_loss(self) -> keras.losses.Loss:
        """Return the loss of `compile`: one number per image, `(batch,)`."""
        ...

    def own_metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics that every training reports."""
        ...

    def targets_of(self, x: Any) -> TensorLike:
        """Return the targets of the loss for inputs `x`; by default the images."""
        ...

    def epoch_variables(self) -> list[keras.Variable]:
        """Return the variables that sum up a running epoch, such as metrics."""
        ...

    def check_together(
        self, images: Array, conditions: list[Array], owner: str
    ) -> None:
        """Raise an error if images and conditions do not fit each other."""
        ...

    def check_graph(self, image_shape: Shape, training: bool = False) -> None:
        """Raise an error if numbers would be wrong for images of a shape, once."""
        ...

    # Methods of `keras.Model`.

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the metrics of the running epoch."""
        ...

    def make_train_function(self, force: bool = False) -> None:
        """Set `train_function`."""
        ...


@runtime_checkable
class HasEndpoints(Protocol):
    """A model that can be published.

    Attributes:
        distribute_strategy: Keras' strategy of the model.
    """

    distribute_strategy: Any

    def endpoints(
        self, image_shape: Shape, jit_compile: bool = False, **options: Any
    ) -> dict[str, Any]:
        """Return what a server can ask of the model, `Endpoint` by signature name."""
        ...

    def export(self, filepath: PathLike, *, verbose: bool = True, **options: Any):
        """Write the endpoints as a SavedModel."""
        ...


@runtime_checkable
class HasRasterModels(Protocol):
    """A model that draws pixels, by itself or by its networks."""

    def raster_models(self) -> Sequence["PixelModel"]:
        """Return the networks that draw pixels in raster order.

        Returns:
            The model itself, or the networks that a model of several is made of.
        """
        ...


class PixelModel(ImageModel, HasRasterModels, Protocol):
    """A `keras_genimg.models.AutoregressiveModel`: draws one sub-pixel at a time.

    Attributes:
        check_causality: Whether to check the graph before it trains, computes a number
            or draws.
        sampling_method: Method of sampling that is used unless a call names another.
    """

    check_causality: bool
    sampling_method: Method

    def check_causal(self, image_shape: Shape, training: bool = False) -> None:
        """Raise an error unless each network is causal, which is checked once."""
        ...

    def log_prob_graph(self, images: TensorLike, *conditions: TensorLike) -> tf.Tensor:
        """Return nats of images, float32 `(batch,)`, for a graph."""
        ...


class LatentVariableModel(ImageModel, Protocol):
    """A `keras_genimg.models.LatentModel`: has latent variables."""

    def infer(
        self, images: TensorLike, copies: int | tf.Tensor | None = None
    ) -> Callable[[TensorLike, Stream], Inference]:
        """Return a function that samples latent variables of images, for a graph."""
        ...

    def prior_params(self, seeds: TensorLike) -> tf.Tensor:
        """Return likelihood parameters for latents from the prior, for a graph."""
        ...
