"""Draw the pixels that a PixelCNN and a GatedPixelCNN see from one pixel.

However deep a plain PixelCNN is, its masked kernels hide a part of the rows above, to
the right of a pixel: its blind spot. A GatedPixelCNN has a stack of convolutions for
the rows above, and sees them all. The example trains nothing; it needs the extra
`examples` for the picture.

    python examples/blind_spot.py
    python examples/blind_spot.py --image-size 28 28 --pixel 20 13 --blocks 12

The picture shows the pixel in red and those that it depends on in blue, like figure 1
of Conditional Image Generation with PixelCNN Decoders,
https://arxiv.org/abs/1606.05328.
"""

import argparse
import pathlib


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(11, 15), metavar=("H", "W")
    )
    parser.add_argument(
        "--pixel", type=int, nargs=2, default=(7, 7), metavar=("ROW", "COLUMN")
    )
    parser.add_argument("--blocks", type=int, default=7, metavar="N")
    parser.add_argument("--kernel-size", type=int, default=3, metavar="K")
    parser.add_argument("--output", type=pathlib.Path, default="outputs/blind_spot")
    arguments = parser.parse_args()
    (height, width), (row, column) = arguments.image_size, arguments.pixel
    if not (0 <= row < height and 0 <= column < width):
        parser.error(f"--pixel must lie in an image of {height} by {width} pixels")

    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import numpy as np

    from keras_genimg.causality import dependency_field
    from keras_genimg.models import GatedPixelCNN, PixelCNN
    from keras_genimg.visualization import save_dependency_fields

    past = np.arange(height * width).reshape(height, width) < row * width + column
    fields = {}
    for family in (PixelCNN, GatedPixelCNN):
        model = family(
            (height, width, 1),
            units=8,
            num_blocks=arguments.blocks,
            kernel_size=arguments.kernel_size,
            first_kernel_size=arguments.kernel_size,
        )
        field = dependency_field(model, (row, column))
        fields[family.__name__] = field
        print(
            f"{family.__name__}: {field.sum()} of {past.sum()} earlier pixels seen, "
            f"{(past & ~field).sum()} missing"
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    picture = arguments.output / "blind_spot.png"
    save_dependency_fields(picture, fields, (row, column))
    print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
