"""Run requests to SavedModels at once through TensorFlow's C API, without its Python.

    all_at_once.py WORK RESULTS

WORK is a pickle of a list of `(directory, inputs, outputs)`, see `Session.run`. RESULTS
gets a pickle of what `run_at_once` returns.
"""

import concurrent.futures
import pathlib
import pickle
import sys

REPEATS = 8


def run_at_once(run, requests):
    """Call `run(*request)` of each request in a thread, several times.

    Returns:
        For each request, a list of what `run` returned.
    """

    def client(request):
        return [run(*request) for _ in range(REPEATS)]

    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(client, requests))


def main(work, results):
    import clean_process

    library = clean_process.load_library()
    requests = pickle.loads(pathlib.Path(work).read_bytes())
    sessions = {}
    for directory, _, _ in requests:
        if directory not in sessions:
            sessions[directory] = clean_process.Session(library)
            sessions[directory].load(directory, ["serve"])

    def run(directory, inputs, outputs):
        return sessions[directory].run(inputs, outputs)

    found = run_at_once(run, requests)
    pathlib.Path(results).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
