"""The commands of `genimg-client`, and the image files that they read and write.

Each takes an `ImageClient` and the arguments of the command line.
"""

import io
import math
import sys

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from ..files import write_bytes
from ..labels import label_of
from .image_client import ClientError

MODES = {1: "L", 3: "RGB"}
# Families that draw an image row by row from the top. Others may have another order.
IN_RASTER_ORDER = {"AutoregressiveModel", "GatedPixelCNN", "PixelCNN", "PixelRNN"}


def status(client, arguments):
    """Print the versions and signatures of the model."""
    versions = client.call(client.model.versions)
    for number, state, message in versions:
        if state == "END":
            state = f"END, failed: {message}" if message else "END, unloaded"
        print(f"{arguments.model} version {number}: {state}")
    if not any(state == "AVAILABLE" for _, state, _ in versions):
        raise ClientError(
            f"no version of {arguments.model} is available; see the states above"
        )
    for name, signature in sorted(client.signatures.items()):
        inputs, outputs = (
            ", ".join(
                f"{key} {tensor.dtype} ({', '.join(map(_size, tensor.shape))})"
                for key, tensor in sorted(tensors.items())
            )
            for tensors in (signature.inputs, signature.outputs)
        )
        print(f"  {name}: {inputs} -> {outputs}")


def _size(size):
    return "batch" if size == -1 else str(size)


def sample(client, arguments):
    """Draw images and write them to files."""
    label = _label(client, arguments, "sample")

    def request(seeds):
        inputs = {"seed": seeds, **_labels(label, len(seeds))}
        if arguments.temperature is not None:
            inputs["temperature"] = np.full(len(seeds), arguments.temperature)
            return "sample_with_temperature", inputs
        # PNG files are smaller than lists of numbers.
        png = "sample_png" in client.signatures
        return "sample_png" if png else "sample", inputs

    _draw_to_files(client, arguments, request)


def complete(client, arguments):
    """Draw the unknown part of an image once per seed, and write the results."""
    _, *shape = client.signature("complete").inputs["images"].shape
    image = _read_image(arguments.image, shape, arguments.resize)
    if arguments.known:
        known = _half(arguments.known, *shape[:2])
    else:
        mask = _read_image(arguments.mask, [*shape[:2], 1], arguments.resize)
        known = mask[..., 0] >= 128
    label = _label(client, arguments, "complete")
    described = client.metadata.get("signatures", {}).get("complete", {})
    if (
        client.metadata.get("family") in IN_RASTER_ORDER
        and described.get("num_candidates") == 1
        and _some_follow_unknown(known)
    ):
        print(
            f"client: {arguments.model} generates row by row from the top, so known "
            f"pixels after the first unknown one do not influence the others. They do "
            f"in a model that was exported with --num-candidates, or trained with "
            f"--orders",
            file=sys.stderr,
        )

    def request(seeds):
        return "complete", {
            "images": np.repeat(image[None], len(seeds), axis=0),
            "known": np.repeat(known[None].astype("int32"), len(seeds), axis=0),
            "seed": seeds,
            **_labels(label, len(seeds)),
        }

    _draw_to_files(client, arguments, request)


def _half(name, height, width):
    """Return a mask of half of an image, bool `(height, width)`.

    Args:
        name: `"upper"`, `"lower"`, `"left"` or `"right"`. The middle row or column of
            an odd number is in the upper or left half.
        height: Number of rows.
        width: Number of columns.
    """
    rows, columns = np.indices((height, width))
    upper, left = rows < height / 2, columns < width / 2
    return {"upper": upper, "lower": ~upper, "left": left, "right": ~left}[name]


def _some_follow_unknown(known):
    """Return whether known pixels come after an unknown one in raster order."""
    known = known.ravel()
    return bool((np.diff(known.astype(int)) > 0).any())


def _label(client, arguments, signature_name):
    """Return the label of the class that the command line asks for, or None.

    Raises:
        ClientError: If the model has no such class, or takes one and none is asked for.
    """
    if arguments.label is None:
        if "label" in client.signature(signature_name).inputs:
            raise ClientError(
                f"{arguments.model} generates images of a class: add --label "
                f"{_classes(client.metadata)}"
            )
        return None
    try:
        return label_of(arguments.label, client.class_names, arguments.model)
    except ValueError as error:
        raise ClientError(str(error)) from None


def _classes(metadata):
    """Return a text with the classes of a model, as its metadata describe them."""
    if names := metadata.get("class_names"):
        *others, last = names
        return f"{', '.join(others)} or {last}" if others else last
    sample = metadata.get("signatures", {}).get("sample", {}).get("inputs", {})
    high = sample.get("label", {}).get("high")
    return "and its number" if high is None else f"and a number from 0 to {high}"


def _labels(label, num_images):
    """Return the input of labels by name; no input for None."""
    return {} if label is None else {"label": np.full(num_images, label)}


def _draw_to_files(client, arguments, request):
    """Write one file per seed as batches arrive.

    Args:
        client: `ImageClient`.
        arguments: Arguments of the command line.
        request: Function of seeds that returns a signature's name and its inputs.
    """
    seeds = arguments.seed + np.arange(arguments.num_images)
    paths = {int(seed): arguments.output / f"{seed}.png" for seed in seeds}
    if arguments.skip_existing:
        seeds = np.array([seed for seed in seeds if not paths[seed].exists()], "int64")
    written = [paths[seed] for seed in seeds] + [arguments.grid] * bool(arguments.grid)
    existing = [path for path in written if path.exists()]
    # With --skip-existing, images that exist are kept, and their grid is made anew.
    if existing and not (arguments.overwrite or arguments.skip_existing):
        raise ClientError(
            f"{existing[0]} exists, and so do {len(existing) - 1} more of the files to "
            f"write; choose another --output and --grid, or pass --overwrite"
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    if seeds.size:
        name, inputs = request(seeds)
        with tqdm(total=len(seeds), unit="image", disable=None) as progress:
            for part, outputs in client.predict_batches(name, **inputs):
                drawn = outputs["png_bytes" if name == "sample_png" else "images"]
                for seed, image in zip(seeds[part], drawn, strict=True):
                    content = image if isinstance(image, bytes) else _to_png(image)
                    write_bytes(paths[seed], content)
                progress.update(len(drawn))
    print(f"Wrote {len(seeds)} images to {arguments.output}")
    if arguments.grid:
        _, *shape = client.signature("sample").outputs["images"].shape
        images = [_read_image(path, shape) for path in paths.values()]
        write_bytes(arguments.grid, _to_png(_grid(images)))
        print(f"Wrote {arguments.grid}")


def _to_png(image):
    """Return the PNG file of an image, uint8 `(height, width, colors)`, as bytes."""
    *_, colors = image.shape
    if colors not in MODES:
        raise ClientError(f"PNG files have 1 or 3 colors; the images have {colors}")
    pixels = image[..., 0] if colors == 1 else image
    opened = io.BytesIO()
    Image.fromarray(pixels).save(opened, "PNG")
    return opened.getvalue()


def _read_image(path, image_shape, resize=None):
    """Read an image file as an array, uint8 `image_shape`.

    It is turned as its EXIF data say, and resized by antialiased bilinear
    interpolation, as `datasets.load` does with the images of a folder.

    Args:
        path: Path of the file.
        image_shape: `(height, width, colors)`.
        resize: Whether to resize an image of another size; None if the user has no
            such choice.

    Raises:
        ClientError: If it is not an image of this height and width.
    """
    height, width, colors = image_shape
    if colors not in MODES:
        raise ClientError(f"image files have 1 or 3 colors; the model takes {colors}")
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode[0] in "IF":
                raise ClientError(f"{path} must have 8 bits per color; it has more")
            if image.size != (width, height) and not resize:
                mend = "" if resize is None else "; add --resize"
                raise ClientError(
                    f"{path} must have {width}x{height} pixels, as the model's images "
                    f"have; it has {image.width}x{image.height}{mend}"
                )
            image = image.convert(MODES[colors])
            pixels = np.asarray(
                image.resize((width, height), Image.Resampling.BILINEAR)
            )
    # Pillow raises SyntaxError for some broken PNG files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ClientError(f"cannot read {path}: {error}") from None
    return pixels.reshape(image_shape)


def _grid(images):
    """Return images of one shape, tiled to an image about as wide as high."""
    height, width, colors = images[0].shape
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    canvas = np.zeros((rows, columns, height, width, colors), np.uint8)
    canvas.reshape(-1, height, width, colors)[: len(images)] = images
    return canvas.swapaxes(1, 2).reshape(rows * height, columns * width, colors)
