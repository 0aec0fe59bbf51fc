"""A layer, a training step and sampling on a GPU, against PyTorch.

    python -m tests.benchmarks.gpu

Times one DiagonalBiLSTM, forward and backward, a training step of a PixelRNN of seven
such layers, and drawing 28x28 images from it, and counts the kernels that each program
launches. The PyTorch programs compute the same from the same weights, eagerly and with
`torch.compile`, and are checked to agree.

All programs compute in full float32. Times end when the GPU is done; maps and gradients
stay there. Without a GPU, `--quick` runs on the CPU, to see that the script runs.
"""

import contextlib
import functools
import sys

if "tensorflow" not in sys.modules:
    # The LLVM of PyTorch's compiler ends the process if TensorFlow's is loaded before.
    with contextlib.suppress(ImportError):
        import torch._dynamo  # noqa: F401

import numpy as np
import tensorflow as tf

from keras_genimg.layers import DiagonalBiLSTM
from keras_genimg.ops.devices import full_float32
from tests.benchmarks import sampling, scans, timing
from tests.benchmarks.launches import tensorflow_launches, torch_launches
from tests.benchmarks.timing import NOTE, OURS, XLA
from tests.sampling.drawn import TIE, assert_ancestral

if timing.installed("torch"):
    import torch

    from tests.benchmarks import torch_peers

SEGMENTS = ", 4 segments"
FAMILY = "PixelRNN, diagonal"
TOLERANCE = 1e-4  # Relative difference of losses after the same steps.


class Machine:
    """The device of all programs, with the peers that run on it.

    Args:
        benchmark: The `Benchmark`, with the option `skip_compiled`.

    Attributes:
        device: `"gpu"`, or `"cpu"` without one.
        name: Name of the device.
        lstms: Layers of PyTorch's programs by their names; none if they are left out.
    """

    def __init__(self, benchmark):
        self.benchmark, self.lstms, self.uncounted = benchmark, {}, []
        self.torch_device = contextlib.nullcontext()
        self.device, self.name = "cpu", "the CPU: these times mean nothing"
        if gpus := tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(gpus[0])
            self.device, self.name = "gpu", details.get("device_name", gpus[0].name)
        elif not benchmark.options.quick:
            sys.exit(
                "no GPU: TensorFlow sees none, so nothing was measured. To see that "
                "the script runs, add --quick."
            )
        if not timing.installed("torch"):
            return
        if gpus and not torch.cuda.is_available():
            print("PyTorch sees no GPU, so its programs are left out.")
            return
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.torch_device = torch.device("cuda" if gpus else "cpu")
        self.lstms = dict(torch_peers.LSTMS)
        if benchmark.options.skip_compiled:
            del self.lstms[torch_peers.COMPILED]

    def run(self, name, step):
        """Run a program until all that it launched is done."""
        step()
        if name not in self.lstms:
            tf.test.experimental.sync_devices()
        elif self.device == "gpu":
            torch.cuda.synchronize()

    def rows(self, steps, size, scale=1.0):
        """Time programs; return the table's rows.

        The time of peers, if they do only a part, is multiplied with `scale`.
        """
        programs = {}
        for name, step in steps.items():
            run = functools.partial(self.run, name, step)
            is_part = scale > 1 and name in self.lstms
            own = {"scale": scale, "slow": True} if is_part else {}
            programs[name] = timing.Program(run, **own)
        timings, _ = self.benchmark.time(programs, slow_rounds=3)
        rows = timing.compared(timings, size)
        self.uncounted += [(row, programs[row["program"]]) for row in rows]
        return rows

    def count_launches(self):
        """Add the number of kernels that its program launches to each row.

        Programs of TensorFlow come first: NVIDIA's CUPTI serves one profiler, and
        PyTorch's does not let go of it.
        """
        self.uncounted.sort(key=lambda each: each[0]["program"] in self.lstms)
        for row, program in self.uncounted:
            name = row["program"]
            count = torch_launches if name in self.lstms else tensorflow_launches
            try:
                launches = round(count(program.run, self.device) * program.scale)
            except RuntimeError as error:
                launches = None
                print(f"{name}: {error}", flush=True)
            row["kernels" if self.device == "gpu" else "operations"] = launches


def layer_rows(machine, side, quick):
    """Return the rows of one layer, forward and backward."""
    rows = []
    for units, batch in [(3, 2)] if quick else [*scans.SIZES, (128, 16)]:
        layer, inputs, projection = scans.random_case("diagonal", units, batch, side)
        steps = scans.our_steps(layer, inputs, projection)
        in_segments = DiagonalBiLSTM(units, num_segments=4)
        in_segments.build(inputs.shape)
        in_segments.set_weights(layer.get_weights())
        steps[OURS + SEGMENTS] = scans.our_steps(in_segments, inputs, projection)[OURS]
        arrays = {weight.name: weight.numpy() for weight in layer.weights}
        with machine.torch_device:
            for name, lstm in machine.lstms.items():
                steps[name] = torch_peers.layer_step(lstm, inputs, arrays, projection)
        results = {name: step() for name, step in steps.items()}
        timing.check_agreement(results, scans.TOLERANCE)
        rows += machine.rows(steps, f"h={units}, batch {batch}")
    return rows


def our_training_step(model, images, jit_compile):
    """Return a function that takes a step of Adam and returns the loss before it.

    It trains a copy of the model.
    """
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    copy.compile("adam", jit_compile=jit_compile)
    return lambda: copy.train_on_batch(images, return_dict=True)["loss"]


def step_rows(machine, side, quick):
    """Return the rows of a training step, from images to updated weights."""
    rows = []
    for batch in (2,) if quick else (16, 64):
        model = sampling.make_model(FAMILY, side, quick)
        images = timing.binary_images(batch, side)
        steps = {
            name: our_training_step(model, images, name != OURS)
            for name in (OURS, OURS + XLA)
        }
        with machine.torch_device:
            for name, lstm in machine.lstms.items():
                steps[name] = torch_peers.training_step(lstm, model, images)
        losses = {k: [float(step()) for _ in range(3)] for k, step in steps.items()}
        for name, values in losses.items():
            np.testing.assert_allclose(values, losses[OURS], TOLERANCE, err_msg=name)
        print(f"{len(steps)} programs have the same losses in three steps", flush=True)
        rows += machine.rows(steps, f"batch {batch}")
    return rows


def sampling_rows(machine, side, quick):
    """Return the rows of drawing images; PyTorch draws the first pixels."""
    rows = []
    pixels = 3 if quick else 20
    for batch in (2,) if quick else (1, 64):
        model = sampling.make_model(FAMILY, side, quick)
        steps = sampling.our_programs(model, batch)
        for step in steps.values():
            assert_ancestral(model, drawn := step(), slack=TIE)
        uniforms = sampling.uniforms_of(batch, side).numpy()
        with machine.torch_device:
            for name, lstm in machine.lstms.items():
                steps[name] = torch_peers.pixel_sampler(lstm, model, uniforms, pixels)
                sampling.check_first_pixels(steps[name]().cpu(), drawn, pixels)
        rows += machine.rows(steps, f"batch {batch}", side**2 / pixels)
    return rows


TABLES = {
    "One DiagonalBiLSTM, forward and backward": layer_rows,
    "A training step of a PixelRNN of 7 diagonal layers, h=16": step_rows,
    "Drawing images from a PixelRNN of 7 layers, h=16": sampling_rows,
}


def main():
    benchmark = timing.Benchmark(__doc__)
    skipped = "leave out torch.compile, which takes minutes per size"
    benchmark.parser.add_argument("--skip-compiled", action="store_true", help=skipped)
    quick = benchmark.start().quick
    machine = Machine(benchmark)
    benchmark.machine["device"] = machine.name
    print(f"Device: {machine.name}")
    side = 5 if quick else 28
    with full_float32():
        tables = {name: make(machine, side, quick) for name, make in TABLES.items()}
        machine.count_launches()
    for title, rows in tables.items():
        size = f"tiny, {side}x{side}" if quick else f"{side}x{side}"
        benchmark.table(f"{title}, {size}", rows, NOTE)


if __name__ == "__main__":
    main()
