"""Base class of all models."""

import difflib
import inspect
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from keras_genimg.fitting.likelihood_model import LikelihoodModel
from keras_genimg.inputs.function_cache import FunctionCache
from keras_genimg.inputs.images import images_of, sized_image_shape
from keras_genimg.likelihoods import Likelihood
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.workers import is_chief
from keras_genimg.presets.preset import Preset
from keras_genimg.presets.weights import load_weights
from keras_genimg.serving import write_saved_model
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.types import (
    Config,
    Images,
    PathLike,
    Seeds,
    Shape,
    SymbolicTensor,
    Verbose,
)

# The class that `from_preset` is called on.
_Model = TypeVar("_Model", bound="GenerativeModel")


class GenerativeModel(LikelihoodModel):
    """A functional Keras model of images that draws images too.

    The first input is the batch of images, in the likelihood's own range; further
    inputs are conditions, such as labels.

    A subclass implements `generate`, `log_prob` and `endpoints`.

    Args:
        inputs: `keras.Input` of images, or a list of it and the conditions.
        outputs: Parameters of the likelihood, float32.
        likelihood: Name or object, see `keras_genimg.likelihoods.get`.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        likelihood: The distribution of a sub-pixel.
        presets: `Preset` by name: published and small settings, see `from_preset`.
        condition_ranges: `(lowest, highest)` by input name, for conditions that are
            integers in a range, such as labels.
    """

    presets: dict[str, Preset] = {}
    condition_ranges: dict[str, tuple[int, int]] = {}

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | Likelihood,
        **kwargs: Any,
    ):
        super().__init__(inputs, outputs, likelihood, **kwargs)
        self._function_cache = FunctionCache()

    @classmethod
    def from_preset(
        cls: type[_Model], name: str, /, *, weights: bool = False, **overrides: Any
    ) -> _Model:
        """Build a model with the settings that `name` stands for.

        Args:
            name: A key of `presets`.
            weights: Whether to load trained weights, which some presets have. They are
                part of the package and are stored in half precision.
            **overrides: Constructor arguments that replace the preset's.

        Returns:
            A model of this class, untrained without `weights`.

        Raises:
            ValueError: If there is no such preset, it has no trained weights, or they
                do not fit because an override changes a shape.
        """
        if name not in cls.presets:
            near = difflib.get_close_matches(name, cls.presets, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"{cls.__name__} has no preset {name!r}. {hint}"
                f"Known presets: {', '.join(sorted(cls.presets))}"
            )
        model = cls(**{**cls.presets[name].config, **overrides})
        if weights:
            load_weights(model, cls.__name__, name)
        return model

    def generate(
        self,
        num_images: int = 1,
        *,
        seed: Seeds | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Draw images.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image; the next images have the seeds that
                follow. Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, never on the others drawn with it.
            batch_size: Number of images to draw at a time.
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
        self,
        images: Images,
        *,
        num_samples: int | None = None,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the log-probability of each image, or a bound of it.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            num_samples: Samples of the latent variables per image, for models that
                have them; None for the model's default.
            seed: Integer seed of the first image's samples; the next images have the
                seeds that follow. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. For models with
                latent variables.
            batch_size: Images per batch, for arrays.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit, or
                the model has no latent variables and receives `num_samples` or `seed`.
        """
        raise NotImplementedError

    def bits_per_dim(
        self,
        images: Images,
        *,
        num_samples: int | None = None,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the negative log-probability of each image in bits per sub-pixel.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            num_samples: Samples of the latent variables per image, for models that
                have them; None for the model's default.
            seed: Integer seed of the first image's samples; the next images have the
                seeds that follow. By default a random one. For models with latent
                variables.
            batch_size: Images per batch, for arrays.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit, or
                the model has no latent variables and receives `num_samples` or `seed`.
        """
        shape = self.image_shape
        if None in shape:
            if isinstance(images, tf.data.Dataset):
                raise ValueError(
                    f"{self.name} takes images of any size, so bits_per_dim needs an "
                    f"array to know their size. Received: {images}"
                )
            shape = np.shape(images_of(images, self))[1:]
        nats = self.log_prob(
            images,
            num_samples=num_samples,
            seed=seed,
            batch_size=batch_size,
            verbose=verbose,
        )
        return -nats / np.float32(np.log(2) * np.prod(shape))

    def endpoints(
        self, image_shape: Shape, jit_compile: bool = False, **options: Any
    ) -> dict[str, Endpoint]:
        """Return what a server can ask of the model.

        Args:
            image_shape: `(height, width, colors)`, all known.
            jit_compile: Whether to compile with XLA.
            **options: Options of the model's own kind.

        Returns:
            Dict of `keras_genimg.serving.Endpoint` by signature name.
        """
        raise NotImplementedError

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        image_size: Shape | None = None,
        max_examples: int = 256,
        xla_twins: bool = False,
        metadata: dict[str, Any] | None = None,
        batching: bool = False,
        verbose: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write a SavedModel that draws images without this library.

        Its signatures are those of `endpoints`; `serving_default` is `sample`. The file
        `assets.extra/metadata.json` in it describes the model and the signatures. The
        directory is written atomically. Of several workers only the first one writes.
        The others return at once.

        Args:
            filepath: Directory to create; must not exist.
            format: `"tf_saved_model"`; any other goes to `keras.Model.export`.
            image_size: `(height, width)` to serve, for a model of any size.
            max_examples: Largest number of examples that a signature takes in one call.
                A signature that draws several candidates for an example counts all of
                them.
            xla_twins: Whether to add signatures `<name>_xla`, which draw the same
                images faster on a server that was started with
                `--xla_cpu_compilation_enabled`, and fail on others.
            metadata: Dict to add to the metadata, such as training figures and a
                license note.
            batching: Whether signatures that draw images merge the requests of several
                clients. The graph merges them after it has checked each, so a bad
                request fails alone. `publish` sets this.
            verbose: Whether to print the signatures.
            **kwargs: Options of `endpoints`, such as `method` and `num_candidates` of
                autoregressive models; for other formats, arguments of
                `keras.Model.export`.

        Raises:
            ValueError: If `filepath` exists, the image size is not known, or an
                argument is not as described.
        """
        if format != "tf_saved_model":
            if is_chief(self.distribute_strategy):
                super().export(filepath, format=format, verbose=verbose, **kwargs)
            return
        max_examples = check_positive_int("max_examples", max_examples, "export")
        shape = sized_image_shape(self, image_size, "export")
        self._check_endpoint_options(kwargs)
        endpoints = self.endpoints(shape, **kwargs)
        if xla_twins:
            twins = self.endpoints(shape, jit_compile=True, **kwargs)
            endpoints.update({f"{name}_xla": twin for name, twin in twins.items()})
        write_saved_model(
            self,
            filepath,
            endpoints,
            max_examples,
            metadata,
            batching,
            verbose,
        )

    def _check_endpoint_options(self, options):
        """Raise if `endpoints` takes no option of that name."""
        parameters = inspect.signature(self.endpoints).parameters
        if any(taken.kind is taken.VAR_KEYWORD for taken in parameters.values()):
            return
        taken = sorted(set(parameters) - {"image_shape", "jit_compile"})
        unknown = sorted(set(options) - set(parameters))
        if unknown:
            raise ValueError(
                f"`export` of {type(self).__name__} does not take "
                f"{', '.join(unknown)}. Options of its endpoints: "
                f"{', '.join(taken) or 'none'}"
            )
