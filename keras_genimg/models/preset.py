"""Settings of a model, and how it was trained with them."""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a preset was trained: Adam, with a learning rate on a cosine decay.

    Attributes:
        epochs: Number of epochs.
        batch_size: Number of images in a batch.
        learning_rate: Initial learning rate.
        final_fraction: Fraction of the initial rate that the decay ends at; 1 for a
            constant rate.
        clipping: Arguments of the optimizer that clip gradients, such as
            `{"global_clipnorm": 1.0}`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    final_fraction: float = 0.0
    clipping: dict[str, Any] = dataclasses.field(default_factory=dict)

    def optimizer(
        self, steps_per_epoch: int, epochs: int | None = None
    ) -> keras.optimizers.Optimizer:
        """Return a new optimizer.

        Args:
            steps_per_epoch: Number of batches in an epoch.
            epochs: Number of epochs to decay over, if not those of the recipe.

        Returns:
            A `keras.optimizers.Adam`.
        """
        steps = steps_per_epoch * (epochs or self.epochs)
        rate = keras.optimizers.schedules.CosineDecay(
            self.learning_rate, steps, self.final_fraction
        )
        return keras.optimizers.Adam(rate, **self.clipping)


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings of a model by name.

    Attributes:
        description: What the model is, with the settings of training that a paper
            publishes.
        config: Arguments of the model's constructor.
        recipe: The `Recipe` that the figures and pictures of this preset were made
            with; None if it has not been trained yet.
    """

    description: str
    config: dict[str, Any]
    # Any, since a caller knows which presets have one, and should not need to check.
    recipe: Recipe | Any = None
