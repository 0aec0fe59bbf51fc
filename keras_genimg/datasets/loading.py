"""Batched images for training and evaluation: data sets by name, and arrays."""

import pathlib
import types
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg.datasets.batches import batch_options, checked_size, make_batches
from keras_genimg.datasets.patches import resize
from keras_genimg.datasets.readers import READERS, class_names, read_local
from keras_genimg.datasets.tfds_images import parts_of_split, read_tfds
from keras_genimg.likelihoods import Likelihood
from keras_genimg.ops.checks import check_choice
from keras_genimg.types import Config, Shape


def load(
    name: str | pathlib.Path,
    split: str = "train",
    batch_size: int = 32,
    image_size: int | Shape | None = None,
    crop_size: int | Shape | None = None,
    random_crop: bool = False,
    random_flip: bool = False,
    binarize: Literal["dynamic", "fixed"] | None = None,
    num_values: int | None = None,
    intensities: bool = False,
    seed: int = 0,
    shuffle: bool = False,
    drop_remainder: bool = False,
    labels: bool = False,
    likelihood: str | Config | Likelihood | None = None,
    color_mode: Literal["rgb", "grayscale"] | None = None,
) -> tf.data.Dataset:
    """Return a split of an image data set as batches.

    Elements are images of shape `(batch, height, width, colors)`, `uint8` with pixels
    `v` in 0..255 unless one of these is given:

    - `num_values=n` gives the integer nearest to `v * (n - 1) / 255`, in 0..n-1.
    - `intensities=True` gives `v / 255` in [0, 1], `float32`, for likelihoods of real
      intensities.
    - `binarize` gives 1 with probability `v / 255` and 0 otherwise. `"dynamic"` draws
      again in each epoch. `"fixed"` draws once: the result depends on `seed` and the
      position in `split` alone, and images are cropped after it.
    - `likelihood` gives the pixels that a model of this likelihood takes:
      `intensities=True` for real intensities, `num_values` for integers, and `binarize`
      for `Bernoulli`: `"dynamic"` for splits whose name begins with `train`, `"fixed"`
      for others, so that each evaluation sees the same images.

    To add a data set, put its reader into the dict `READERS`, under its name: a
    function that returns the arrays of each split, such as `{"train": {"images":
    images, "label": labels}, "test": ...}`. Images are displayable, `uint8` of shape
    `(images, height, width, colors)`; labels, which may be left out, are integers of
    shape `(images,)`.

    The number of batches is known to Keras. The same `seed` gives the same draws and
    order in each run. With `"dynamic"`, `shuffle`, `random_crop` and `random_flip` they
    also depend on TensorFlow's global seed if it is set, for example by
    `keras.utils.set_random_seed`.

    Args:
        name: `"digits"` for the 8 by 8 digits of scikit-learn; `"photo_patches"` for 32
            by 32 color crops of photographs of scikit-image and scikit-learn, 3886 in
            `"train"` and 342 of other photographs in `"test"`; `"frey_face"` for the
            1965 frames of 28 by 20 pixels in `frey_rawface.mat`, which you download to
            the subfolder `frey_face` of the folder below; another key of `READERS`; or
            the name of an image data set of tensorflow_datasets, such as `"mnist"` or
            `"cifar10"`. The latter is downloaded unless it is prepared in the folder
            given by the environment variable `TFDS_DATA_DIR`. Or a
            `pathlib.Path`, of a folder of images or of the file of Frey Face,
            `frey_rawface.mat`. A folder may hold images in subfolders, gray or in
            color, and nothing else but hidden files. Local images are read at once and
            held in memory.
        split: `"train"`, `"test"`, another split of the data set, or a slice or sum of
            them, such as `"train[:80%]"`. A local path has `"train"`, `"validation"` (a
            tenth of the images), `"test"` (another tenth) and `"all"`; a fixed
            permutation of the sorted file names decides.
        batch_size: Images per batch. The last batch may be smaller.
        image_size: `(height, width)`, or one integer for both, to resize images to, by
            antialiased bilinear interpolation. The aspect ratio may change. `None`
            keeps their size.
        crop_size: `(height, width)`, or one integer for both, to crop images to after
            resizing. `None` does not crop.
        random_crop: Whether to crop at a random place, drawn uniformly for each image
            in each epoch. Otherwise the center is kept (with an odd margin, half a
            pixel up or left of it).
        random_flip: Whether to mirror each image left to right with probability 1/2,
            drawn again in each epoch. Fixed bits are mirrored after they were drawn.
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values of a pixel, 2 to 256. `None` is 256.
        intensities: Whether pixels are real numbers in [0, 1].
        seed: Integer seed of binarization, places, mirroring and order.
        shuffle: Whether to shuffle in each epoch. Splits of up to 512 MiB are read at
            once and held in memory, and each order is equally likely. Larger ones are
            shuffled within windows of that size.
        drop_remainder: Whether to drop an incomplete last batch.
        labels: Whether elements are `{"images": images, "label": labels}` with `int32`
            labels of shape `(batch,)`, for class-conditional models. The classes of a
            folder are its subfolders, in the order of their names, as in
            `keras.utils.image_dataset_from_directory`; each image must be in one.
        likelihood: `None`, or a likelihood by name or object, such as
            `model.likelihood`. The three arguments above may repeat what it asks for;
            `binarize` may choose otherwise for a likelihood of two values.
        color_mode: `"rgb"` or `"grayscale"` converts each file of a folder of images,
            as in `keras.utils.image_dataset_from_directory`: palettes, CMYK, and gray
            images of 16 bits, of which the upper 8 are kept. Transparent images are put
            on a white background, which Keras does not do. Color profiles are ignored.
            `None` takes the files as they are; they must then be all gray or all RGB,
            of 8 bits and opaque. Other data sets take `None` only.

    Returns:
        A `tf.data.Dataset` of known cardinality. Its attribute `epochs`, an `Epochs`,
        gives the batches of any epoch from any position on. With the labels of a
        folder, its attribute `class_names` is the list of their names.

    Raises:
        FileNotFoundError: If Frey Face has not been downloaded, or another data set is
            not prepared and cannot be.
        ImportError: If a package that reads the data is not installed: scikit-learn,
            scikit-image, or, for a local path, Pillow or SciPy.
        ValueError: If an argument is invalid, the split is empty, `drop_remainder`
            leaves no batch, the crop is larger than the images, the likelihood
            contradicts another argument or has more values than 8 bits, or the data
            set has no 8-bit images or, with `labels=True`, no labels. For a folder
            also if a file is damaged, no image or an animation, if images differ in
            size and `image_size` is None, or if `color_mode` is None and some are gray
            and some in color, some transparent, or some have more than 8 bits per
            color; the text names the files.

    Example:
        >>> from keras_genimg.datasets import load
        >>> dataset = load("digits", batch_size=100, num_values=17)
        >>> dataset.element_spec
        TensorSpec(shape=(None, 8, 8, 1), dtype=tf.uint8, name=None)
        >>> int(dataset.cardinality())
        15

        DRAW's recipe for SVHN trains with random crops and validates with center
        crops. The paper uses images of whole house numbers. Those of
        tensorflow_datasets are single digits of 32 by 32 pixels, so results are not
        comparable with the paper's.

        >>> kwargs = {"image_size": 64, "crop_size": 54, "intensities": True}
        >>> train = load("svhn_cropped", random_crop=True, shuffle=True, **kwargs)
        >>> validation = load("svhn_cropped", "test", **kwargs)

    References:
        Gregor et al., DRAW, 2015, section 4.4, https://arxiv.org/abs/1502.04623
    """
    given = locals().copy()
    options = batch_options(given, fixed=not str(split).startswith("train"))
    size = checked_size("image_size", image_size)
    is_path = isinstance(name, pathlib.PurePath)
    check_choice("color_mode", color_mode, (None, "rgb", "grayscale"))
    if color_mode and (not is_path or name.is_file()):
        raise ValueError(
            f"`color_mode` converts the files of a folder of images. Leave it out for "
            f"{str(name)!r}. Received: color_mode={color_mode!r}"
        )
    arrays: dict[str, Any] = {}
    if is_path or name in READERS:
        if is_path:
            splits = read_local(name, size, labels, color_mode)
        else:
            splits = READERS[name]()
        arrays = checked_arrays(select(splits, split, str(name)), str(name))
        if labels and "label" not in arrays:
            raise ValueError(
                f"`labels=True` needs a data set with labels, and {str(name)!r} has "
                f"none. Received: labels={labels!r}"
            )
        dataset = tf.data.Dataset.from_tensor_slices(arrays)
    else:
        dataset = read_tfds(name, split, labels, size is not None)
    element: Any = dataset.element_spec
    if size is not None and size != tuple(element["images"].shape[:2]):

        def resized(example):
            return {**example, "images": resize(example["images"], size)}

        dataset = dataset.map(resized, num_parallel_calls=tf.data.AUTOTUNE)
    parts = None if labels else ("images",)
    batches: Any = make_batches(dataset, options, arrays, parts)
    if labels and is_path:
        batches.class_names = class_names(name)
    return batches


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    batch_size: int = 32,
    crop_size: int | Shape | None = None,
    random_crop: bool = False,
    random_flip: bool = False,
    binarize: Literal["dynamic", "fixed"] | None = None,
    num_values: int | None = None,
    intensities: bool = False,
    seed: int = 0,
    shuffle: bool = False,
    drop_remainder: bool = False,
    likelihood: str | Config | Likelihood | None = None,
) -> tf.data.Dataset:
    """Return your own images as batches, as `load` returns those of a data set.

    The pixels of each epoch, and their order, are functions of `seed` and the epoch, so
    `keras_genimg.callbacks.Resume` can continue a run exactly. It refuses to continue
    with other images.

    Args:
        images: Displayable images, `uint8` in 0..255, of shape `(images, height, width,
            colors)`.
        labels: Integers of shape `(images,)`, for class-conditional models; None for
            images alone.
        batch_size: Images per batch. The last batch may be smaller.
        crop_size: `(height, width)`, or one integer for both, to crop images to. `None`
            does not crop.
        random_crop: Whether to crop at a random place, drawn for each image in each
            epoch. Otherwise the center is kept.
        random_flip: Whether to mirror each image left to right with probability 1/2 in
            each epoch.
        binarize: `None`; `"dynamic"` to draw pixels that are 1 with probability `v /
            255` again in each epoch; or `"fixed"` to draw them once.
        num_values: Number of values of a pixel, 2 to 256. `None` is 256.
        intensities: Whether pixels are real numbers in [0, 1].
        seed: Integer seed of binarization, places, mirroring and order.
        shuffle: Whether to shuffle in each epoch.
        drop_remainder: Whether to drop an incomplete last batch.
        likelihood: `None`, or a likelihood by name or object, such as
            `model.likelihood`, that the pixels are prepared for. `Bernoulli` gives
            `binarize="dynamic"`; pass `binarize="fixed"` with it for images to evaluate
            on.

    Returns:
        A `tf.data.Dataset` of known cardinality. Elements are batches of images, or
        `{"images": images, "label": labels}` if there are labels. Its attribute
        `epochs`, an `Epochs`, gives the batches of any epoch from any position on.

    Raises:
        ValueError: If the images are not `uint8` of this shape, there are none, or
            there is not one label for each; or if another argument is invalid or
            contradicts the likelihood.

    Example:
        >>> from keras_genimg.datasets import from_arrays
        >>> images = np.zeros((100, 8, 8, 1), "uint8")
        >>> train = from_arrays(images, likelihood="bernoulli", shuffle=True)
        >>> train.element_spec
        TensorSpec(shape=(None, 8, 8, 1), dtype=tf.uint8, name=None)
    """
    given = {k: v for k, v in locals().items() if k not in ("images", "labels")}
    options = batch_options(given)
    arrays = checked_arrays({"images": images, "label": labels}, "from_arrays")
    examples = tf.data.Dataset.from_tensor_slices(arrays)
    parts = ("images",) if labels is None else None
    return make_batches(examples, options, arrays, parts)


def select(splits, split, owner):
    """Return the arrays of a split.

    Args:
        splits: Dict of arrays by split, see `READERS`.
        split: See `parts_of_split`.
        owner: Name of the data set, for the error text.

    Raises:
        ValueError: If the split is unknown or empty.

    Example:
        >>> splits = {"train": {"images": np.arange(5)}}
        >>> select(splits, "train[-2:]", "mine")
        {'images': array([3, 4])}
    """
    infos = {
        name: types.SimpleNamespace(num_examples=len(arrays["images"]))
        for name, arrays in splits.items()
    }
    parts = parts_of_split(split, infos, owner)
    return {
        key: np.concatenate([splits[name][key][part] for name, part in parts])
        for key in next(iter(splits.values()))
    }


def checked_arrays(arrays, owner):
    """Return images and labels as arrays, or raise if they are not.

    Args:
        arrays: Dict of `"images"` and, optionally, `"label"`, which may be None.
        owner: What gave or received them, for the error text.

    Raises:
        ValueError: If an array has another shape or dtype, or there are no images.
    """
    given = {k: v for k, v in arrays.items() if v is not None or k == "images"}
    arrays = {k: np.ascontiguousarray(v) for k, v in given.items()}
    images = arrays["images"]
    if images.ndim != 4 or images.dtype != np.uint8 or images.size == 0:
        raise ValueError(
            f"Images of {owner} must be uint8 from 0 to 255, of shape (images, height, "
            f"width, colors), with at least one pixel. Received: shape={images.shape}, "
            f"dtype={images.dtype}"
        )
    labels = arrays.get("label", np.zeros(len(images), int))
    fits = labels.shape == images.shape[:1] and labels.dtype.kind in "iu"
    if not fits or (labels != labels.astype("int32")).any():
        raise ValueError(
            f"Labels of {owner} must be integers of 32 bits, one for each image, of "
            f"shape {images.shape[:1]}. Received: shape={labels.shape}, "
            f"dtype={labels.dtype}"
        )
    if "label" in arrays:
        arrays["label"] = labels.astype("int32")
    return arrays


def as_array(dataset: tf.data.Dataset) -> Any:
    """Return all batches of a data set, concatenated along the first axis.

    Args:
        dataset: A finite `tf.data.Dataset` of batches, such as `load` returns.

    Returns:
        A NumPy array of shape `(images, height, width, colors)`, or a dict or tuple of
        arrays if the elements of `dataset` are dicts or tuples.

    Raises:
        ValueError: If `dataset` is empty or infinite.

    Example:
        >>> from keras_genimg.datasets import as_array, load
        >>> as_array(load("digits", split="test")).shape
        (300, 8, 8, 1)
    """
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"`dataset` must be finite. Received: {dataset}")
    batches = list(dataset.as_numpy_iterator())
    if not batches:
        raise ValueError(f"`dataset` has no elements. Received: {dataset}")
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
