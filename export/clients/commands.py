"""The commands of `client.py`.

Each takes an `ImageClient` and the arguments of the command line.
"""

import numpy as np

from .errors import ClientError


def print_status(client, arguments):
    """Print the versions and signatures of the model."""
    versions = client.retries.call(client.model.versions)
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


def sample_to_files(client, arguments):
    """Draw images and write them to files."""

    def request(seeds):
        name, inputs = client.sample_inputs(
            seeds, arguments.temperature, **_label(arguments, len(seeds))
        )
        # PNG files are smaller than lists of numbers.
        if name == "sample" and "sample_png" in client.signatures:
            name = "sample_png"
        return name, inputs

    _draw_to_files(client, arguments, request)


def complete_to_files(client, arguments):
    """Draw the unknown part of an image once per seed, and write the results."""
    from .files import read_image

    _, *shape = client.signature("complete").inputs["images"].shape
    image = read_image(arguments.image, shape)
    known = read_image(arguments.mask, [*shape[:2], 1])[..., 0] >= 128

    def request(seeds):
        return "complete", {
            "images": np.repeat(image[None], len(seeds), axis=0),
            "known": np.repeat(known[None].astype("int32"), len(seeds), axis=0),
            "seed": seeds,
            **_label(arguments, len(seeds)),
        }

    _draw_to_files(client, arguments, request)


def _label(arguments, num_images):
    if arguments.label_class is None:
        return {}
    return {"label": np.full(num_images, arguments.label_class)}


def _draw_to_files(client, arguments, request):
    """Write one file per seed as batches arrive.

    Args:
        client: `ImageClient`.
        arguments: Arguments of the command line.
        request: Function of seeds that returns a signature's name and its inputs.
    """
    from tqdm import tqdm

    from ..whole_files import write_bytes
    from .files import from_png, grid, to_png

    seeds = arguments.seed + np.arange(arguments.num_images)
    paths = {int(seed): arguments.output / f"{seed}.png" for seed in seeds}
    if arguments.skip_existing:
        seeds = np.array([seed for seed in seeds if not paths[seed].exists()], "int64")
    written = [paths[seed] for seed in seeds] + [arguments.grid] * bool(arguments.grid)
    existing = [path for path in written if path.exists()]
    if existing and not arguments.overwrite:
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
                    content = image if isinstance(image, bytes) else to_png(image)
                    write_bytes(paths[seed], content)
                progress.update(len(drawn))
    print(f"Wrote {len(seeds)} images to {arguments.output}")
    if arguments.grid:
        images = [from_png(path.read_bytes()) for path in paths.values()]
        write_bytes(arguments.grid, to_png(grid(images)))
        print(f"Wrote {arguments.grid}")
