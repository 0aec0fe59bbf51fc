"""Make the bytes of a SavedModel independent of the process that wrote it."""

import copy
import hashlib
import pathlib
import re

from google.protobuf.message import Message
from tensorflow.core.protobuf import saved_model_pb2

COUNTER = re.compile(r"_(\d+)")


def make_canonical(directory):
    """Rewrite the graph of a SavedModel so that equal models have equal bytes.

    TensorFlow numbers functions, captured tensors and gradients with process-wide
    counters. It writes functions, and Protocol Buffers write map entries, in random
    order. Here functions are numbered and listed in the order of their use. Queues get
    a hash of the graph, the weights and the signatures. The graph computes the same as
    before.

    `fingerprint.pb` is removed. It holds a random number and hashes of the old bytes,
    and no loader needs it.

    Args:
        directory: Path of the SavedModel.
    """
    file = pathlib.Path(directory, "saved_model.pb")
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (meta_graph,) = saved.meta_graphs
    _number_functions(meta_graph)
    queues = []
    for function in meta_graph.graph_def.library.function:
        _name_captures(function)
        for node in function.node_def:
            _name_gradient(node)
            if node.op == "BatchFunction":
                queues.append(node.attr["shared_name"])
    digest = hashlib.sha256(saved.SerializeToString(deterministic=True))
    for data in sorted(file.with_name("variables").glob("*")):
        digest.update(data.read_bytes())
    for queue in queues:
        queue.s = digest.hexdigest()[:32].encode() + b"/" + queue.s
    file.write_bytes(saved.SerializeToString(deterministic=True))
    file.with_name("fingerprint.pb").unlink(missing_ok=True)


def _number_functions(meta_graph):
    """Number and list functions in the order of their use."""
    order = _order_of_use(meta_graph.graph_def)
    functions = meta_graph.graph_def.library.function
    functions.sort(key=lambda function: order.index(function.signature.name))
    numbers = {}  # New number by counter and by the name before it.
    for number, name in enumerate(order):
        base, _, counter = name.rpartition("_")
        numbers.setdefault(counter, {})[base] = number

    def new_number(match):
        bases = numbers.get(match[1], {})
        found = [b for b in bases if match.string.endswith(b, 0, match.start())]
        return f"_{bases[max(found, key=len)]}" if found else match[0]

    _rename(meta_graph, new_number)


def _order_of_use(graph):
    """Return the names of all functions, callers before callees."""
    functions = {f.signature.name: f for f in graph.library.function}
    order = used_functions(graph.node, functions)
    # Others belong to functions that only Python calls. In the order in which they were
    # made: the text of the numbers would put 10 before 9.
    return [*order, *sorted(functions.keys() - order.keys(), key=_counter_and_base)]


def used_functions(nodes, functions):
    """Return the functions that nodes of a graph call, by name in the order of use.

    Args:
        nodes: Nodes of the graph or of one of its functions.
        functions: Dict of all functions by name.
    """
    used = {}

    def visit(nodes):
        for node in nodes:
            attrs = [attr for _, attr in sorted(node.attr.items())]
            called = [f.name for attr in attrs for f in (attr.func, *attr.list.func)]
            for name in (node.op, *called):
                if name in functions and name not in used:
                    used[name] = functions[name]
                    visit(functions[name].node_def)

    visit(nodes)
    return used


def _counter_and_base(name):
    base, _, counter = name.rpartition("_")
    return (int(counter), base) if counter.isdecimal() else (-1, name)


def _rename(message, new_number):
    """Renumber functions wherever a message mentions them, also in argument names.

    Args:
        message: Message to change.
        new_number: Function that returns the new text for a match of `COUNTER`.
    """

    def renamed(value):
        if isinstance(value, bytes):
            # Latin-1 maps every byte to a character and back.
            return renamed(value.decode("latin-1")).encode("latin-1")
        return COUNTER.sub(new_number, value) if isinstance(value, str) else value

    serialized = message.SerializePartialToString()
    if renamed(serialized) == serialized:
        return  # Nearly all messages; reading their fields is slow in Python.
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            # A new name may be the old one of another entry.
            entries = {renamed(key): copy.deepcopy(value[key]) for key in value}
            value.clear()
            for key, entry in entries.items():
                if isinstance(entry, Message):
                    _rename(entry, new_number)
                    value[key].CopyFrom(entry)
                else:
                    value[key] = renamed(entry)
        elif field.message_type:
            for item in value if field.is_repeated else [value]:
                _rename(item, new_number)
        elif field.is_repeated:
            value[:] = [renamed(item) for item in value]
        else:
            setattr(message, field.name, renamed(value))


def _name_captures(function):
    """Name captured tensors by their positions instead of a counter."""
    for index, arguments in function.arg_attr.items():
        name = arguments.attr.get("_user_specified_name")
        if name is not None and name.s.isdigit():
            name.s = f"capture_{index}".encode()


def _name_gradient(node):
    """Drop the counter from a gradient, which is not saved and fails when looked up.

    In the process that loads the model, the number could belong to another gradient.
    """
    gradient = node.attr.get("_gradient_op_type")
    if gradient is not None:
        gradient.s = re.sub(rb"-\d+$", b"-unsaved", gradient.s)
