"""Base class of all models."""

import inspect

import numpy as np
import tensorflow as tf

from keras_genimg.models.function_cache import FunctionCache
from keras_genimg.models.image_inputs import (
    check_values,
    checked_inputs,
    images_of,
    inputs_of,
)
from keras_genimg.models.likelihood_model import LikelihoodModel
from keras_genimg.models.progress import Counted, Progress, slices, timed_slices
from keras_genimg.models.row_seeds import row_seeds
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.saved_model import write_saved_model


class GenerativeModel(LikelihoodModel):
    """A functional Keras model of images that draws images too.

    The first input is the batch of images, in the likelihood's own range; further
    inputs are conditions, such as labels.

    A subclass implements `draw_function`, `log_prob` and `endpoints`.

    Args:
        inputs: `keras.Input` of images, or a list of it and the conditions.
        outputs: Parameters of the likelihood, float32.
        likelihood: Name or object, see `keras_genimg.likelihoods.get`.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        likelihood: The distribution of a sub-pixel.
        presets: Published and small settings by name, see `from_preset`.
    """

    presets = {}

    def __init__(self, inputs, outputs, likelihood, **kwargs):
        super().__init__(inputs, outputs, likelihood, **kwargs)
        self._function_cache = FunctionCache()

    @property
    def _compiled_functions(self):
        return self._function_cache.functions(self)

    @classmethod
    def from_preset(cls, name, **overrides):
        """Build an untrained model with the settings that `name` stands for.

        Args:
            name: A key of `presets`.
            **overrides: Constructor arguments that replace the preset's.

        Raises:
            ValueError: If there is no such preset.
        """
        if name not in cls.presets:
            raise ValueError(
                f"{cls.__name__} has no preset {name!r}. "
                f"Known presets: {', '.join(sorted(cls.presets))}"
            )
        return cls(**{**cls.presets[name]["config"], **overrides})

    def generate(
        self,
        num_images=1,
        seed=None,
        conditions=None,
        batch_size=64,
        verbose="auto",
        **options,
    ):
        """Draw images.

        Args:
            num_images: How many.
            seed: Integer of the first image; the next ones have the seeds that follow.
                Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, never on the others drawn with it.
            conditions: Inputs of the model besides the images, one row an image: an
                array if there is one, else a dict by input name.
            batch_size: How many images to draw at a time.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.
            **options: Options of the model's own kind, see `draw_function`.

        Returns:
            NumPy array of shape `(num_images, height, width, colors)`, pixels in the
            likelihood's own range.

        Raises:
            ValueError: If an argument is not as described.
        """
        num_images = check_positive_int("num_images", num_images, "generate")
        draw = self.draw_function(**options)
        rows = self.condition_rows(conditions, num_images)
        seeds = row_seeds(num_images, seed)
        note = self.drawing_note(**options)
        return self.draw_in_batches(
            draw, [seeds, *rows], batch_size, verbose, note=note
        )

    def drawing_note(self, **options):
        """Return what drawing an image takes, for `Progress`; a hook for subclasses."""
        return ""

    def draw_in_batches(
        self, draw, rows, batch_size, verbose, method="generate", note=""
    ):
        """Call `draw` on batches of arrays of rows; return NumPy arrays of all rows.

        Args:
            draw: Function of tensors, one for each of `rows`, that returns a tensor
                or a structure of them.
            rows: Arrays with one row an image.
            batch_size: As in `generate`.
            verbose: As in `generate`.
            method: Name of the public method, for texts.
            note: Further words on the work, see `Progress`.
        """
        batch_size = check_positive_int("batch_size", batch_size, method)
        num_images = len(rows[0])
        task = f"{self.name}.{method}"
        batches = []
        counter = draw.counter if isinstance(draw, Counted) else None
        with Progress(task, num_images, verbose, note, inside=counter) as progress:
            for part in slices(num_images, batch_size):
                batch = [tf.constant(row[part]) for row in rows]
                progress.begin(len(batch[0]))
                batches.append(tf.nest.map_structure(np.asarray, draw(*batch)))
                progress.add(len(batch[0]))
        return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)

    def condition_rows(self, conditions, num_images):
        """Return the conditions as arrays in the order of the model's inputs.

        Raises:
            ValueError: If they are not those that the model has, one row an image.
        """
        inputs = self.inputs[1:]
        if conditions is None:
            conditions = {}
        elif not isinstance(conditions, dict):
            conditions = {inputs[0].name: conditions} if len(inputs) == 1 else {"": 0}
        names = [tensor.name for tensor in inputs]
        if sorted(conditions) != sorted(names):
            raise ValueError(
                f"`conditions` of {self.name} must give the inputs {names}, as a dict "
                f"by name. Received: {sorted(conditions)}"
            )
        rows = [np.asarray(conditions[tensor.name]) for tensor in inputs]
        for tensor, row in zip(inputs, rows, strict=True):
            if row.ndim != len(tensor.shape) or len(row) != num_images:
                raise ValueError(
                    f"Condition '{tensor.name}' must have the shape {tensor.shape} "
                    f"with one row for each of the {num_images} images. Received: "
                    f"shape={row.shape}"
                )
        self.check_conditions(dict(zip(names, rows, strict=True)))
        return [
            row.astype(tensor.dtype) for tensor, row in zip(inputs, rows, strict=True)
        ]

    def check_conditions(self, conditions):
        """Raise if a condition's values do not make sense; a hook for subclasses.

        Args:
            conditions: Dict of NumPy arrays by input name.
        """

    def conditions_in_range(self, conditions):
        """Return where the values of conditions make sense, for a graph; a hook.

        Args:
            conditions: Dict of tensors by input name.

        Returns:
            Dict of boolean tensors of the same shapes; conditions of which any value
            makes sense may be left out.
        """
        return {}

    def log_prob(
        self, images, *, num_samples=None, seed=None, batch_size=64, verbose="auto"
    ):
        """Return the log-probability of each image, or a bound of it.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            num_samples: Samples of the latent variables per image, for models that
                have them; None for the model's default.
            seed: Integer of the first image's samples; the next images have the seeds
                that follow. By default a random one, as in `generate`. For models with
                latent variables.
            batch_size: Images per batch, for arrays.
            verbose: As in `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit, or
                the model has no latent variables and receives `num_samples` or `seed`.
        """
        raise NotImplementedError

    def map_images(
        self, function, images, method, batch_size, verbose, note="", splits=False
    ):
        """Call `function` on batches of the model's inputs; return what it gives.

        Args:
            function: Function of `(images, *conditions)`, tensors or arrays, that
                returns a tensor or a structure of them, with one row an image.
            images: As in `log_prob`.
            method: Name of the public method, for error texts.
            batch_size: As in `log_prob`.
            verbose: As in `log_prob`.
            note: Further words on the work, see `Progress`.
            splits: Whether arrays may be split into smaller batches that take about
                half a second each. The split depends on how fast the machine is, so
                this is for functions whose results do not depend on the batch, to the
                last bit.

        Returns:
            NumPy arrays of all rows.
        """
        batch_size = check_positive_int("batch_size", batch_size, method)
        task = f"{self.name}.{method}"
        data = checked_inputs(images, self, task)
        if isinstance(data, tf.data.Dataset):
            total, unit = int(data.cardinality()), "batch"
            batches = self._checked_batches(data, task)
        else:
            rows = self._rows_of(data)
            total, unit = len(rows[0]), "image"
            parts = (timed_slices if splits else slices)(total, batch_size)
            batches = ([tf.constant(row[part]) for row in rows] for part in parts)
        results = []
        with Progress(task, total, verbose, note, unit) as progress:
            for batch in batches:
                results.append(tf.nest.map_structure(np.asarray, function(*batch)))
                progress.add(1 if unit == "batch" else len(batch[0]))
        return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *results)

    def _checked_batches(self, dataset, owner):
        for element in dataset:
            batch = self._rows_of(element)
            check_values(batch, self, owner)
            yield batch

    def _rows_of(self, element):
        """Return the inputs in an array or an element of a data set, as a list."""
        element = inputs_of(element) if len(self.inputs) == 1 else element
        if isinstance(element, dict):
            element = [element[tensor.name] for tensor in self.inputs]
        return element if isinstance(element, (list, tuple)) else [element]

    def bits_per_dim(
        self, images, *, num_samples=None, seed=None, batch_size=64, verbose="auto"
    ):
        """Return the negative log-probability of each image in bits per sub-pixel.

        Args:
            images: As in `log_prob`.
            num_samples: As in `log_prob`.
            seed: As in `log_prob`.
            batch_size: As in `log_prob`.
            verbose: As in `log_prob`.

        Returns:
            NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: As in `log_prob`.
        """
        shape = self.image_shape
        if None in shape:
            if isinstance(images, tf.data.Dataset):
                raise ValueError(
                    f"{self.name} takes images of any size, so bits_per_dim needs an "
                    f"array to know theirs. Received: {images}"
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

    def draw_function(self, **options):
        """Return a compiled function of `(seeds, *conditions)` that draws images."""
        raise NotImplementedError

    def endpoints(self, image_shape, jit_compile=False, **options):
        """Return what a server can ask of the model.

        Args:
            image_shape: `(height, width, colors)`, all known.
            jit_compile: Whether to compile with XLA.
            **options: Options of the model's own kind.

        Returns:
            Dict of `keras_genimg.saved_model.Endpoint` by signature name.
        """
        raise NotImplementedError

    def export(
        self,
        filepath,
        format="tf_saved_model",
        image_size=None,
        max_rows=256,
        bad_rows="error",
        xla_twins=False,
        metadata=None,
        verbose=True,
        **kwargs,
    ):
        """Write a SavedModel that draws images without this library.

        Its signatures are those of `endpoints`; `serving_default` is `sample`. The
        directory appears whole or not at all. The file `assets.extra/metadata.json` in
        it describes model and signatures.

        Args:
            filepath: Directory to create; must not exist.
            format: `"tf_saved_model"`; any other goes to `keras.Model.export`.
            image_size: `(height, width)` to serve, for a model of any size.
            max_rows: Most rows that a signature takes in one call. A signature that
                draws several candidates for a row counts all of them.
            bad_rows: What a row that is out of range does: `"error"` fails the call;
                `"flag"` gives zeros and false in the output `ok`, for a server that
                merges the requests of several clients, all of which an error would
                fail.
            xla_twins: Whether to add signatures `<name>_xla`, which draw the same
                images faster on a server that was started with
                `--xla_cpu_compilation_enabled`, and fail on others.
            metadata: Dict to add to the metadata, such as training figures and a
                licence note.
            verbose: Whether to print the signatures.
            **kwargs: Options of `endpoints`, such as `method` and `num_candidates` of
                autoregressive models; for other formats, arguments of
                `keras.Model.export`.

        Raises:
            ValueError: If `filepath` exists, the image size is not known, or an
                argument is not as described.
        """
        if format != "tf_saved_model":
            return super().export(filepath, format=format, verbose=verbose, **kwargs)
        max_rows = check_positive_int("max_rows", max_rows, "export")
        shape = self.sized_image_shape(image_size, "export")
        self._check_endpoint_options(kwargs)
        endpoints = self.endpoints(shape, **kwargs)
        if xla_twins:
            twins = self.endpoints(shape, jit_compile=True, **kwargs)
            endpoints.update({f"{name}_xla": twin for name, twin in twins.items()})
        write_saved_model(
            self, filepath, endpoints, max_rows, bad_rows, metadata, verbose
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

    def sized_image_shape(self, image_size, owner):
        """Return `image_shape` with unknown height and width taken from `image_size`.

        Raises:
            ValueError: If a size is missing or disagrees with the model's.
        """
        *known, colors = self.image_shape
        size = tuple(known if image_size is None else image_size)
        fits = len(size) == 2 and all(
            have is not None and want in (None, have)
            for want, have in zip(known, size, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{owner} needs `image_size=(height, width)` that fits the model's "
                f"image shape {self.image_shape}. Received: image_size={image_size}"
            )
        return (
            check_positive_int("height", size[0], owner),
            check_positive_int("width", size[1], owner),
            colors,
        )
