"""Serve exported models on this machine, with a page to generate images in the browser.

For laptops and tests. The REST paths, replies and error codes are those of TensorFlow
Serving, and the page is at /. Needs the extra `serving`, not Keras.

    genimg-serve --base-dir models
    genimg-serve --base-dir models --all-versions --label digits:stable=1
    genimg-serve --model digits=models/mine --model faces=more/faces

Models are directories <base-dir>/<name>/<version>/, as `genimg-export` writes them. The
newest version is served, and a newer one takes over as soon as it is loaded.
"""

import argparse
import contextlib
import errno
import logging
import os
import re
import socket
import sys

from .arguments import command_parser, integer, positive, stopped_by_ctrl_c
from .install_hint import install_hint
from .quiet_start import import_tensorflow

NOTICE = (
    "serve: a small server for your laptop and for tests; for real traffic, "
    "TensorFlow Serving takes the same models and requests (see export/tf_serving/)"
)


def parse_arguments(arguments=None):
    """Parse the command line."""
    parser = command_parser(__doc__, "genimg-serve")
    add = parser.add_argument
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--base-dir", metavar="DIR", help="directory of the models")
    models.add_argument(
        "--model",
        action="append",
        type=split_by("([^/:=]+)=(.+)", "NAME=DIR, such as digits=models/mine"),
        metavar="NAME=DIR",
        help="directory of the versions of a model; may be repeated",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    port = integer(0, 65535)
    add("--port", type=port, default=8501, help="default: 8501; 0 for a free one")
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name of this server, such as that of a proxy in front, whose "
        "requests are accepted besides those to loopback and --host; * for any; may be "
        "repeated",
    )
    add(
        "--all-versions",
        action="store_true",
        help="load every version, not only the newest",
    )
    add(
        "--label",
        action="append",
        type=split_by(
            "([^/:=]+):([^/:=]+)=([0-9]{1,19})",
            "NAME:LABEL=VERSION, such as digits:stable=1",
        ),
        default=[],
        metavar="NAME:LABEL=VERSION",
        help="label a version; may be repeated",
    )
    add(
        "--no-warm-up",
        dest="warm_up",
        action="store_false",
        help="serve models once they are loaded; their first requests are then slow",
    )
    numbers = {
        "poll-seconds": (float, 2, "time between two scans for new versions"),
        "timeout": (float, 120, "seconds from a request's arrival to its reply"),
        "max-body-bytes": (int, 16 * 2**20, "largest request body"),
        "max-concurrent": (
            int,
            os.cpu_count(),
            "requests to run at once",
        ),
        "max-queued": (int, 64, "requests that may wait; more get a 503"),
    }
    for name, (kind, default, text) in numbers.items():
        text = f"{text} (default: {default})"
        add(f"--{name}", type=positive(kind), default=default, help=text)
    return parser.parse_args(arguments)


def split_by(pattern, form):
    """Return a function that splits an argument into the groups of a pattern."""

    def convert(text):
        found = re.fullmatch(pattern, text)
        if not found:
            raise argparse.ArgumentTypeError(f"{text} is not {form}")
        return found.groups()

    return convert


def main():
    """Serve until SIGTERM or Ctrl-C."""
    arguments = parse_arguments()
    models = arguments.model or [("", arguments.base_dir)]
    for _, path in models:
        if not os.path.isdir(path):
            sys.exit(f"serve: there is no directory {path}")
    with stopped_by_ctrl_c("serve: stopped"):
        # Before TensorFlow is imported and models are loaded, which take long.
        with told_of_address(arguments):
            bound = bind(arguments.host, arguments.port)
        with bound:
            run_server(arguments, bound)


@contextlib.contextmanager
def told_of_address(arguments):
    """End the process with one line if the body cannot use the address."""
    try:
        yield
    except OSError as error:
        where = f"port {arguments.port} of {arguments.host}"
        if error.errno == errno.EADDRINUSE:
            sys.exit(
                f"serve: {where} is taken, maybe by another genimg-serve. Choose "
                f"another --port, or --port 0 for a free one"
            )
        sys.exit(
            f"serve: cannot listen on {where}: {error.strerror}. Choose another --host "
            f"or --port"
        )


def bind(host, port):
    """Return a socket that is bound to an address and does not listen yet.

    Until it listens, connections are refused, and clients know to try again.

    Raises:
        OSError: If the address cannot be used.
    """
    # The smallest family is IPv4: a `localhost` may have addresses of both.
    family, kind, protocol, _, address = min(
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    bound = socket.socket(family, kind, protocol)
    try:
        # Else the port of a server that has just ended counts as taken for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # `::` is not to mean addresses of IPv4 too.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def run_server(arguments, bound):
    """Load the models, and answer requests until the process is told to stop."""
    try:
        import_tensorflow()
        import tensorflow as tf
        import uvicorn

        from .server.app import create_app
        from .server.models import Catalog
        from .server.service import Service
    except ImportError as error:
        sys.exit(f"serve: {error}: {install_hint('serving')}")

    logging.basicConfig(format="serve: %(message)s", level=logging.WARNING)
    logging.getLogger("serve").setLevel(logging.INFO)
    tf.get_logger().setLevel("ERROR")
    catalog = Catalog(arguments)
    print(NOTICE, flush=True)
    if arguments.host not in ("127.0.0.1", "::1", "localhost"):
        print(f"Anyone who can reach {arguments.host} can use it.", flush=True)
    catalog.start()
    app = create_app(
        Service(catalog, arguments), arguments.host, arguments.allowed_host
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            # By then, every request in progress has timed out.
            timeout_graceful_shutdown=int(arguments.timeout) + 1,
        )
    )
    with told_of_address(arguments):
        bound.listen()  # Fails if another server bound the port too, and was faster.
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    port = bound.getsockname()[1]
    print(f"serve: running on http://{host}:{port} (Ctrl-C stops it)", flush=True)
    server.run(sockets=[bound])


if __name__ == "__main__":
    main()
