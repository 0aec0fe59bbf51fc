"""Keras models that know the distribution of their images."""

import keras
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.models.freeable_model import FreeableModel
from keras_genimg.models.image_inputs import checked_inputs, images_of
from keras_genimg.training import NegativeLogLikelihood


class LikelihoodModel(FreeableModel):
    """A functional Keras model that trains on images alone: they are its targets.

    Args:
        inputs: `keras.Input` of images, or a list of it and the conditions.
        outputs: Parameters of the likelihood, float32.
        likelihood: Name or object, see `keras_genimg.likelihoods.get`.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        likelihood: The distribution of a sub-pixel.
    """

    # Whether all of the loss is per image, so that `sample_weight` weighs it.
    weighs_images = True

    def __init__(self, inputs, outputs, likelihood, **kwargs):
        likelihood = likelihoods.get(likelihood)
        images = tf.nest.flatten(inputs)[0]
        expected = tuple(images.shape)
        if likelihood.params_size > 1:
            expected = (*expected, likelihood.params_size)
        if len(images.shape) != 4 or tuple(outputs.shape) != expected:
            raise ValueError(
                f"A graph with images of shape {tuple(images.shape)} and the "
                f"likelihood {likelihood} must end in parameters of shape {expected}, "
                f"where images are (batch, height, width, colors). Received: outputs "
                f"of shape {tuple(outputs.shape)}"
            )
        if outputs.dtype != "float32":
            raise ValueError(
                f"Parameters of a likelihood must be float32, also in mixed precision: "
                f'give the last layer dtype="float32". Received: outputs of dtype '
                f"{outputs.dtype}"
            )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.likelihood = likelihood

    @property
    def image_shape(self):
        """`(height, width, colors)` of the images; None where any size will do."""
        return tuple(self.inputs[0].shape[1:])

    def own_metrics(self):
        """Return the metrics that every training reports; a hook for subclasses."""
        return []

    def targets_of(self, x, y_pred):
        """Return the images that the outputs `y_pred` for the inputs `x` are about."""
        return images_of(x, self)

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **kwargs):
        """Configure training; the model knows its loss.

        Args:
            optimizer: As in `keras.Model.compile`.
            loss: Must be left out.
            metrics: Metrics besides the model's own, as in `keras.Model.compile`.
            **kwargs: As in `keras.Model.compile`.

        Raises:
            ValueError: If a loss is given.
        """
        if loss is not None:
            raise ValueError(
                f"{self.name} is trained on its own negative log-likelihood, so leave "
                f"`loss` out of compile. Received: loss={loss!r}"
            )
        super().compile(
            optimizer,
            loss=NegativeLogLikelihood(self.likelihood),
            metrics=[*self.own_metrics(), *(metrics or [])],
            **kwargs,
        )

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        config["loss"] = None
        config["metrics"] = config["metrics"][len(self.own_metrics()) :]
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if getattr(self, "optimizer", None) is not None:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        y = self.targets_of(x, y_pred)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y = self.targets_of(x, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def fit(self, x=None, y=None, *args, validation_data=None, **kwargs):
        """Train as `keras.Model.fit` does, on images alone.

        Args:
            x: Images in the likelihood's own range, as an array, a `tf.data.Dataset`
                or anything else that Keras reads. A model with conditions takes a
                list or a dict of all its inputs.
            y: Must be left out: the images are the targets.
            *args: As in `keras.Model.fit`.
            validation_data: Images, or a data set of images.
            **kwargs: As in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
        """
        x = self._checked(x, y, "fit")
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default.
        if validation_data is not None:
            validation_data = self._checked(validation_data, None, "validation_data")
            if not isinstance(validation_data, tf.data.Dataset):
                validation_data = (validation_data,)  # Keras unpacks a tuple.
        y = self._weighted_targets(x, kwargs, "fit")
        return super().fit(x, y, *args, validation_data=validation_data, **kwargs)

    def make_train_function(self, force=False):
        # Left to the first step, the optimizer's variables would be made in the midst
        # of tracing, and TensorFlow would trace the step a second time.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Evaluate as `keras.Model.evaluate` does, on images alone.

        Args:
            x: As in `fit`.
            y: Must be left out.
            *args: As in `keras.Model.evaluate`.
            **kwargs: As in `keras.Model.evaluate`.

        Returns:
            As `keras.Model.evaluate`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
        """
        # `fit` evaluates through this method too, on what it has checked already.
        if kwargs.get("_use_cached_eval_dataset"):
            return super().evaluate(x, y, *args, **kwargs)
        x = self._checked(x, y, "evaluate")
        y = self._weighted_targets(x, kwargs, "evaluate")
        return super().evaluate(x, y, *args, **kwargs)

    def _weighted_targets(self, x, kwargs, method):
        """Return what Keras must have as targets, without which it drops weights."""
        for name in ("class_weight", "sample_weight"):
            supported = self.weighs_images and name == "sample_weight"
            if kwargs.get(name) is not None and not supported:
                raise ValueError(
                    f"{self.name}.{method} takes no `{name}`, since it would not weigh "
                    f"the whole loss of an image. Leave it out, or repeat images in "
                    f"the data. Received: {name} of type {type(kwargs[name]).__name__}"
                )
        weighted = kwargs.get("sample_weight") is not None
        return images_of(x, self) if weighted else None

    def _checked(self, x, y, method):
        owner = f"{self.name}.{method}" if method != "validation_data" else method
        if y is not None:
            raise ValueError(
                f"{owner} takes no targets, since the images are the targets. Pass "
                f"conditions such as labels with the images, as one dict of the "
                f"inputs {[tensor.name for tensor in self.inputs]}. Received: y of "
                f"type {type(y).__name__}"
            )
        return checked_inputs(x, self, owner)
