"""Hostile clients next to honest ones, on any server of TensorFlow Serving's REST API.

Eight honest clients call every signature that draws, of four models, and compare each
answer. Meanwhile two hostile clients send bad requests of more than fifty forms. The
trial fails if an honest request fails or gets another answer, if a bad one is not
refused, if the time was too short to send each form, or if the server does not answer
at the end. TensorFlow Serving ignores parts of some requests, such as an input that the
signature does not have. A server may refuse these or answer as if the parts were not
there.

    python -m tests.export.hostile_trial --server tensorflow_model_server
    python -m tests.export.hostile_trial --docker tensorflow/serving:2.20.0
    python -m tests.export.hostile_trial --laptop --minutes 1
    python -m tests.export.hostile_trial --url http://127.0.0.1:8501 --base MODELS

`--laptop` starts `genimg-serve`. The last one expects a server with the models that
an earlier run wrote to MODELS, and `--proxy` adds forms that only nginx refuses. Prints
Markdown.
"""

import argparse
import base64
import collections
import contextlib
import itertools
import json
import math
import pathlib
import sys
import tempfile
import time

import numpy as np
import requests

from genimg_export.probes import random_inputs
from genimg_export.saved_graph import SavedGraph
from keras_genimg.models import DRAW, VAE, MultiScalePixelRNN, PixelRNN
from keras_genimg.serving import publish
from tests.export.running_server import calling, free_port, started

HONEST, HOSTILE = 8, 2
IGNORED = "answered without the ignored part"
MAX_EXAMPLES = 16
MODELS = {
    "row": lambda: PixelRNN((4, 4, 1), 4, 1, layer="row", likelihood="categorical"),
    "vae": lambda: VAE((4, 4, 1), 2, 4),
    "draw": lambda: DRAW((4, 4, 1), 2, 4, 2, 2, 2),
    "scales": lambda: MultiScalePixelRNN((4, 4, 1), ((2, 2), (4, 4)), 4, 1),
}


def write_models(base):
    """Publish the models, and write models.config."""
    (base / "models.config").write_text(config(base, MODELS))
    for name, make in MODELS.items():
        if not (base / name / "1").exists():
            options = {"max_examples": MAX_EXAMPLES, "verify": False, "verbose": False}
            publish(make(), base, name, **options)


def config(base, names, more=None):
    """Return the text of a models.config, with further fields of models by name."""
    entries = [
        f'config {{ name: "{name}" base_path: "{base}/{name}" '
        f'model_platform: "tensorflow" {(more or {}).get(name, "")} }}'
        for name in names
    ]
    return f"model_config_list {{ {' '.join(entries)} }}\n"


def honest_requests(base):
    """Return `(model, body, expected outputs)` of every signature that draws."""
    import tensorflow as tf

    found = []
    for name in MODELS:
        path = base / name / "1"
        graph = SavedGraph(path)
        loaded = tf.saved_model.load(str(path))
        for signature, function in loaded.unmerged.items():
            for size in (1, 2, 3):
                inputs = random_inputs(graph.signatures[signature], size, seed=size)
                outputs = function(**{k: tf.constant(v) for k, v in inputs.items()})
                values = {key: value.tolist() for key, value in inputs.items()}
                body = {"signature_name": signature, "inputs": values}
                expected = {k: _as_json(v.numpy()) for k, v in outputs.items()}
                (expected,) = expected.values() if len(expected) == 1 else [expected]
                found.append((name, json.dumps(body).encode(), expected))
    return found


def _as_json(array):
    if array.dtype == object:
        return [{"b64": base64.b64encode(file).decode()} for file in array]
    return array.tolist()


def bad_requests(proxy, honest):
    """Return `(path, body, expected outputs)` by name of form.

    A form without expected outputs, None, must be refused.

    Args:
        honest: Result of `honest_requests`, to which ignored parts are added.
        proxy: Whether to add forms that end a server without a proxy.
    """
    return {**refused_requests(proxy), **_requests_with_ignored_parts(honest)}


def refused_requests(proxy=False):
    """Return the `bad_requests` that must be refused."""
    image = np.zeros((1, 4, 4, 1), int)

    def columns(signature="sample", **inputs):
        return _body(signature_name=signature, inputs=inputs)

    def complete(images=image, known=image[..., 0], seed=(1,)):
        values = {"images": images, "known": known, "seed": seed}
        return columns(
            "complete", **{k: np.asarray(v).tolist() for k, v in values.items()}
        )

    def warm(temperature):
        text = columns("sample_with_temperature", seed=[1], temperature=["T"])
        return text.replace(b'"T"', temperature)

    forms = {
        "seed of rank 2": columns(seed=[[1]]),
        "seed of rank 9": columns(seed=[[[[[[[[[1]]]]]]]]]),
        "scalar seed": columns(seed=1),
        "no seed": columns(seed=[]),
        "empty lists": columns(seed=[[], []]),
        "ragged seeds": columns(seed=[[1], [1, 2]]),
        "lists and numbers": columns(seed=[1, [1]]),
        "null": columns(seed=[None]),
        "text": columns(seed=["1"]),
        "true": columns(seed=[True]),
        "fraction": columns(seed=[1.5]),
        "object": columns(seed=[{"a": 1}]),
        "base64": columns(seed=[{"b64": "MQ=="}]),
        "negative seed": columns(seed=[-1]),
        "seed of 2**62": columns(seed=[2**62]),
        "seed of 2**64": columns(seed=[2**64]),
        "seed of 1e400": columns(seed=[1]).replace(b"[1]", b"[1e400]"),
        "NaN": columns(seed=[1]).replace(b"[1]", b"[NaN]"),
        "one bad seed of 16": columns(seed=[*range(15), -1]),
        "one seed too many": columns(seed=list(range(MAX_EXAMPLES + 1))),
        "100,000 seeds": columns(seed=[1] * 100_000),
        "unknown input": columns(sed=[1]),
        "one input too many in a row": _body(instances=[{"seed": 1, "more": 1}]),
        "missing input": columns("complete", seed=[1]),
        "no inputs": columns(),
        "rows without examples": _body(instances=[]),
        "rows of rank 2": _body(instances=[{"seed": [1]}]),
        "rows of two kinds": _body(instances=[{"seed": 1}, 1]),
        "empty rows": _body(instances=[{}, {}]),
        "rows and columns": _body(instances=[1], inputs=[1]),
        "neither": b"{}",
        "unknown signature": columns("nothing", seed=[1]),
        "signature of a number": _body(signature_name=1, inputs=[1]),
        "a list": b"[1]",
        "no JSON": b"seed=1",
        "no body": b"",
        "half a body": columns(seed=[1])[:-2],
        "1,000 levels": b'{"inputs": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        "wide image": complete(images=np.zeros((1, 4, 5, 1), int)),
        "image of rank 3": complete(images=image[..., 0]),
        "pixel of 256": complete(images=image + 256),
        "pixel of -1": complete(images=image - 1),
        "known of 2": complete(known=image[..., 0] + 2),
        "other numbers of examples": complete(seed=(1, 2)),
        "temperature of 0": warm(b"0"),
        "temperature of -1": warm(b"-1"),
        "temperature of 1e39": warm(b"1e39"),
        "images of no example": columns("log_prob", images=[]),
        "one pixel": columns("log_prob", images=[[[[0]]]]),
    }
    found = {name: ("row:predict", body) for name, body in forms.items()}
    found["infinite latent"] = (
        "vae:predict",
        _body(signature_name="decode", inputs=[[1, 1]]).replace(b"1, 1", b"1e39, 1"),
    )
    found["unknown version"] = "row/versions/999999:predict", columns(seed=[1])
    found["unknown model"] = "nothing:predict", columns(seed=[1])
    if proxy:
        # TensorFlow Serving parses lists in a loop, but makes tensors of them by
        # recursion. Its stack ends at some 19,000 levels, if they are closed.
        levels = 100_000
        deep = b'{"inputs": ' + b"[" * levels + b"]" * levels + b"}"
        found["100,000 levels"] = "row:predict", deep
        lists = b'{"inputs": [' + b"[]," * 1_398_000 + b"[]]}"
        found["4 MiB of lists"] = "row:predict", lists
        found["5 MiB"] = "row:predict", b'{"inputs": [' + b" " * 5 * 2**20 + b"]}"
    return {name: (*form, None) for name, form in found.items()}


def _requests_with_ignored_parts(honest):
    """Return forms that TensorFlow Serving answers, see its `json_tensor.cc`.

    It looks keys up, which finds the first of several, and stops after the object.
    """
    body, expected = next(
        (body, expected)
        for name, body, expected in honest
        if name == "row" and json.loads(body)["signature_name"] == "sample"
    )
    seed = json.loads(body)["inputs"]["seed"]
    inputs = b'"inputs": {"seed": %s' % json.dumps(seed).encode()
    assert body.count(inputs) == 1
    forms = {
        "one input too many": body.replace(inputs, inputs + b', "more": [1]'),
        "two objects": 2 * body,
        "text after the object": body + b" and more",
        "unknown key": body.replace(inputs, b'"more": 1, ' + inputs),
        "repeated input": body.replace(inputs, inputs + b', "seed": [5, 6]'),
        "repeated key": body.replace(inputs, inputs + b'}, "inputs": {"seed": [5]'),
    }
    return {name: ("row:predict", form, expected) for name, form in forms.items()}


def _body(**content):
    return json.dumps(content).encode()


class Hostile:
    """Clients that send the `bad_requests` in turn, and what they were answered."""

    def __init__(self, url, bad):
        self._url, self._bad = url, list(bad.items())
        self._turns = itertools.count()
        self.statuses = collections.defaultdict(collections.Counter)  # By form.

    def send(self, session, most=math.inf):
        """Send the next request, `most` of them in all."""
        number = next(self._turns)
        if number >= most:
            time.sleep(0.1)
            return
        name, (path, body, expected) = self._bad[number % len(self._bad)]
        try:
            reply = _post(session, self._url, path, body)
            status = reply.status_code
            if status == 200 and expected is not None:
                right = same(reply.json()["outputs"], expected)
                status = IGNORED if right else "another answer"
        except requests.RequestException as error:
            status = type(error).__name__
        self.statuses[name][status] += 1

    def accepted(self, also=()):
        """Return bad requests that were not refused: statuses by form.

        Args:
            also: Further statuses that count as refused.
        """
        refused = {*range(400, 500), *also}
        found = {n: dict(c) for n, c in self.statuses.items() if set(c) - refused}
        return {n: c for n, c in found.items() if set(c) - refused - {IGNORED}}

    @property
    def unsent(self):
        """Names of forms that were not sent."""
        return [name for name, _ in self._bad if name not in self.statuses]


class Trial:
    """Outcome of a trial with what `honest_requests` and `bad_requests` returned."""

    def __init__(self, url, honest, bad):
        self._url, self._honest = url, honest
        self._turns = itertools.count()
        self.hostile = Hostile(url, bad)
        self.seconds = []  # One entry per honest request.
        self.failed = []  # Texts about honest requests.

    def run(self, seconds, most_bad):
        """Let clients send requests, the hostile ones at most `most_bad` in all.

        A second call goes on with the forms that the first one had no time for.
        """
        with (
            requests.Session() as session,
            calling(lambda: self._be_honest(session), HONEST),
            calling(lambda: self.hostile.send(session, most_bad), HOSTILE),
        ):
            time.sleep(seconds)

    def _be_honest(self, session):
        name, body, expected = self._honest[next(self._turns) % len(self._honest)]
        start = time.perf_counter()
        try:
            reply = _post(session, self._url, f"{name}:predict", body)
        except requests.RequestException as error:
            self.failed.append(str(error))
            return
        self.seconds.append(time.perf_counter() - start)
        if reply.status_code != 200:
            self.failed.append(f"{reply.status_code} {reply.text[:200]}")
        elif not same(reply.json()["outputs"], expected):
            self.failed.append(f"another answer to {body!r:.200}")


def _post(session, url, path, body):
    # Longer than the time-out of a server, so that it answers.
    return session.post(f"{url}/v1/models/{path}", data=body, timeout=150)


def same(got, expected):
    """Whether outputs are equal, except for rounded means of pixels.

    The mean of a pixel can be rounded to the next integer in another batch.
    """
    if got == expected:
        return True
    if isinstance(expected, dict):
        return all(same(got[key], expected[key]) for key in expected)
    try:
        apart = np.abs(np.subtract(got, expected))
    except TypeError:  # PNG files.
        return False
    return apart.max() <= 1 and np.count_nonzero(apart) <= 1


def answers(url):
    """Return whether all models are served."""
    try:
        paths = [f"{url}/v1/models/{name}/metadata" for name in MODELS]
        return all(requests.get(path, timeout=9).ok for path in paths)
    except requests.RequestException:
        return False


def server_of(given, base, log):
    """Return the URL and a context in which the server runs, and prints to a file."""
    if given.url:
        return given.url, contextlib.nullcontext()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = server_command(given, base, port, log.with_name("grpc"))
    if not given.laptop:
        command.append(f"--model_config_file={base}/models.config")
    return url, started(command, log, lambda: answers(url), seconds=300)


def server_command(given, base, port, socket, *options):
    """Return the command of a server on `port`; a real one needs a models.config.

    Args:
        given: Arguments of the command line: `laptop`, `server` and `docker`.
        base: Directory of the models.
        port: Port of REST.
        socket: Path of a socket for gRPC. The server refuses to run without gRPC, and
            a port would be open to other machines.
        options: Further arguments of `docker run`.
    """
    if given.laptop:
        command = [sys.executable, "-m", "genimg_export.serve", "--base-dir", base]
        return [*command, "--port", port, "--max-concurrent", 64]
    if given.server:
        command = [given.server, f"--rest_api_port={port}"]
        command += ["--port=0", f"--grpc_socket_path={socket}"]
    else:
        command = ["docker", "run", "--rm", "-p", f"127.0.0.1:{port}:8501"]
        command += ["-v", f"{base}:{base}:ro", *options, given.docker]
    command += ["--rest_api_num_threads=64", "--max_num_load_retries=0"]
    return [*command, "--tensorflow_intra_op_parallelism=1"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--server", help="path of tensorflow_model_server")
    which.add_argument("--docker", help="image of TensorFlow Serving")
    which.add_argument("--laptop", action="store_true", help="run genimg-serve")
    which.add_argument("--url", help="address of a running server or its proxy")
    parser.add_argument("--base", type=pathlib.Path, help="directory of the models")
    parser.add_argument("--proxy", action="store_true", help="a proxy is in front")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--bad-requests", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = (given.base or pathlib.Path(folder)).resolve()
        base.mkdir(parents=True, exist_ok=True)
        write_models(base)
        honest = honest_requests(base)
        bad = bad_requests(given.proxy, honest)
        url, server = server_of(given, base, pathlib.Path(folder, "log.txt"))
        with server:
            warm_up, quiet, both = (Trial(url, honest, bad) for _ in range(3))
            warm_up.run(10, most_bad=0)
            quiet.run(60 * given.minutes / 10, most_bad=0)
            both.run(60 * given.minutes, given.bad_requests)
            alive = answers(url)
    print("| clients | honest requests | failed or wrong | p99, ms | bad | accepted |")
    print("|---|---|---|---|---|---|")
    for name, trial in (("honest", quiet), ("honest and hostile", both)):
        count = sum(sum(c.values()) for c in trial.hostile.statuses.values())
        p99 = f"{1000 * np.percentile(trial.seconds, 99):.0f}"
        cells = [name, len(trial.seconds), len(trial.failed), p99]
        cells += [count, len(trial.hostile.accepted())]
        print("|", *[f"{cell} |" for cell in cells])
    accepted, unsent = both.hostile.accepted(), both.hostile.unsent
    for text in [*quiet.failed[:3], *both.failed[:3], *accepted.items()]:
        print(text)
    print(f"{len(bad)} forms. The server {'answers' if alive else 'is dead'}.")
    if unsent:
        print(f"Not sent in this time: {', '.join(unsent)}")
    faults = quiet.failed or both.failed or accepted or unsent
    return bool(faults or not alive)


if __name__ == "__main__":
    sys.exit(main())
