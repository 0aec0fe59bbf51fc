"""A layer, a training step and sampling on a GPU, against PyTorch.

    python -m tests.benchmarks.gpu

Times one DiagonalBiLSTM, forward and backward, a training step of a PixelRNN of seven
such layers, and drawing 28x28 images from it, and counts the kernels that each program
launches. The PyTorch programs compute the same from the same weights, eagerly and with
`torch.compile`, and are checked to agree. The last one has a `torch.nn.LSTM` over the
rows of a map in place of each layer: cuDNN's fused LSTM, which computes less, since a
pixel sees nothing of the rows above.

All programs compute in full float32. Times end when the GPU is done; maps and gradients
stay there. Without a GPU, `--device cpu` runs tiny sizes, to see that the script runs.
"""

import dataclasses
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # PyTorch needs some too.

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_genimg.layers import DiagonalBiLSTM  # noqa: E402
from keras_genimg.ops.devices import full_float32  # noqa: E402
from tests.benchmarks import sampling, scans  # noqa: E402
from tests.benchmarks.launches import (  # noqa: E402
    tensorflow_launches,
    torch_launches,
)
from tests.benchmarks.timing import (  # noqa: E402
    Program,
    Row,
    installed,
    parser,
    print_header,
    print_table,
    print_unsteady,
    time_programs,
    write_json,
)
from tests.gpu.placement import on  # noqa: E402

PARTS = ("layer", "step", "sampling")
OURS = "keras_genimg"
XLA = ", XLA"
SEGMENTS = ", 4 segments"
LEARNING_RATE = 1e-3
# Losses of two programs after the same steps, relative.
TOLERANCE = 1e-4


@dataclasses.dataclass
class LaunchRow(Row):
    """A row with the number of kernels that a call launches, added to `size` too."""

    launches: int | None = None


@dataclasses.dataclass
class Machine:
    """The device of all programs.

    Attributes:
        device: `"gpu"` or `"cpu"`.
        torch: PyTorch's programs, or None if they are left out.
        torch_device: PyTorch's name of the device.
        skips_compiled: Whether `torch.compile` is left out.
        uncounted: List of arguments of `count_launches`, see `count_rest`.
    """

    device: str
    torch: object = None
    torch_device: str = "cpu"
    skips_compiled: bool = False
    uncounted: list = dataclasses.field(default_factory=list)

    def peers(self):
        """Return the names of PyTorch's programs."""
        if not self.torch:
            return []
        left_out = [self.torch.COMPILED] if self.skips_compiled else []
        return [name for name in self.torch.LSTMS if name not in left_out]

    def computes_the_same(self, name):
        """Return whether a program computes what ours compute."""
        return not self.torch or name != self.torch.ROWS

    def program(self, name, step, scale=1.0, slow=False):
        """Return a program that runs a step and waits until the device is done."""
        if name in self.peers():
            wait = lambda: self.torch.synchronize(self.torch_device)  # noqa: E731
        else:
            wait = tf.test.experimental.sync_devices

        def run():
            step()
            wait()

        return Program(run, scale, slow)

    def count_launches(self, row, program):
        """Add the number of kernels that the program of a row launches."""
        count = torch_launches if row.program in self.peers() else tensorflow_launches
        unit = "kernels" if self.device == "gpu" else "operations"
        try:
            row.launches = round(count(program.run, self.device) * program.scale)
        except RuntimeError as error:
            print(f"{row.program}: {error}", flush=True)
        known = "unknown" if row.launches is None else f"{row.launches:,}"
        row.size += f": {known} {unit}"

    def count_rest(self):
        """Count the launches of PyTorch's programs, after all of TensorFlow's.

        NVIDIA's CUPTI serves one profiler, and PyTorch's does not let go of it.
        """
        while self.uncounted:
            self.count_launches(*self.uncounted.pop(0))


def find_machine(device):
    """Return the `Machine`, or end the script if there is no such device."""
    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        sys.exit(
            "no GPU: TensorFlow sees none, so nothing was measured. To see that the "
            "script runs, add --device cpu."
        )
    machine = Machine(device)
    if not installed("torch"):
        print(
            "PyTorch is not installed, so its programs are left out. To compare, "
            "install the extra `benchmarks`."
        )
        return machine
    import torch

    if device == "gpu" and not torch.cuda.is_available():
        print("PyTorch sees no GPU, so its programs are left out.")
        return machine
    from tests.benchmarks import gpu_torch_peers

    machine.torch = gpu_torch_peers
    machine.torch_device = gpu_torch_peers.use_device(device)
    return machine


def device_name(device):
    """Return the name of the device that TensorFlow uses."""
    if device == "cpu":
        return "the CPU, at tiny sizes: these times mean nothing"
    gpu = tf.config.list_physical_devices("GPU")[0]
    return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)


def rows_of(programs, size, machine, timing_options):
    """Time programs and count their launches; return the table's rows."""
    timings, _ = time_programs(programs, **timing_options)
    print_unsteady(timings)
    first = ", ".join(f"{k} {t.first_call:.1f} s" for k, t in timings.items())
    print(f"{size}: first calls after the checks: {first}", flush=True)
    ours, ours_xla = timings[OURS].median, timings[OURS + XLA].median
    rows = []
    for name, timing in timings.items():
        note = "" if name in (OURS, OURS + XLA) else "Its time over ours."
        if programs[name].scale > 1:
            note += " Extrapolated from the first pixels."
        row = LaunchRow(
            name,
            size,
            timing.median,
            ratio=None if XLA in name else timing.median / ours,
            xla_ratio=None if name == OURS else timing.median / ours_xla,
            note=note,
        )
        rows.append(row)
        if name in machine.peers():
            machine.uncounted.append((row, programs[name]))
        else:
            machine.count_launches(row, programs[name])
    return rows


def layer_rows(units, batch, size, machine, timing_options):
    """Return the rows of one layer, forward and backward."""
    layer, inputs, projection = scans.random_layer("diagonal", units, batch, size)
    in_segments = DiagonalBiLSTM(units, num_segments=4)
    in_segments.build(inputs.shape)
    in_segments.set_weights(layer.get_weights())
    steps = {
        OURS: scans.our_step(layer, inputs, projection, False),
        OURS + SEGMENTS: scans.our_step(in_segments, inputs, projection, False),
        OURS + XLA: scans.our_step(layer, inputs, projection, True),
    }
    weights = scans.peer_weights(layer)
    for name in machine.peers():
        steps[name] = machine.torch.layer_step(
            name, inputs, weights, projection, machine.torch_device
        )
    same = {k: step() for k, step in steps.items() if machine.computes_the_same(k)}
    worst = scans.check_agreement(same)
    print(f"{len(same)} programs agree to {worst:.1g}", flush=True)
    programs = {name: machine.program(name, step) for name, step in steps.items()}
    size = f"h={units}, batch {batch}"
    return rows_of(programs, size, machine, timing_options)


def our_training_step(model, images, jit_compile):
    """Return a function that takes a step of Adam and returns the loss before it.

    It trains a copy of the model.
    """
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    copy.compile(keras.optimizers.Adam(LEARNING_RATE), jit_compile=jit_compile)
    return lambda: copy.train_on_batch(images, return_dict=True)["loss"]


def check_losses(steps):
    """Fail unless all programs have the same losses in their first three steps."""
    losses = {name: [float(step()) for _ in range(3)] for name, step in steps.items()}
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses[OURS], TOLERANCE, err_msg=name)
    first, *_, last = losses[OURS]
    print(
        f"{len(losses)} programs have the same losses in three steps, {first:.2f} to "
        f"{last:.2f} nats",
        flush=True,
    )


def step_rows(batch, size, quick, machine, timing_options):
    """Return the rows of a training step, from images to updated weights."""
    model = sampling.make_model("diagonal", size, quick)
    images = np.random.default_rng(0).integers(0, 2, (batch, size, size, 1))
    images = images.astype("float32")
    steps = {
        OURS: our_training_step(model, images, False),
        OURS + XLA: our_training_step(model, images, True),
    }
    for name in machine.peers():
        steps[name] = machine.torch.training_step(
            model, name, images, LEARNING_RATE, machine.torch_device
        )
    check_losses({k: s for k, s in steps.items() if machine.computes_the_same(k)})
    programs = {name: machine.program(name, step) for name, step in steps.items()}
    return rows_of(programs, f"batch {batch}", machine, timing_options)


def sampling_rows(batch, size, pixels, quick, machine, timing_options):
    """Return the rows of drawing images; PyTorch draws the first pixels."""
    model = sampling.make_model("diagonal", size, quick)
    steps = {
        name: sampling.generator(model, batch, "incremental", name != OURS)
        for name in (OURS, OURS + XLA)
    }
    drawn = {name: step() for name, step in steps.items()}
    expected = drawn[OURS]
    uniforms = sampling.uniforms_of(batch, size).numpy()
    for name in machine.peers():
        steps[name] = machine.torch.pixel_sampler(
            model, name, uniforms, pixels, machine.torch_device
        )
        if machine.computes_the_same(name):
            drawn[name] = steps[name]().cpu().numpy()
    ties = 0
    for name, images in drawn.items():
        known = pixels if name in machine.peers() else size**2
        ties += sampling.check_images(model, images, expected, known, name)
    but = f" except after a tie in {ties} images" if ties else ""
    print(f"{len(drawn)} programs draw the same pixels{but}", flush=True)
    programs = {}
    for name, step in steps.items():
        part = name in machine.peers()
        scale = size**2 / pixels if part else 1.0
        programs[name] = machine.program(name, step, scale, slow=part)
    return rows_of(programs, f"batch {batch}", machine, timing_options)


def main():
    arguments = parser(__doc__.splitlines()[0], rounds=7)
    arguments.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    arguments.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    arguments.add_argument(
        "--skip-compiled",
        action="store_true",
        help="leave out torch.compile, which takes minutes per size",
    )
    options = arguments.parse_args()
    quick = options.quick or options.device == "cpu"
    machine = find_machine(options.device)
    machine.skips_compiled = options.skip_compiled
    timing_options = {
        "rounds": options.rounds or (1 if quick else 7),
        "slow_rounds": 3,
        "turn_seconds": 0 if quick else 0.2,
    }
    header = print_header("GPU")
    header["device"] = device_name(options.device)
    print(f"Device: {header['device']}")
    side = 5 if quick else 28
    shape = f"{side}x{side}"
    model = "a tiny PixelRNN" if quick else sampling.FAMILIES["diagonal"][0]
    tables = []
    with on(options.device.upper()), full_float32():
        if "layer" in options.part:
            sizes = [(3, 2)] if quick else [*scans.SIZES, (128, 16)]
            rows = []
            for units, batch in sizes:
                rows += layer_rows(units, batch, side, machine, timing_options)
            title = f"One DiagonalBiLSTM, forward and backward, {shape}"
            tables.append((title, rows))
        if "step" in options.part:
            rows = []
            for batch in (2,) if quick else (16, 64):
                rows += step_rows(batch, side, quick, machine, timing_options)
            tables.append((f"A training step of {model}, {shape}", rows))
        if "sampling" in options.part:
            rows = []
            for batch in (2,) if quick else (1, 64):
                rows += sampling_rows(
                    batch, side, 3 if quick else 20, quick, machine, timing_options
                )
            tables.append((f"Drawing images from {model}, {shape}", rows))
        machine.count_rest()
    for table in tables:
        print_table(*table)
    if options.json:
        write_json(options.json, header, vars(options), tables)


if __name__ == "__main__":
    main()
