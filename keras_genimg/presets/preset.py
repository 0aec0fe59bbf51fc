"""Settings of a model, and how it was trained with them."""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train a preset: Adam, with a learning rate on a cosine decay.

    Attributes:
        epochs: Number of epochs.
        batch_size: Number of images in a batch.
        learning_rate: Highest learning rate.
        final_fraction: Fraction of that rate that the decay ends at; 1 for a constant
            rate.
        warmup_steps: Number of steps in which the rate first rises from 0. Short runs
            take at most a tenth of their steps.
        ema_momentum: Highest momentum of the moving average of the weights, which are
            those of the trained model; None for no average. Shorter runs take a lower
            one, so that the average does not hold the first weights.
        clipping: Arguments of the optimizer that clip gradients, such as
            `{"global_clipnorm": 1.0}`.
        tried: Whether a model was trained to the end with it. False for a first guess.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    final_fraction: float = 0.0
    warmup_steps: int = 0
    ema_momentum: float | None = None
    clipping: dict[str, Any] = dataclasses.field(default_factory=dict)
    tried: bool = True

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
        total = steps_per_epoch * (epochs or self.epochs)
        warmup = min(self.warmup_steps, total // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else self.learning_rate,
            total - warmup,
            self.final_fraction,
            warmup_target=self.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
        averages: dict[str, Any] = {}
        if self.ema_momentum is not None:
            # The first weights then have at most exp(-10) of the average.
            momentum = min(self.ema_momentum, max(1 - 10 / total, 0.0))
            averages = {"use_ema": True, "ema_momentum": momentum}
        return keras.optimizers.Adam(rate, **self.clipping, **averages)


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings of a model by name.

    Attributes:
        description: What the model is, with the settings of training that a paper
            publishes.
        config: Arguments of the model's constructor. For an `OrientedModel`, they are
            those of its network, and `network` is the name of the network's class.
        recipe: The `Recipe` that trains this preset, and that its figures and pictures
            were made with, if there are any.
        data: Arguments of `keras_genimg.datasets.load` for the images of the preset,
            such as `{"name": "mnist"}`.
    """

    description: str
    config: dict[str, Any]
    recipe: Recipe
    data: dict[str, Any]
