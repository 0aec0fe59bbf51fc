"""Counts of the kernels that a program launches on a GPU.

On the CPU, where nothing is launched, the counts are those of the operations that run.
"""

import pathlib
import tempfile

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2


def tensorflow_launches(run, device):
    """Return how many kernels one call of a TensorFlow program launches.

    Args:
        run: Function without arguments that waits for its results, called before.
        device: `"gpu"` or `"cpu"`.

    Raises:
        RuntimeError: If the profiler saw none.
    """
    # The highest level, since small operations count too.
    options = tf.profiler.experimental.ProfilerOptions(
        host_tracer_level=3 if device == "cpu" else 1
    )
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options):
            run()
        spaces = [
            xplane_pb2.XSpace.FromString(path.read_bytes())
            for path in pathlib.Path(folder).rglob("*.xplane.pb")
        ]
    on_gpu = device == "gpu"
    names = [
        plane.event_metadata[event.metadata_id].name
        for space in spaces
        for plane in space.planes
        if plane.name.startswith("/device:GPU:" if on_gpu else "/host:CPU")
        for line in plane.lines
        if line.name.startswith("Stream" if on_gpu else "")
        for event in line.events
    ]
    return _count(filter(_is_kernel if on_gpu else _is_operation, names), "TensorFlow")


def torch_launches(run, device):
    """Return how many a PyTorch program launches, see `tensorflow_launches`."""
    from torch.autograd import DeviceType
    from torch.profiler import profile

    with profile() as profiler:  # It profiles all devices that this PyTorch supports.
        run()
    events = profiler.events()
    if device == "gpu":
        names = [e.name for e in events if e.device_type == DeviceType.CUDA]
        return _count(filter(_is_kernel, names), "PyTorch")
    # Operations call others; those that call none do the work.
    leaves = (e for e in events if e.name.startswith("aten::") and not e.cpu_children)
    return _count(leaves, "PyTorch")


def _is_kernel(name):
    """Return whether an event of a GPU's stream is a kernel."""
    return not name.startswith(("Memcpy", "Memset"))


def _is_operation(name):
    """Return whether an event of the CPU is an operation, `name:Op` or XLA's."""
    node, _, op = name.rpartition(":")
    return bool(node) and op.isidentifier()


def _count(events, whose):
    count = len(list(events))
    if not count:
        raise RuntimeError(
            f"the profiler of {whose} saw nothing run. On a GPU it needs the right to "
            f"count, and NVIDIA's CUPTI: pip install 'tensorflow[and-cuda]'."
        )
    return count
