"""A layer, a training step and sampling on a GPU, against PyTorch.

    python -m tests.benchmarks.gpu

Times one DiagonalBiLSTM, forward and backward, a training step of a PixelRNN of seven
such layers, and drawing 28x28 images from it, and counts the kernels that each program
launches. The PyTorch programs compute the same from the same weights, eagerly and with
`torch.compile`, and are checked to agree. The last one has a `torch.nn.LSTM` over the
rows of a map instead of each layer: cuDNN's fused LSTM, which computes less, since a
pixel sees nothing of the rows above.

All programs compute in full float32. Times end when the GPU is done; maps and gradients
stay there. Without a GPU, `--device cpu` runs tiny sizes, to see that the script runs.
"""

import contextlib
import sys

if "tensorflow" not in sys.modules:
    # The LLVM of PyTorch's compiler ends the process if TensorFlow's is loaded before.
    with contextlib.suppress(ImportError):
        import torch._dynamo  # noqa: F401

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.layers import DiagonalBiLSTM
from keras_genimg.ops.devices import full_float32
from tests.benchmarks import sampling, scans
from tests.benchmarks.launches import tensorflow_launches, torch_launches
from tests.benchmarks.timing import (
    NOTE,
    OURS,
    XLA,
    Benchmark,
    Program,
    check_agreement,
    compared,
    installed,
)
from tests.gpu.placement import on
from tests.sampling.drawn import TIE, assert_ancestral

SEGMENTS = ", 4 segments"
LEARNING_RATE = 1e-3
TOLERANCE = 1e-4  # Of losses after the same steps, relative.


class Machine:
    """The device of all programs, with the peers that run on it.

    Args:
        benchmark: The `Benchmark`, with the options `device` and `skip_compiled`.

    Attributes:
        peers: Names of PyTorch's programs.
        same: Those that compute what ours compute.
        torch: The module of PyTorch's programs; None if they are left out.
        torch_device: PyTorch's device, to make its programs within.
    """

    def __init__(self, benchmark):
        self.benchmark, self.device = benchmark, benchmark.options.device
        self.peers, self.same, self.torch = [], [], None
        self.torch_device = contextlib.nullcontext()
        self.uncounted = []
        if self.device == "gpu" and not tf.config.list_physical_devices("GPU"):
            sys.exit(
                "no GPU: TensorFlow sees none, so nothing was measured. To see that "
                "the script runs, add --device cpu."
            )
        if not installed("torch"):
            return
        import torch

        if self.device == "gpu" and not torch.cuda.is_available():
            print("PyTorch sees no GPU, so its programs are left out.")
            return
        from tests.benchmarks import torch_peers

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.torch = torch_peers
        self.torch_device = torch.device("cuda" if self.device == "gpu" else "cpu")
        skipped = benchmark.options.skip_compiled
        self.peers = [n for n in torch_peers.LSTMS if not (skipped and "compile" in n)]
        self.same = [name for name in self.peers if name != torch_peers.ROWS]

    def name(self):
        """Return the name of the device that TensorFlow uses."""
        if self.device == "cpu":
            return "the CPU, at tiny sizes: these times mean nothing"
        gpu = tf.config.list_physical_devices("GPU")[0]
        details = tf.config.experimental.get_device_details(gpu)
        return details.get("device_name", gpu.name)

    def synchronize(self, name):
        """Wait until all that a program launched is done."""
        if name not in self.peers:
            tf.test.experimental.sync_devices()
        elif self.device == "gpu":
            import torch

            torch.cuda.synchronize()

    def rows(self, steps, size, scale=1.0):
        """Time programs and count their launches; return the table's rows.

        Args:
            steps: Dict of functions by name.
            size: Text of the sizes.
            scale: What the peers' time is multiplied with, if they do only a part.
        """

        def program(name, step):
            def run():
                step()
                self.synchronize(name)

            is_part = scale > 1 and name in self.peers
            return Program(run, scale if is_part else 1.0, slow=is_part)

        programs = {name: program(name, step) for name, step in steps.items()}
        timings, _ = self.benchmark.time(programs, slow_rounds=3)
        rows = compared(timings, size)
        for row in rows:
            if row["program"] in self.peers:
                self.uncounted.append((row, programs[row["program"]]))
            else:
                self.count_launches(row, programs[row["program"]], tensorflow_launches)
        return rows

    def count_launches(self, row, program, count):
        """Add the number of kernels that the program of a row launches."""
        try:
            launches = round(count(program.run, self.device) * program.scale)
        except RuntimeError as error:
            launches = None
            print(f"{row['program']}: {error}", flush=True)
        row["kernels" if self.device == "gpu" else "operations"] = launches

    def count_rest(self):
        """Count the launches of PyTorch's programs, after all of TensorFlow's.

        NVIDIA's CUPTI serves one profiler, and PyTorch's does not let go of it.
        """
        for row, program in self.uncounted:
            self.count_launches(row, program, torch_launches)


def layer_rows(machine, side):
    """Return the rows of one layer, forward and backward."""
    rows = []
    quick = machine.benchmark.options.quick
    for units, batch in [(3, 2)] if quick else [*scans.SIZES, (128, 16)]:
        layer, inputs, projection = scans.random_case("diagonal", units, batch, side)
        steps = scans.our_steps(layer, inputs, projection)
        in_segments = DiagonalBiLSTM(units, num_segments=4)
        in_segments.build(inputs.shape)
        in_segments.set_weights(layer.get_weights())
        steps[OURS + SEGMENTS] = scans.our_steps(in_segments, inputs, projection)[OURS]
        arrays = {weight.name: weight.numpy() for weight in layer.weights}
        given = inputs, arrays, projection
        with machine.torch_device:
            for name in machine.peers:
                lstm = machine.torch.LSTMS[name]
                steps[name] = machine.torch.layer_step(lstm, *given)
        same = {k: steps[k]() for k in steps if k not in machine.peers}
        same |= {k: steps[k]() for k in machine.same}
        check_agreement(same, scans.TOLERANCE)
        rows += machine.rows(steps, f"h={units}, batch {batch}")
    return rows


def our_training_step(model, images, jit_compile):
    """Return a function that takes a step of Adam and returns the loss before it.

    It trains a copy of the model.
    """
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    copy.compile(keras.optimizers.Adam(LEARNING_RATE), jit_compile=jit_compile)
    return lambda: copy.train_on_batch(images, return_dict=True)["loss"]


def step_rows(machine, side):
    """Return the rows of a training step, from images to updated weights."""
    rows = []
    quick = machine.benchmark.options.quick
    for batch in (2,) if quick else (16, 64):
        model = sampling.make_model("diagonal", side, quick)
        images = sampling.binary_images(batch, side)
        steps = {
            name: our_training_step(model, images, name != OURS)
            for name in (OURS, OURS + XLA)
        }
        given = images, LEARNING_RATE
        with machine.torch_device:
            for name in machine.peers:
                steps[name] = machine.torch.training_step(model, name, *given)
        same = [OURS, OURS + XLA, *machine.same]
        losses = {name: [float(steps[name]()) for _ in range(3)] for name in same}
        for name, values in losses.items():
            np.testing.assert_allclose(values, losses[OURS], TOLERANCE, err_msg=name)
        print(f"{len(same)} programs have the same losses in three steps", flush=True)
        rows += machine.rows(steps, f"batch {batch}")
    return rows


def sampling_rows(machine, side):
    """Return the rows of drawing images; PyTorch draws the first pixels."""
    rows = []
    quick = machine.benchmark.options.quick
    pixels = 3 if quick else 20
    for batch in (2,) if quick else (1, 64):
        model = sampling.make_model("diagonal", side, quick)
        steps = sampling.our_programs(model, batch)
        for step in steps.values():
            assert_ancestral(model, drawn := step(), slack=TIE)
        uniforms = sampling.uniforms_of(batch, side).numpy()
        given = uniforms, pixels
        with machine.torch_device:
            for name in machine.peers:
                steps[name] = machine.torch.pixel_sampler(model, name, *given)
        for name in machine.same:
            sampling.check_first_pixels(steps[name]().cpu(), drawn, pixels)
        rows += machine.rows(steps, f"batch {batch}", side**2 / pixels)
    return rows


PARTS = {
    "layer": ("One DiagonalBiLSTM, forward and backward", layer_rows),
    "step": ("A training step of a PixelRNN of 7 diagonal layers, h=16", step_rows),
    "sampling": ("Drawing images from a PixelRNN of 7 layers, h=16", sampling_rows),
}


def main():
    benchmark = Benchmark(__doc__)
    add = benchmark.parser.add_argument
    add("--device", choices=("gpu", "cpu"), default="gpu")
    add("--part", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    skipped = "leave out torch.compile, which takes minutes per size"
    add("--skip-compiled", action="store_true", help=skipped)
    options = benchmark.start()
    options.quick |= options.device == "cpu"
    machine = Machine(benchmark)
    benchmark.machine["device"] = machine.name()
    print(f"Device: {machine.name()}")
    side = 5 if options.quick else 28
    with on(options.device.upper()), full_float32():
        tables = [
            (title, rows_of(machine, side))
            for part, (title, rows_of) in PARTS.items()
            if part in options.part
        ]
        machine.count_rest()
    for title, rows in tables:
        size = f"tiny, {side}x{side}" if options.quick else f"{side}x{side}"
        benchmark.table(f"{title}, {size}", rows, NOTE)


if __name__ == "__main__":
    main()
