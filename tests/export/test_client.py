import concurrent.futures
import socket

import numpy as np
import pytest
from PIL import Image

grpc = pytest.importorskip("grpc", reason='needs the extra "serving"')
pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')

from genimg_export import client as command_line  # noqa: E402
from genimg_export.bulk.saved_model import SavedModel  # noqa: E402
from genimg_export.clients import ClientError, ImageClient  # noqa: E402
from genimg_export.clients.grpc import GrpcModel  # noqa: E402
from genimg_export.clients.rest import RestModel  # noqa: E402
from tests.export.blocked import block  # noqa: E402
from tests.export.conftest import NAMES  # noqa: E402
from tests.export.flaky_proxy import flaky_proxy  # noqa: E402
from tests.export.grpc_stand_in import serving  # noqa: E402
from tests.subprocesses import run_python  # noqa: E402

pytestmark = pytest.mark.slow

AT_ONCE = {"retries": 3, "first_wait": 0.01}
LABELS = np.array([0, 2, 1, 1, 0])


@pytest.fixture(scope="module")
def grpc_server(base_dir):
    with serving(base_dir) as service:
        yield service


@pytest.fixture
def proxy(server):
    with flaky_proxy(server.address) as started:
        yield started


@pytest.fixture(params=["rest", "grpc"])
def interface(request, server, grpc_server):
    """The class of models, the option that names a server, and its address."""
    if request.param == "rest":
        return RestModel, "--url", server.address
    return GrpcModel, "--grpc", grpc_server.address


@pytest.fixture
def connect(interface):
    """Return a function that makes a client."""
    model_class, _, address = interface

    def make(name, version=None, label=None, **options):
        model = model_class(address, name, version, label)
        return ImageClient(model, **AT_ONCE, **options)

    return make


@pytest.fixture
def run_client(run_command, server):
    """Function that runs the command, by default with the VAE of the server."""

    def run(*arguments, at=("--url", server.address), model="vae", code=0):
        return run_command(command_line, *at, "--model", model, *arguments, code=code)

    return run


def pictures(directory):
    """Return the images of a directory by name."""
    return {path.name: np.asarray(Image.open(path)) for path in directory.iterdir()}


@pytest.mark.parametrize("batch_size, in_flight", [(32, 1), (2, 3)])
def test_draws_what_generate_draws(connect, drawn, batch_size, in_flight):
    client = connect("pixels", batch_size=batch_size, in_flight=in_flight)
    seeds = [7, 2**62 - 1, 7, 0, 2**53 + 1]
    for options in ({}, {"temperature": 0.25}):
        served = client.sample(seeds, label=LABELS, **options)
        assert served.dtype == np.uint8
        np.testing.assert_array_equal(served, drawn("pixels", seeds, LABELS, **options))


# A model that was exported with three candidates completes 16 // 3 images at most.
@pytest.mark.parametrize(
    "name, size, options",
    [("pixels", 2, {}), ("candidates", 5, {"num_candidates": 3})],
)
def test_completes_what_complete_completes(
    connect, drawn, completed, name, size, options
):
    images, seeds = drawn("pixels", range(5), LABELS), range(50, 55)
    known = np.random.default_rng(0).integers(0, 2, (5, 4, 5))
    served = connect(name, batch_size=size).complete(images, known, seeds, label=LABELS)
    expected = completed(images, known, seeds, LABELS, **options)
    np.testing.assert_array_equal(served, expected)


def test_scores(connect, drawn, base_dir):
    images = drawn("pixels", range(5), LABELS)
    # Not in smaller batches, whose bits may be others.
    nats = connect("pixels").log_prob(images, label=LABELS)
    compute = SavedModel(base_dir / "pixels" / "1", "log_prob").load()
    expected = compute(images=images, label=LABELS)["log_prob"]
    np.testing.assert_array_equal(nats, expected, strict=True)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda c: c.sample([1]), "sample takes label, seed; given: seed"),
        (lambda c: c.sample([1.5], label=[0]), r"int64; given: float64 \[1.5\]"),
        (lambda c: c.sample([1], label=[2**31]), "label must be of type int32"),
        (lambda c: c.sample([1], label=[[0]]), "label"),
        (lambda c: c.sample([], label=[]), "same number of examples, at least 1"),
        (lambda c: c.sample([1, 2], label=[0]), "same number of examples.* 2, 1"),
        (lambda c: c.sample([1], np.nan, label=[0]), "temperature must be of type"),
        (lambda c: c.sample([-1], label=[0]), "seed must be integers from 0"),
        (lambda c: c.sample([1], label=[3]), "label must be integers from 0 to 2"),
        (lambda c: c.sample(range(20), label=[0] * 20), "1 to 16 examples, got"),
        (lambda c: c.predict("nope", seed=[1]), "no signature nope; it has check_samp"),
    ],
)
def test_says_what_is_wrong_with_a_request(connect, call, text):
    with pytest.raises(ClientError, match=text) as caught:
        call(connect("pixels"))
    assert "\n" not in str(caught.value)


def test_versions_and_labels(connect):
    missing = [({"version": 9}, 404), ({"name": "nobody"}, 404), ({"label": "x"}, 400)]
    for which, code in missing:
        with pytest.raises(ClientError, match=f"NOT_FOUND|{code}"):
            connect(**{"name": "vae", **which}).sample([1])
    stable, newest = connect("vae", label="stable"), connect("vae")
    np.testing.assert_array_equal(stable.sample([5]), newest.sample([5]))


@pytest.fixture
def plant(proxy, grpc_server):
    """Function that plants faults; it returns a client, and the server that fails."""

    def plant(faults, timeout=60):
        by_grpc = isinstance(faults[0], grpc.StatusCode)
        server = grpc_server if by_grpc else proxy
        server.faults, server.posts = faults, 0
        connect = GrpcModel if by_grpc else RestModel
        client = ImageClient(connect(server.address, "vae", timeout=timeout), **AT_ONCE)
        return client, server

    return plant


@pytest.mark.parametrize(
    "fault",
    [
        *(429, 502, 503, 504, "close", "stall"),
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_tries_again(fault, server, plant, drawn, capsys):
    # The first request is slow, and a slow answer must not look like a stall.
    ImageClient(RestModel(server.address, "vae")).sample([8])
    client, failing = plant([fault] * 2, timeout=2 if fault == "stall" else 60)
    client.model.signatures()
    np.testing.assert_array_equal(client.sample([8]), drawn("vae", [8]))
    assert failing.posts == 3
    assert capsys.readouterr() == ("", "")


def test_command_says_once_that_it_waits(proxy, run_client, tmp_path):
    proxy.faults = [503, 503]
    command = ("sample", "--num-images", 1, "--output", tmp_path)
    _, errors = run_client(*command, at=("--url", proxy.address))
    why = "a planted fault (HTTP 503)"
    assert errors == f"client: waiting for the server (attempts left: 5): {why}\n"


@pytest.mark.parametrize(
    "fault, text, attempts",
    [
        *((code, f"^a planted.*HTTP {code}.$", 1) for code in (400, 404, 413, 500)),
        ("no JSON", "no JSON of Tens", 1),
        (grpc.StatusCode.FAILED_PRECONDITION, "^a planted fault .gRPC FAILED_PREC", 1),
        (503, r"HTTP 503\) \(attempts: 4\)", 4),
    ],
)
def test_gives_up(fault, text, attempts, plant):
    client, failing = plant([fault] * attempts)
    with pytest.raises(ClientError, match=text):
        client.sample([8])
    assert failing.posts == attempts


def test_command_writes_one_file_a_seed(interface, drawn, run_client, tmp_path):
    out = tmp_path / "a" / "b"
    sample = ("sample", "--label", 2, "--num-images", 6, "--seed", 3)
    more = ("--batch-size", 4, "--in-flight", 2, "--grid", tmp_path / "grid.png")
    which = {"at": interface[1:], "model": "pixels"}
    text, _ = run_client(*sample, *more, "--output", out, **which)
    assert text.startswith(f"Wrote 6 images to {out}\n")
    images = drawn("pixels", range(3, 9), 2)
    found = pictures(out)
    assert sorted(found) == [f"{seed}.png" for seed in range(3, 9)]
    np.testing.assert_array_equal([found[name] for name in sorted(found)], images)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (8, 15, 3)  # 2 rows of 3.
    np.testing.assert_array_equal(grid[4:, 5:10], images[4])


@pytest.mark.parametrize("given, label", [("green", 1), ("1", 1), ("0", 2)])
def test_command_takes_the_name_of_a_class(given, label, drawn, run_client, tmp_path):
    """Or its number, unless that is a name too."""
    command = ("sample", "--num-images", 2, "--label", given, "--output", tmp_path)
    run_client(*command, model="candidates")
    found = pictures(tmp_path)
    expected = drawn("pixels", [0, 1], label)
    np.testing.assert_array_equal([found["0.png"], found["1.png"]], expected)


NAMED = f"Its classes are {', '.join(NAMES)}"


@pytest.mark.parametrize(
    "model, given, text",
    [
        ("candidates", "gren", f"no class 'gren'. Did you mean green? {NAMED}"),
        ("candidates", "3", f"candidates has no class '3'. {NAMED}"),
        ("candidates", "-1", f"candidates has no class '-1'. {NAMED}"),
        (
            "pixels",
            "green",
            "no names of the classes of pixels are known, so a label must",
        ),
        ("pixels", "3", "label must be integers from 0 to 2"),
        ("nobody", "green", "HTTP 404"),
        ("plain", "green", "no names"),
        ("vae", "0", "takes seed; given: label, seed"),
    ],
)
def test_command_names_the_classes(model, given, text, run_client, tmp_path):
    command = ("sample", "--label", given, "--output", tmp_path)
    _, errors = run_client(*command, model=model, code=1)
    assert text in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    "model, classes",
    [("candidates", "red, green or 0"), ("pixels", "and a number from 0 to 2")],
)
def test_command_asks_for_a_class(model, classes, run_client, tmp_path):
    Image.new("RGB", (5, 4)).save(tmp_path / "image.png")
    image, out = tmp_path / "image.png", ("--output", tmp_path / "out")
    for command in (("sample",), ("complete", image, image)):
        _, errors = run_client(*command, *out, model=model, code=1)
        assert errors == (
            f"client: {model} generates images of a class: add --label {classes}\n"
        )


def test_command_by_grpc_asks_for_a_class(grpc_server, run_client, tmp_path):
    at = ("--grpc", grpc_server.address)
    options = {"at": at, "model": "candidates", "code": 1}
    _, errors = run_client("sample", "--output", tmp_path, **options)
    assert "add --label and its number" in errors


def test_command_by_grpc_knows_no_names(grpc_server, run_client, tmp_path):
    command = ("sample", "--label", "green", "--output", tmp_path)
    at = ("--grpc", grpc_server.address)
    _, errors = run_client(*command, at=at, model="candidates", code=1)
    assert "no names of the classes of candidates" in errors


@pytest.mark.parametrize("which", [{"version": 1}, {"label": "stable"}, {}])
def test_names_of_classes_of_a_version(which, server):
    model = RestModel(server.address, "candidates", **which)
    assert ImageClient(model, **AT_ONCE).class_names == NAMES


def test_clients_of_two_servers_do_not_wait_for_each_other(server):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        waiting = ImageClient(RestModel(address, "vae"), retries=0)
        answer = pool.submit(lambda: waiting.signatures)
        connection, _ = silent.accept()
        with connection:
            other = ImageClient(RestModel(server.address, "vae"), **AT_ONCE)
            signatures = pool.submit(lambda: other.signatures)
            concurrent.futures.wait([signatures], timeout=60)
            assert signatures.done() and not answer.done()
        assert isinstance(answer.exception(), ClientError)


def test_command_keeps_what_is_there(drawn, run_client, tmp_path):
    there = tmp_path / "4.png"
    there.write_bytes(b"mine")
    command = ("sample", "--output", tmp_path, "--num-images", 3, "--seed", 3)
    _, errors = run_client(*command, code=1)
    assert errors.startswith(f"client: {there} exists") and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["4.png"]

    text, _ = run_client(*command, "--skip-existing")
    assert text == f"Wrote 2 images to {tmp_path}\n"
    assert there.read_bytes() == b"mine"
    grid = ("--skip-existing", "--grid", tmp_path / "grid.png")
    _, errors = run_client(*command, *grid, code=1)
    assert errors.startswith(f"client: cannot read {there}: ")
    Image.new("L", (9, 9)).save(there)
    _, errors = run_client(*command, *grid, code=1)
    assert f"{there} must have 4x4 pixels" in errors
    run_client(*command, "--overwrite")
    for seed, image in zip((3, 4, 5), drawn("vae", [3, 4, 5]), strict=True):
        np.testing.assert_array_equal(pictures(tmp_path)[f"{seed}.png"], image[..., 0])
    for count in (3, 5):  # The second run goes on, and into the same grid.
        run_client(*command, "--num-images", count, *grid)
    assert pictures(tmp_path)["grid.png"].shape == (8, 12)  # 2 rows of 3.


def test_command_that_fails_midway_leaves_whole_files(proxy, run_client, tmp_path):
    proxy.faults = [None, None, 500]
    options = ("--output", tmp_path, "--num-images", 8, "--batch-size", 2)
    text, errors = run_client("sample", *options, at=("--url", proxy.address), code=1)
    assert not text and errors == "client: a planted fault (HTTP 500)\n"
    assert sorted(pictures(tmp_path)) == ["0.png", "1.png", "2.png", "3.png"]


def test_command_completes_an_image(drawn, completed, run_client, tmp_path):
    image, mask = drawn("pixels", [0], 1), np.zeros((4, 5), np.uint8)
    mask[:2] = 255
    files = tmp_path / "image.png", tmp_path / "mask.png"
    Image.fromarray(image[0]).save(files[0])
    Image.fromarray(mask).save(files[1])
    out = tmp_path / "out"
    command = ("complete", *files, "--output", out)
    command += ("--num-images", 2, "--seed", 9, "--label", 1)
    run_client(*command, model="pixels")
    expected = completed(image.repeat(2, axis=0), mask > 0, [9, 10], 1)
    for seed, image in zip((9, 10), expected, strict=True):
        np.testing.assert_array_equal(pictures(out)[f"{seed}.png"], image)

    Image.fromarray(mask[:, :3]).save(files[1])
    _, errors = run_client(*command, "--overwrite", model="pixels", code=1)
    assert "mask.png must have 5x4 pixels" in errors
    assert errors.endswith("it has 3x4; add --resize\n")


@pytest.mark.parametrize(
    "model, half, warned",
    [
        ("pixels", "upper", False),
        ("pixels", "left", True),
        ("candidates", "left", False),
        ("oriented", "lower", False),
    ],
)
def test_command_completes_a_half(model, half, warned, drawn, run_client, tmp_path):
    photo = np.asarray(Image.effect_noise((50, 40), 80).convert("RGB"))
    image, out = tmp_path / "photo.png", tmp_path / "out"
    Image.fromarray(photo).save(image)
    command = ("complete", image, "--known", half, "--resize", "--output", out)
    label = () if model == "oriented" else ("--label", 1)
    _, errors = run_client(*command, *label, model=model)
    # Pixels of a half that is kept.
    ends = slice(None, 2) if half in ("upper", "left") else slice(2, None)
    place = (ends,) if half in ("upper", "lower") else (slice(None), ends)
    (completed,) = pictures(out).values()
    colors = Image.fromarray(photo).convert("L" if model == "oriented" else "RGB")
    small = colors.resize(completed.shape[1::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(completed[place], np.asarray(small)[place])
    assert ("generates row by row" in errors) == warned
    assert errors.count("\n") == warned


@pytest.mark.parametrize("command", ["status", "sample"])
@pytest.mark.parametrize(
    "given, question",
    [("pixel", " Did you mean pixels?"), ("zebra", "")],
)
def test_a_wrong_name_is_answered_with_those_of_the_server(
    command, given, question, base_dir, run_client, tmp_path
):
    more = ("--output", tmp_path) if command == "sample" else ()
    _, errors = run_client(command, *more, model=given, code=1)
    names = ", ".join(sorted(path.name for path in base_dir.iterdir()))
    assert f"(HTTP 404).{question}" in errors
    assert errors.endswith(f" The server has the models {names}\n")
    assert ("Did you mean" in errors) == bool(question)


def test_a_wrong_version_is_not_answered_with_models(server, run_client):
    at = ("--url", server.address, "--version", 9)
    _, errors = run_client("sample", "--output", "x", at=at, code=1)
    assert "HTTP 404" in errors and "The server has" not in errors


def test_command_prints_the_status(interface, run_client):
    text, _ = run_client("status", at=interface[1:], model="pixels")
    assert text.startswith("pixels version 1: AVAILABLE\n")
    inputs, outputs = "label int32 (batch), seed int64 (batch)", "(batch, 4, 5, 3)"
    assert f"  sample: {inputs} -> images uint8 {outputs}\n" in text


@pytest.mark.parametrize(
    "arguments, code, text",
    [
        (
            ["--url", "http://127.0.0.1:9", "--retries", 0],
            1,
            "9/v1/models/vae; is genimg-serve running? (attempts: 1)",
        ),
        (["--url", "127.0.0.1:9"], 1, "must begin with http"),
        (["--grpc", "127.0.0.1:9", "--retries", 0], 1, "gRPC UNAVAILABLE"),
        (["--retries", "-1"], 2, "not an integer from 0"),
        (["--timeout", "nan"], 2, "float above 0 value: 'nan'"),
        (["--version", "1", "--version-label", "a"], 2, "not allowed with"),
    ],
)
def test_command_fails_in_one_line(arguments, code, text, run_client):
    _, errors = run_client("status", at=arguments, code=code)
    assert text in errors.splitlines()[-1]
    assert code == 2 or errors.count("\n") == 1


def test_command_by_rest_needs_no_tensorflow(server, tmp_path):
    path = block(tmp_path, "tensorflow", "tensorflow_serving", "grpc")
    out = tmp_path / "out"
    command = ("-m", "genimg_export.client", "--url", server.address, "--model", "vae")
    run_python(*command, "sample", "--output", out, cwd=tmp_path, PYTHONPATH=path)
    assert len(pictures(out)) == 16
