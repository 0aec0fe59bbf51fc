"""The benchmarks run and their programs agree; timings are not tested."""

import importlib
import json
import shlex
import shutil

import pytest
import tensorflow as tf

from tests.subprocesses import run_python


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs a benchmark and returns its tables.

    It runs in this process, to save the imports.
    """
    level = tf.get_logger().level

    def run(name, *options):
        program = importlib.import_module(f"tests.benchmarks.{name}")
        path = tmp_path / "rows.json"
        monkeypatch.setattr("sys.argv", [name, "--json", str(path), *options])
        program.main()
        return list(json.loads(path.read_text())["tables"].values())

    yield run
    tf.get_logger().setLevel(level)


@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.parametrize(
    "command, num_tables, peers",
    [
        ("scans", 3, ["keras.layers.RNN loop", "tf.while_loop, automatic gradients"]),
        # Not "row", which runs the same code as "diagonal".
        (
            "sampling --family PixelCNN 'PixelRNN, diagonal'",
            4,
            ["one model.predict per pixel (keras.io)"],
        ),
        ("draw", 5, ["plain TensorFlow, unrolled", "without: keras.Model by hand"]),
        ("lone", 1, ["PixelRNN/mnist_row_7x16", "PixelCNN/mnist"]),
        ("mixture", 1, ["Categorical", "DiscretizedLogisticMixture"]),
        ("orders", 1, ["log_prob, 4 images", "generate, 4 images"]),
        (
            "steps --family GatedPixelCNN DRAW",
            2,
            ["plain TensorFlow", "products alone"],
        ),
        # Two replicas run in a new process.
        (
            "training --family VAE --policy mixed_bfloat16 --replicas 1 2",
            1,
            ["fit", "steps on one batch in memory", "reading the data set"],
        ),
    ],
)
def test_benchmark_runs(command, num_tables, peers, run, capsys):
    tables = run(*shlex.split(command), "--quick")
    assert len(tables) == capsys.readouterr().out.count("### ") == num_tables
    rows = sum(tables, [])
    assert {row["program"] for row in rows} >= set(peers)
    assert all(row["ms"] > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.weekly
def test_every_client_of_the_server_gets_its_images(run):
    for package in ("fastapi", "requests", "uvicorn"):
        pytest.importorskip(package, reason='needs the extra "serving"')
    (rows,) = run("serving", "--quick")
    loads = [row for row in rows if row["merged in the graph"] in ("no", "yes")]
    assert len(loads) == 2
    for row in loads:
        assert row["wrong"] == row["refused"] == row["dropped"] == 0
        assert row["images"] > 4


@pytest.mark.slow
def test_steps_of_presets_are_counted(run):
    names = "PixelCNN/digits", "PixelRNN/digits_diagonal"
    (rows,) = run("presets", "--quick", "--only", *names)
    for row in rows:
        # Forward pass and two gradients. Kernels lose rows, and diagonals are padded.
        every = 3 * 2 * row["weights"] * 8 * 8 * row["batch"] / 1e9
        assert 0.5 * every < row["1e9 operations"] < 2 * every
        assert row["GiB"] > 4 * 4 * row["weights"] / 2**30
    assert rows[1]["GiB, recompute"] < rows[1]["GiB"]


@pytest.mark.slow
@pytest.mark.weekly
def test_gpu_benchmark_counts_on_the_cpu(tmp_path):
    """In a new process, in which PyTorch's compiler is imported first."""
    path = tmp_path / "rows.json"
    command = ["-m", "tests.benchmarks.gpu", "--quick", "--json", path]
    out = run_python(*command, timeout=None, CUDA_VISIBLE_DEVICES="-1")
    layer, step, sampling = json.loads(path.read_text())["tables"].values()
    assert all(row["ms"] > 0 for row in (*step, *sampling))
    # One call takes nine steps forward and nine backward. XLA fuses operations.
    launches = {row["program"]: row["operations"] for row in layer}
    assert launches["keras_genimg"] > 9 * 20
    assert launches["keras_genimg"] > 2 * launches["keras_genimg, XLA"] > 0
    assert f"{launches['keras_genimg']:,} |" in out
    assert "PyTorch, eager loop" in launches or "PyTorch is not installed" in out


def test_gpu_benchmark_needs_a_gpu(run):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(SystemExit, match="no GPU: .* add --quick"):
        run("gpu")


@pytest.mark.slow
@pytest.mark.weekly
def test_merged_and_unmerged_requests_get_their_images(run):
    server = shutil.which("tensorflow_model_server")
    if server is None:
        pytest.skip("needs tensorflow_model_server")
    ((row,),) = run("merging", "--quick", "--server", server)
    assert row["wrong, refused or dropped"] == 0
    assert row["lowest"] > 0
