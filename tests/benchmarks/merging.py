"""Images of the same model from merged and from unmerged requests, in turns.

    python -m tests.benchmarks.merging --server tensorflow_model_server

One TensorFlow Serving has two exports of each preset, with and without merging, and 64
threads for requests. Clients that each wait for their reply before the next request
call one export, then the other, for some seconds. Each image is compared. Numbers of
clients alternate too, so that whatever slows the machine slows all of them.
"""

import collections
import pathlib
import statistics
import tempfile

import requests

import keras_genimg.models
from keras_genimg.presets import find_preset
from tests.benchmarks.serving import NUM_SEEDS, put_load
from tests.benchmarks.timing import Benchmark
from tests.export.running_server import free_port, started

MERGED, UNMERGED = "merged", "unmerged"


def write_models(base, presets):
    """Export each preset twice; return the shown images of seeds by preset."""
    known, entries = {}, []
    for preset in presets:
        owner, name = find_preset(preset)
        model = getattr(keras_genimg.models, owner).from_preset(name, weights=True)
        images = model.generate(NUM_SEEDS, seed=0, verbose=0)
        known[preset] = model.likelihood.to_display(images)
        for kind in (MERGED, UNMERGED):
            served = served_name(preset, kind)
            path = base / served / "1"
            model.export(path, batching=kind == MERGED, verbose=False)
            entries.append(
                f'config {{ name: "{served}" base_path: "{base / served}" '
                f'model_platform: "tensorflow" }}'
            )
    (base / "models.config").write_text(
        f"model_config_list {{ {' '.join(entries)} }}\n"
    )
    return known


def served_name(preset, kind):
    """Return the name of an export of a preset."""
    return f"{preset.replace('/', '_')}-{kind}"


def server_command(binary, base, port, folder):
    """Return the command of TensorFlow Serving on `port`."""
    return [
        binary,
        f"--rest_api_port={port}",
        # It refuses to run without gRPC, and a port would be open to other machines.
        "--port=0",
        f"--grpc_socket_path={folder}/grpc",
        f"--model_config_file={base}/models.config",
        "--rest_api_num_threads=64",
        "--tensorflow_intra_op_parallelism=1",
    ]


def answers(address, name):
    """Return whether a model is served."""
    try:
        return requests.get(f"{address}/{name}/metadata", timeout=9).ok
    except requests.RequestException:
        return False


def take_turns(address, known, options):
    """Return the cells of `put_load`, by preset, number of clients and kind.

    Args:
        address: URL of all models.
        known: Shown images of seeds by preset.
        options: The command's options.
    """
    found = collections.defaultdict(list)
    for preset, images in known.items():
        for round in range(options.rounds + 1):
            for clients in options.clients:
                for kind in (MERGED, UNMERGED)[:: 1 if round % 2 else -1]:
                    url = f"{address}/{served_name(preset, kind)}:predict"
                    cells = put_load(url, images, clients, options.seconds)
                    if round:  # The first one warms up.
                        found[preset, clients, kind].append(cells)
    return found


def rows_of(preset, found):
    """Return the rows of a preset.

    Args:
        preset: Its name.
        found: Cells of `put_load`, one for each round, by number of clients and kind.
    """
    rows = []
    for clients in sorted({clients for clients, _ in found}):
        merged, unmerged = found[clients, MERGED], found[clients, UNMERGED]
        ratios = [
            one["images/s"] / other["images/s"]
            for one, other in zip(merged, unmerged, strict=True)
        ]
        cells = {
            f"{kind}, images/s": statistics.median(each["images/s"] for each in rounds)
            for kind, rounds in ((MERGED, merged), (UNMERGED, unmerged))
        }
        bad = sum(
            each[outcome]
            for each in (*merged, *unmerged)
            for outcome in ("wrong", "refused", "dropped")
        )
        rows.append(
            {
                "model": preset,
                "clients": clients,
                **cells,
                "median of ratios": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "wrong, refused or dropped": bad,
            }
        )
    return rows


def main():
    benchmark = Benchmark(__doc__, rounds=12)
    add = benchmark.parser.add_argument
    add("--server", required=True, help="path of tensorflow_model_server")
    add("--clients", type=int, nargs="+", default=[1, 2, 3, 4, 8, 16])
    add("--seconds", type=float, default=3, help="of each turn")
    add("--presets", nargs="+", default=["PixelCNN/mnist"], help="with weights")
    options = benchmark.start()
    if options.quick:
        options.clients, options.seconds = [2], 1
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        base, port = folder / "models", free_port()
        known = write_models(base, options.presets)
        address = f"http://127.0.0.1:{port}/v1/models"
        last = served_name(options.presets[-1], UNMERGED)
        command = server_command(options.server, base, port, folder)
        with started(command, folder / "log.txt", lambda: answers(address, last), 300):
            found = take_turns(address, known, options)
    rows = []
    for preset in options.presets:
        of_preset = {key[1:]: cells for key, cells in found.items() if key[0] == preset}
        rows += rows_of(preset, of_preset)
    note = f"{options.rounds} turns of {options.seconds:g} s each, 1 image per request"
    benchmark.table("Merged and unmerged requests on TensorFlow Serving", rows, note)


if __name__ == "__main__":
    main()
