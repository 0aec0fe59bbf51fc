"""Counts of the kernels that a program launches on a GPU.

On the CPU, where nothing is launched, the counts are those of the operations that run.
"""

import pathlib
import tempfile

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

# Events on a GPU's streams that are no kernels.
_COPIES = ("Memcpy", "Memset")


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
        planes = [
            plane
            for path in pathlib.Path(folder).rglob("*.xplane.pb")
            for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes
        ]
    on_gpu = (p for p in planes if p.name.startswith("/device:GPU:"))
    on_cpu = (p for p in planes if p.name == "/host:CPU")
    if device == "gpu":
        count = sum(_is_kernel(name) for p in on_gpu for name in _names(p, "Stream"))
    else:
        count = sum(_is_operation(name) for p in on_cpu for name in _names(p))
    return _some(count, "TensorFlow's")


def torch_launches(run, device):
    """Return how many kernels one call of a PyTorch program launches.

    Args:
        run: Function without arguments that waits for its results, called before.
        device: `"gpu"` or `"cpu"`.

    Raises:
        RuntimeError: If the profiler saw none.
    """
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU]
    if device == "gpu":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        run()
    events = profiler.events()
    if device == "gpu":
        on_gpu = (e for e in events if e.device_type == DeviceType.CUDA)
        return _some(sum(_is_kernel(e.name) for e in on_gpu), "PyTorch's")
    # Operations call others; those that call none do the work.
    leaves = (e for e in events if e.name.startswith("aten::") and not e.cpu_children)
    return _some(sum(1 for _ in leaves), "PyTorch's")


def _names(plane, line_prefix=""):
    for line in plane.lines:
        if line.name.startswith(line_prefix):
            for event in line.events:
                yield plane.event_metadata[event.metadata_id].name


def _is_kernel(name):
    return not name.startswith(_COPIES)


def _is_operation(name):
    """Return whether an event of the CPU is an operation, `name:Op` or XLA's."""
    node, _, op = name.rpartition(":")
    return bool(node) and op.isidentifier()


def _some(count, whose):
    if not count:
        raise RuntimeError(
            f"{whose} profiler saw nothing run. On a GPU it needs the right to count, "
            f"and NVIDIA's CUPTI: pip install 'tensorflow[and-cuda]'."
        )
    return count
