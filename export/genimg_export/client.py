"""Generate images with a model on TensorFlow Serving, and write them as PNG files.

Runs without Keras and keras_genimg; only --grpc needs TensorFlow. The image of seed s
is written to <output>/s.png, and is the same in every run.

    genimg-client --model digits status
    genimg-client --model digits sample --num-images 64 --output drawn
    genimg-client --model pets sample --label cat --output cats
    genimg-client --model digits complete a.png mask.png --output completed
    genimg-client --model pets complete a.jpg --resize --known upper --output completed
    genimg-client --grpc 127.0.0.1:8500 --model digits sample --output drawn
"""

import pathlib
import sys

from .arguments import command_parser, integer, positive, stopped_by_ctrl_c
from .clients import ClientError, ImageClient
from .install_hint import install_hint
from .quiet_start import import_tensorflow


def parse_arguments(arguments=None):
    """Parse the command line."""
    parser = command_parser(__doc__, "genimg-client")
    add = parser.add_argument
    server = parser.add_mutually_exclusive_group()
    server.add_argument(
        "--url",
        default="http://127.0.0.1:8501",
        help="address of the REST interface (default: %(default)s)",
    )
    server.add_argument("--grpc", metavar="HOST:PORT", help="use this gRPC interface")
    add("--model", required=True, metavar="NAME", help="name of the model")
    version = parser.add_mutually_exclusive_group()
    version.add_argument(
        "--version", type=int, help="number of a version (default: the newest)"
    )
    version.add_argument(
        "--version-label", metavar="LABEL", help="label of a version, such as stable"
    )
    add(
        "--retries",
        type=integer(0),
        default=5,
        help="attempts after the first, while the server is unavailable (5)",
    )
    add(
        "--timeout", type=positive(float), default=120, help="seconds per request (120)"
    )

    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="print versions and signatures")
    status.set_defaults(batch_size=1, in_flight=1)
    sample = commands.add_parser("sample", help="generate images")
    sample.add_argument("--temperature", type=positive(float), metavar="NUMBER")
    complete = commands.add_parser(
        "complete", help="generate the unknown part of an image"
    )
    complete.add_argument(
        "image", help="image file of the model's size, or see --resize"
    )
    known = complete.add_mutually_exclusive_group(required=True)
    known.add_argument(
        "mask",
        nargs="?",
        help="image file: white where pixels are kept, black where generated",
    )
    known.add_argument(
        "--known",
        choices=("upper", "lower", "left", "right"),
        help="instead of a mask: half of the image to keep",
    )
    complete.add_argument(
        "--resize",
        action="store_true",
        help="resize image and mask to the model's size, as `image_size` of "
        "datasets.load does: all of the image is kept, its aspect ratio may change",
    )
    for command, num_images in ((sample, 16), (complete, 1)):
        add = command.add_argument
        add("--num-images", type=integer(1), default=num_images, help=f"({num_images})")
        add("--seed", type=integer(0, 2**62 - 1), default=0, help="first seed (0)")
        label = "class to generate, by name or number, for models that take one"
        add("--label", metavar="CLASS", help=label)
        add("--batch-size", type=integer(1), default=32, help="images per request (32)")
        add("--in-flight", type=integer(1), default=1, help="concurrent requests (1)")
        add("--output", type=pathlib.Path, required=True, metavar="DIR")
        add(
            "--grid",
            type=pathlib.Path,
            metavar="FILE",
            help="also write all images to one PNG",
        )
        existing = command.add_mutually_exclusive_group()
        existing.add_argument("--overwrite", action="store_true")
        existing.add_argument(
            "--skip-existing", action="store_true", help="generate only missing images"
        )
    given = parser.parse_args(arguments)
    if given.command == "complete":
        for file in filter(None, (given.image, given.mask)):
            if not pathlib.Path(file).is_file():
                parser.error(f"There is no file {file!r}.")
    return given


def connect(arguments):
    """Return the `ImageClient` that the command line asks for."""
    which = arguments.model, arguments.version, arguments.version_label
    options = (*which, arguments.timeout)
    if arguments.grpc:
        import_tensorflow()
        from .clients.grpc import GrpcModel

        model = GrpcModel(arguments.grpc, *options)
    else:
        from .clients.rest import RestModel

        model = RestModel(arguments.url, *options)
    return ImageClient(
        model,
        arguments.batch_size,
        arguments.in_flight,
        arguments.retries,
        on_wait=lambda line: print(f"client: {line}", file=sys.stderr, flush=True),
    )


def main():
    """Run a command; return its exit code."""
    arguments = parse_arguments()
    more = "" if arguments.command == "status" else " with --skip-existing"
    with stopped_by_ctrl_c(f"Stopped. Run the same command{more} to continue."):
        return run_command(arguments)


def run_command(arguments):
    """Run a command; return its exit code."""
    try:
        from .clients import commands

        getattr(commands, arguments.command)(connect(arguments), arguments)
    except ImportError as error:
        print(f"client: {error}: {install_hint('serving')}", file=sys.stderr)
    except (ClientError, OSError) as error:
        print(f"client: {error}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
