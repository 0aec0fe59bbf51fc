"""Base class of all models."""

import difflib
import inspect
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.causality.likelihood_check import check_likelihood
from keras_genimg.extras import optional
from keras_genimg.fitting.distribution import check_compile, check_strategy
from keras_genimg.fitting.fitter import Fitter
from keras_genimg.fitting.workarounds import any_batch, outside_replicas
from keras_genimg.inputs.function_cache import FunctionCache, LayerVersion
from keras_genimg.inputs.images import images_of, sized_image_shape
from keras_genimg.inputs.torch_loader import is_torch_loader
from keras_genimg.keras_private import GraphModel, metrics_of_compile, scope_of
from keras_genimg.losses import NegativeLogLikelihood
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.ops.workers import is_chief
from keras_genimg.presets import Preset, load_weights
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.saved_model import write_saved_model
from keras_genimg.types import (
    AxisSize,
    Config,
    Images,
    PathLike,
    Policy,
    Seeds,
    Shape,
    SymbolicTensor,
    TensorLike,
    Verbose,
)

# Default of the largest number of examples that a signature takes in one call.
_MAX_EXAMPLES = 256

# The class that `from_preset` is called on.
_Model = TypeVar("_Model", bound="GenerativeModel")


class GenerativeModel(GraphModel):
    """A functional Keras model that trains on images alone and generates images.

    The first input is the batch of images, in the likelihood's own range; further
    inputs are conditions, such as labels.

    A subclass implements `generate`, `log_prob` and `endpoints`.

    Args:
        inputs: `keras.Input` of images, or a list of it and the conditions. In a dict,
            the images are the input named `"images"`, or else the first.
        outputs: Parameters of the likelihood, float32.
        likelihood: Name or object, see `keras_genimg.likelihoods.get`.
        dtype: Dtype policy that the model reports; its layers have their own.
        targets_shape: Shape of the tensor whose distribution the outputs describe, see
            `targets_of`. By default, the shape of the images.
        **kwargs: `name` and `trainable` of `keras.Model`.

    Attributes:
        likelihood: The distribution of a sub-pixel.
        presets: `Preset` by name: published and small settings, see `from_preset`.
        condition_ranges: `(lowest, highest)` by input name, for conditions that are
            integers in a range, such as labels.
        class_names: Names of the classes that the input `"label"` numbers from 0, or
            None.

    Raises:
        ValueError: If the outputs do not fit the images and the likelihood, or an
            argument is unknown.
    """

    presets: dict[str, Preset] = {}
    condition_ranges: dict[str, tuple[int, int]] = {}
    class_names: tuple[str, ...] | None = None

    # True if the loss is a mean over images. Only then can `sample_weight` be used.
    weighs_images: bool = True
    # Names of the attributes that `_keep` has stored.
    _kept: tuple[str, ...] = ()

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | likelihoods.Likelihood,
        dtype: Policy | None = None,
        targets_shape: Shape | None = None,
        **kwargs: Any,
    ):
        _check_arguments(type(self), kwargs)
        check_strategy(type(self).__name__)
        likelihood = likelihoods.get(likelihood)
        if isinstance(inputs, dict):  # Keras would sort it by name.
            inputs = sorted(inputs.values(), key=lambda tensor: tensor.name != "images")
        images, *others = tf.nest.flatten(inputs)
        _check_dtypes([images, *others])
        inputs = [images, *others] if others else images
        outputs = tf.nest.flatten(outputs)
        shapes = [tuple(tensor.shape) for tensor in outputs]
        expected = tuple(images.shape)
        are_images = len(expected) == 4
        if are_images:
            shape = targets_shape or expected[1:]
            expected = (expected[0], *likelihood.params_shape(shape))
        if not are_images or shapes != [expected]:
            raise ValueError(
                f"A graph with images of shape {tuple(images.shape)} and the "
                f"likelihood {likelihood} must end in parameters of shape {expected}, "
                f"where images are (batch, height, width, colors). Received: outputs "
                f"of shape {', '.join(map(str, shapes))}"
            )
        (outputs,) = outputs
        if outputs.dtype != "float32":
            raise ValueError(
                f"Parameters of a likelihood must be float32, also in mixed precision: "
                f'give the last layer dtype="float32". Received: outputs of dtype '
                f"{outputs.dtype}"
            )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        # A functional `keras.Model` accepts no `dtype` argument.
        if dtype is not None:
            self.dtype_policy = keras.dtype_policies.get(dtype)
        self.likelihood: likelihoods.Likelihood = likelihood
        self._layer_version = LayerVersion(self)
        self._function_cache = FunctionCache(self._layer_version)
        self._fitter = Fitter(self)

    @property
    def image_shape(self) -> tuple[AxisSize, AxisSize, int]:
        """`(height, width, colors)` of the images; None where any size will do."""
        return tuple(self.inputs[0].shape[1:])

    def base_config(self) -> Config:
        """Return the arguments that all constructors share, for `get_config`.

        Returns:
            Dict of `name`, `trainable` and `dtype`, and of what a base class adds. A
            family adds its own arguments.
        """
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def _keep(self, **arguments):
        """Store further arguments of the constructor as attributes, for a config.

        Args:
            **arguments: Checked arguments. Those of all models are left out.
        """
        kept = own_arguments(arguments, "image_shape", "likelihood", "dtype")
        self._kept += tuple(kept)
        for name, value in kept.items():
            setattr(self, name, value)

    def _kept_config(self):
        """Return all arguments of a constructor that has called `_keep`."""
        names = "image_shape", "likelihood", *self._kept
        serialize = keras.saving.serialize_keras_object
        kept = {name: serialize(getattr(self, name)) for name in names}
        return {**self.base_config(), **kept}

    @classmethod
    def from_preset(
        cls: type[_Model],
        name: str,
        /,
        *,
        weights: bool | None = None,
        **overrides: Any,
    ) -> _Model:
        """Build a model with the settings that `name` stands for.

        Args:
            name: A key of `presets`, or `"hf://user/name"` for a model that
                `model.save` wrote to the Hugging Face Hub under this name.
            weights: Whether to load trained weights, which some presets have. They are
                part of the package and are stored in half precision. By default, those
                of a preset are not loaded, and those of the Hub are.
            **overrides: Constructor arguments that replace the preset's; those of an
                `OrientedModel` are of its network too. A model of the Hub takes none.

        Returns:
            A model of this class, not compiled. Without weights, it is untrained.

        Raises:
            ValueError: If there is no such preset, it has no trained weights, or they
                do not fit because an override changes a shape; or if a model of the
                Hub has another class.
            ImportError: If `name` is of the Hub and `huggingface_hub` is missing.
        """
        if str(name).startswith("hf://"):
            return cls._from_hub(name, weights, overrides)
        if name not in cls.presets:
            near = difflib.get_close_matches(str(name), cls.presets, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"{cls.__name__} has no preset {name!r}. {hint}"
                f"Known presets: {', '.join(sorted(cls.presets))}"
            )
        model = cls._of_settings({**cls.presets[name].config, **overrides})
        if weights:
            load_weights(model, cls.__name__, name)
        return model

    @classmethod
    def _of_settings(cls: type[_Model], settings: Config) -> _Model:
        """Return a model with the settings of a preset; a hook for subclasses."""
        return cls(**settings)

    @classmethod
    def _from_hub(
        cls: type[_Model], name: str, weights: bool | None, overrides: Config
    ) -> _Model:
        """Return a model of the Hugging Face Hub; see `from_preset`."""
        with optional("Models of the Hugging Face Hub need huggingface_hub", "hub"):
            import huggingface_hub  # noqa: F401  `load_model` uses it.
        if overrides:
            raise ValueError(
                f"{name!r} has its own settings, so `from_preset` takes no others. "
                f"Received: {', '.join(overrides)}"
            )
        model = keras.saving.load_model(name, compile=False)
        if not isinstance(model, cls):
            raise ValueError(
                f"{name!r} is no {cls.__name__}. Call `from_preset` of its own class. "
                f"Received: a model of class {type(model).__name__}"
            )
        if weights is None or weights:
            return model
        return type(model).from_config(model.get_config())

    def generate(
        self,
        num_images: int = 1,
        *,
        seed: Seeds | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Generate images.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image; the next images have the seeds that
                follow. Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, up to rounding, never on the others in its batch.
            batch_size: Number of images to generate at a time.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of shape `(num_images, height, width, colors)`, pixels in the
            likelihood's own range.

        Raises:
            ValueError: If an argument is not as described.
        """
        raise NotImplementedError

    def log_prob(
        self, images: Images, *, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Return the log-probability of each image, or a bound of it.

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
        """
        raise NotImplementedError

    def bits_per_dim(
        self, images: Images, *, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Return the negative log-probability of each image in bits per sub-pixel.

        Args:
            images: See `log_prob`.
            batch_size: Images per batch, for arrays.
            verbose: See `generate`.

        Returns:
            NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
        """
        shape = self.image_shape
        if None in shape:
            if isinstance(images, tf.data.Dataset) or is_torch_loader(images):
                raise ValueError(
                    f"{self.name} takes images of any size, so bits_per_dim needs an "
                    f"array to know their size. Received: {images}"
                )
            shape = np.shape(images_of(images, self))[1:]
        nats = self.log_prob(images, batch_size=batch_size, verbose=verbose)
        return -nats / np.float32(np.log(2) * np.prod(shape))

    def endpoints(
        self, image_shape: Shape, jit_compile: bool = False, **options: Any
    ) -> dict[str, Endpoint]:
        """Return the endpoints of the model, which become signatures of its export.

        Args:
            image_shape: `(height, width, colors)`, all known.
            jit_compile: Whether to compile with XLA.
            **options: Model-specific options.

        Returns:
            Dict of `keras_genimg.serving.Endpoint` by signature name.
        """
        raise NotImplementedError

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        image_size: Shape | None = None,
        max_examples: int = _MAX_EXAMPLES,
        xla_twins: bool = False,
        metadata: dict[str, Any] | None = None,
        batching: bool = False,
        verbose: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write a SavedModel that generates images without this library.

        Its signatures are those of `endpoints`; `serving_default` is `sample`. The file
        `assets.extra/metadata.json` in it describes the model and the signatures. The
        directory is written atomically. Only the first of several workers writes.
        The others return at once.

        Args:
            filepath: Directory to create; must not exist.
            format: `"tf_saved_model"`; any other goes to `keras.Model.export`, which
                writes the forward pass alone. The options of a SavedModel, here up to
                `batching` and those of `endpoints`, are then refused.
            image_size: `(height, width)` to serve, for a model of any size.
            max_examples: Largest number of examples that a signature takes in one call.
                A signature that computes several candidates for an example counts all
                of them.
            xla_twins: Whether to add signatures `<name>_xla`, which generate the same
                images faster on a server that was started with
                `--xla_cpu_compilation_enabled`, and fail on others.
            metadata: Dict to add to the metadata, such as training figures and a
                license note.
            batching: Whether signatures that generate images merge the requests of
                several clients. The graph merges them after it has checked each, so a
                bad request fails alone. `publish` sets this.
            verbose: Whether to print the signatures.
            **kwargs: Options of `endpoints`, such as `method` and `num_candidates` of
                autoregressive models; for other formats, arguments of
                `keras.Model.export`.

        Raises:
            ValueError: If `filepath` exists, the image size is not known, or an
                argument is not as described or not for this format.
        """
        if format != "tf_saved_model":
            given = {
                "image_size": image_size,
                "max_examples": None if max_examples == _MAX_EXAMPLES else max_examples,
                "xla_twins": xla_twins or None,
                "metadata": metadata,
                "batching": batching or None,
                **{name: kwargs.get(name) for name in self._endpoint_options()},
            }
            _refuse_options(format, given)
            if is_chief(self.distribute_strategy):
                super().export(filepath, format=format, verbose=verbose, **kwargs)
            return
        max_examples = check_positive_int("max_examples", max_examples, "export")
        shape = sized_image_shape(self, image_size, "export")
        self._check_endpoint_options(kwargs)
        check_likelihood(self.likelihood, shape[-1])
        endpoints = self.endpoints(shape, **kwargs)
        if xla_twins:
            twins = self.endpoints(shape, jit_compile=True, **kwargs)
            endpoints.update({f"{name}_xla": twin for name, twin in twins.items()})
        write_saved_model(
            self, filepath, endpoints, max_examples, metadata, batching, verbose
        )

    def _check_endpoint_options(self, options):
        """Raise if `endpoints` takes no option of that name."""
        parameters = inspect.signature(self.endpoints).parameters.values()
        if all(each.kind is not each.VAR_KEYWORD for each in parameters):
            names = self._endpoint_options()
            unknown = {k: v for k, v in options.items() if k not in names}
            *own, _ = inspect.signature(self.export).parameters
            _refuse(unknown, own + names, f"`export` of {type(self).__name__}")

    def _endpoint_options(self):
        """Return the names of the model-specific options of `endpoints`."""
        _, _, *taken = inspect.signature(self.endpoints).parameters.values()
        return [each.name for each in taken if each.kind is not each.VAR_KEYWORD]

    # Methods of `keras.Model`.

    def _inputs_of_graph(self, inputs):
        return any_batch(inputs, self)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: None = None,
        metrics: list[Any] | tuple[Any, ...] | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Configure training; the model knows its loss.

        Args:
            optimizer: Name or `keras.optimizers.Optimizer`.
            loss: Must be left out.
            metrics: Metrics besides the model's own, in a list, a tuple or a dict. As
                in Keras, a dict has them by output name, and all apply to the only
                output.
            **kwargs: The other arguments of `keras.Model.compile`, such as
                `jit_compile`.

        Raises:
            ValueError: If a loss or a single metric is given, if the model or its
                optimizer was made in another scope, or if replicas cannot train with
                an argument.
        """
        if loss is not None:
            raise ValueError(
                f"{self.name} is trained on its own negative log-likelihood, so leave "
                f"`loss` out of compile. Received: loss={loss!r}"
            )
        if not isinstance(metrics, (list, tuple, dict, type(None))):
            raise ValueError(
                f"`metrics` of compile must be a list, a tuple or a dict, such as "
                f"metrics=[{metrics!r}]. Received: metrics={metrics!r}"
            )
        if isinstance(weighted := kwargs.get("weighted_metrics"), (list, tuple, dict)):
            # Keras 3.12 takes a flat list only.
            kwargs["weighted_metrics"] = keras.tree.flatten(weighted)
        check_compile(self, optimizer, kwargs)
        super().compile(
            optimizer,
            loss=self.own_loss(),
            metrics=[*self.own_metrics(), *keras.tree.flatten(metrics or [])],
            **kwargs,
        )

    def get_compile_config(self) -> Config | None:
        config = super().get_compile_config()
        if config:
            config["loss"] = None
            config["metrics"] = config["metrics"][len(self.own_metrics()) :]
        return config

    def compile_from_config(self, config: Config) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if getattr(self, "optimizer", None) is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self, x: Any = None, y: None = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, on images alone.

        Images can have weights in the loss. With arrays, pass `sample_weight`. A data
        set, a generator or a loader yields tuples `(x, images, weights)`: the inputs,
        the images once more instead of targets, and a number for each image.
        `validation_data` of arrays is such a tuple too. `VAE` and `DRAW` take no
        weights, since these would not weigh all of their loss.

        Args:
            x: Images in the likelihood's own range, as an array, a `tf.data.Dataset`,
                a PyTorch `DataLoader` or anything else that Keras reads. A model with
                conditions takes a list or a dict of all its inputs.
            y: Must be left out, since the images are the targets; with weights, the
                images.
            *args: The next arguments of `keras.Model.fit`.
            **kwargs: The other arguments of `keras.Model.fit`, such as `epochs`. Like
                `x`, `validation_data` is images alone or a data set of them, or has
                weights too.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If there are no images, or their shape, a pixel, a condition or
                a weight does not fit, or if there are targets other than the images.
                Arrays are checked at once, other sources batch by batch. Also if the
                model takes no weights, if it was made in another scope, if workers have
                different global seeds, or if `keras.callbacks.BackupAndRestore` is used
                by several workers or together with `keras_genimg.callbacks.Resume`.
        """
        return self._fitter.fit(super().fit, x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: None = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does, on images alone.

        Args:
            x: Images in the likelihood's own range, as an array, a `tf.data.Dataset`,
                a PyTorch `DataLoader` or anything else that Keras reads. A model with
                conditions takes a list or a dict of all its inputs.
            y: Must be left out; with weights, the images. See `fit`.
            *args: The next arguments of `keras.Model.evaluate`.
            **kwargs: The other arguments of `keras.Model.evaluate`, such as
                `batch_size`.

        Returns:
            The loss and the metrics, in a list or, with `return_dict=True`, a dict.

        Raises:
            ValueError: If there are no images, or their shape, a pixel, a condition or
                a weight does not fit, or if there are targets other than the images.
                Arrays are checked at once, other sources batch by batch.
        """
        return self._fitter.evaluate(super().evaluate, x, y, *args, **kwargs)

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self._fitter.on_batch(super().train_on_batch, x, *args, **kwargs)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self._fitter.on_batch(super().test_on_batch, x, *args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        step = super().train_step
        return self._fitter.step(
            lambda data: outside_replicas(step, data, self.optimizer), data, "Training"
        )

    def test_step(self, data: Any) -> dict[str, Any]:
        return self._fitter.step(super().test_step, data, "Evaluation")

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        targets = self.targets_of(x)
        loss = super().compute_loss(x, targets, y_pred, sample_weight, training)
        return self._fitter.weighed(loss)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        targets = self.targets_of(x)
        return super().compute_metrics(x, targets, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        # A user's `train_step` may leave out the metrics of `compile`.
        metrics = metrics_of_compile(self)
        if metrics is not None and not metrics.built:
            return {}
        return super().get_metrics_result()

    # Keras keeps a traced step, though attributes of layers have changed since.

    def make_train_function(self, force: bool = False) -> None:
        force |= self._layer_version.is_new_to("train_function")
        if self.train_function is None or force:
            self._fitter.prepare_optimizer()
            super().make_train_function(force)
            self.train_function = self._fitter.checked(self.train_function, "Training")

    def make_test_function(self, force: bool = False) -> None:
        force |= self._layer_version.is_new_to("test_function")
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._fitter.checked(self.test_function, "Evaluation")

    def make_predict_function(self, force: bool = False) -> Any:
        force |= self._layer_version.is_new_to("predict_function")
        return super().make_predict_function(force)

    def _build_for_steps(self, iterator, batch):
        """Build with a replica's part of the first batch.

        Keras averages the parts of all replicas, which fails if they differ in size or
        are in several processes (keras-team/keras#20585).
        """
        if iterator is not None:  # Keras calls this before it reads from it.
            self._fitter.iterators.keep(iterator)
        strategy = scope_of(self)
        if strategy is None:
            return
        if iterator is not None:
            local = strategy.experimental_local_results
            _, _, batches = next(iter(iterator))
            batch = tf.nest.map_structure(lambda x: local(x)[0], next(batches))
        super()._build_for_steps(None, batch)

    def _check_may_be_cloned(self):
        raise ValueError(
            f"keras.models.clone_model would return a plain keras.Model, without "
            f"the loss and the methods of {self.name}. Use {type(self).__name__}."
            f"from_config(model.get_config()); or clone keras.Model(model.inputs, "
            f"model.outputs), for the network alone. Received: model of type "
            f"{type(self).__name__}"
        )

    def save(self, filepath: PathLike, *args: Any, **kwargs: Any) -> None:
        """Write a `.keras` file as `keras.Model.save` does.

        Only the first of several workers writes. The others return at once.

        Args:
            filepath: Path of the file.
            *args: The next arguments of `keras.Model.save`.
            **kwargs: The other arguments of `keras.Model.save`.
        """
        if is_chief(self.distribute_strategy):
            super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: PathLike, *args: Any, **kwargs: Any) -> None:
        """Write a `.weights.h5` file as `keras.Model.save_weights` does.

        Only the first of several workers writes. The others return at once.

        Args:
            filepath: Path of the file.
            *args: The next arguments of `keras.Model.save_weights`.
            **kwargs: The other arguments of `keras.Model.save_weights`.
        """
        if is_chief(self.distribute_strategy):
            super().save_weights(filepath, *args, **kwargs)

    # Hooks for subclasses, see `keras_genimg.model_types.ImageModel`.

    def own_metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics that every training reports."""
        return []

    def own_loss(self) -> keras.losses.Loss:
        """Return the loss of `compile`.

        Returns:
            Loss of the targets and the outputs, one number per image, `(batch,)`. By
            default the negative log-likelihood of the images.
        """
        return NegativeLogLikelihood(self.likelihood)

    def targets_of(self, x: Any) -> TensorLike:
        """Return the targets of the loss.

        Args:
            x: The inputs: images, or a list or a dict of them and the conditions.

        Returns:
            By default the images, `(batch, height, width, colors)`.
        """
        return images_of(x, self)

    def epoch_variables(self) -> list[keras.Variable]:
        """Return the variables that sum up a running epoch, such as those of metrics.

        `keras_genimg.callbacks.Resume` saves them.
        """
        return self.metrics_variables

    def check_together(
        self, images: np.ndarray, conditions: list[np.ndarray], owner: str
    ) -> None:
        """Raise an error if images and conditions do not fit each other.

        By default, they always do.

        Args:
            images: Images in the likelihood's own range, `(batch, height, width,
                colors)`.
            conditions: The other inputs, in order, with one element per image.
            owner: The call that received them, for the error text.

        Raises:
            ValueError: If they do not fit.
        """

    def check_graph(self, image_shape: Shape, training: bool = False) -> None:
        """Raise an error if numbers of the model would be wrong, which is checked once.

        `fit`, `evaluate` and `log_prob` call it for each size of images. By default,
        the likelihood is checked.

        Args:
            image_shape: `(height, width, colors)`, all known.
            training: Whether to check the forward pass of training too.

        Raises:
            ValueError: If they would be wrong.
        """
        check_likelihood(self.likelihood, image_shape[-1])


def _check_arguments(cls, received):
    """Raise if a constructor received arguments that neither it nor Keras takes.

    A functional `keras.Model` would swallow them. The `**kwargs` of a subclass stand
    for the arguments of its base, up to the first class of this library.
    """
    unknown = {k: v for k, v in received.items() if k not in ("name", "trainable")}
    parameters = {}
    for base in cls.__mro__:
        if "__init__" in vars(base):
            parameters.update(inspect.signature(base.__init__).parameters)
            if base.__module__.startswith("keras_genimg."):
                break
    names = [*parameters, *("name", "trainable", "dtype")]
    accepted = [x for x in dict.fromkeys(names) if x not in ("self", "args", "kwargs")]
    _refuse(unknown, accepted, cls.__name__)


def _check_dtypes(inputs):
    """Raise if an input of a model holds no real numbers.

    Raises:
        ValueError: If it holds texts, for example.
    """
    for tensor in inputs:
        dtype = tf.as_dtype(tensor.dtype)
        if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
            raise ValueError(
                f"The input '{tensor.name}' must hold real numbers or booleans. Number "
                f"texts in the data, such as with keras.layers.StringLookup in "
                f"`dataset.map`. Received: keras.Input of dtype {dtype.name}"
            )


def _refuse_options(format, given):
    """Raise if a format other than a SavedModel cannot have options.

    Args:
        format: That of `export`.
        given: Dict of options by name; None for those that were not given.

    Raises:
        ValueError: If there is another value than None.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if given:
        listed = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(
            f"`export` with format={format!r} writes the model's forward pass, which "
            f"does not generate images, so it takes no {', '.join(given)}. Leave these "
            f"out, or write a SavedModel with format='tf_saved_model'. Received: "
            f"{listed}"
        )


def _refuse(unknown, accepted, owner):
    """Raise if there are unknown arguments, and name those that were meant."""
    if not unknown:
        return
    hints = []
    for name in unknown:
        close = difflib.get_close_matches(name, accepted, n=1)
        hints.append(f"`{name}`" + "".join(f" (did you mean `{c}`?)" for c in close))
    listed = ", ".join(f"{name}={value!r}" for name, value in unknown.items())
    raise ValueError(
        f"{owner} has no argument {', '.join(hints)}. Its arguments are "
        f"{', '.join(accepted)}. Received: {listed}"
    )
