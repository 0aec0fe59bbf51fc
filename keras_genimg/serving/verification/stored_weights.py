"""Weights in the variable files of a SavedModel."""

import hashlib
import math
import os

import tensorflow as tf

VARIABLES = os.path.join("variables", "variables")
SLACK = 256  # Bytes of states and the like that no signature reads.


def weights_fault(directory, read_bytes):
    """Return whether weights are missing or stored twice, and a message.

    Args:
        directory: Path of the SavedModel.
        read_bytes: Size in bytes of the variables that signatures read.
    """
    prefix = os.path.join(directory, VARIABLES)
    if not os.path.exists(f"{prefix}.index"):
        missing = f"there is no {VARIABLES}.index; signatures read {read_bytes} bytes"
        return read_bytes > 0, missing
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    stored, copies, seen = 0, 0, set()
    for name, dtype in sorted(reader.get_variable_to_dtype_map().items()):
        if dtype == tf.string:
            continue
        size = dtype.size * math.prod(shapes[name])
        stored += size
        value = reader.get_tensor(name)  # Fails if the file is damaged.
        if size and (value != value.flat[0]).any():  # Constants may repeat.
            digest = hashlib.sha256(value.tobytes()).digest()
            key = (dtype, *shapes[name], digest)
            copies += size * (key in seen)
            seen.add(key)
    described = f"{stored} bytes of weights stored, {read_bytes} read by signatures"
    if stored > 1.1 * read_bytes + SLACK or copies > stored / 4 + SLACK:
        return True, f"stored twice or never read: {described}, {copies} are copies"
    return False, described
