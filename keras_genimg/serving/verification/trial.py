"""Requests to a SavedModel and their outcomes."""

import numpy as np

from keras_genimg.serving.metadata import most_examples
from keras_genimg.serving.verification.c_process import Request, serve
from keras_genimg.serving.verification.probe_inputs import (
    NUM_EXAMPLES,
    described_inputs,
    random_inputs,
    wrong_shapes,
)
from keras_genimg.serving.verification.ranges import values_at_limits, values_in_range
from keras_genimg.serving.verification.recorded_requests import recorded_requests


class Trial:
    """Requests to all plain signatures and their outcomes in a subprocess.

    Each request has a key:

    - `("batch", signature)`: a batch of random examples;
    - `("example", signature, i)`: example `i` of that batch alone;
    - `("changed", signature)`: the batch with all examples but the middle one changed;
    - `("record", i)`: a warm-up record;
    - `("value", signature, input, value, accepted)`: a batch whose last example has one
      value at a limit or outside of it, and whether it must be accepted;
    - `("shape", signature, input, shape)`: an input of a wrong shape.

    Args:
        directory: Path of the SavedModel.
        graph: Its `SavedGraph`.
        metadata: Its metadata, a dict that may be empty.
        timeout: Seconds that the requests may take.
    """

    def __init__(self, directory, graph, metadata, timeout):
        self.directory = directory
        self.graph = graph
        self.metadata = metadata
        self.timeout = timeout
        self.inputs = {}
        self.records = self.record_fault = None
        tried = [s for s in graph.plain_signatures if s.sendable]
        self.requests = {}
        for signature in tried:
            right = self._right(signature)
            self.inputs[signature.name] = right["batch", signature.name].inputs
            self.requests.update(right)
        self.requests.update(self._recorded())
        for make in (self._at_limits, self._misshapen):
            for signature in tried:  # Last, since these may end the process.
                if signature.batched:
                    self.requests.update(make(signature))
        requests = list(self.requests.values())
        self.served = serve(directory, graph.tags, graph.ops, requests, timeout)
        self.outcomes = dict(zip(self.requests, self.served.outcomes, strict=True))

    def num_examples(self, name):
        """Return the size of the batch of a signature."""
        return min(NUM_EXAMPLES, most_examples(self.metadata, name) or NUM_EXAMPLES)

    def of(self, kind):
        """Return outcomes of one kind by key."""
        return {key: out for key, out in self.outcomes.items() if key[0] == kind}

    def again(self, names, seed):
        """Run requests with new random examples and return their outcomes by key.

        Args:
            names: Names of signatures.
            seed: Seed of the values, above 0.
        """
        requests = {}
        for name in names:
            requests.update(self._right(self.graph.signatures[name], seed))
        served = serve(
            self.directory, self.graph.tags, [], list(requests.values()), self.timeout
        )
        return dict(zip(requests, served.outcomes, strict=True))

    def _right(self, signature, seed=0):
        described = described_inputs(self.metadata, signature.name)
        num_examples = self.num_examples(signature.name)
        middle = num_examples // 2
        inputs = random_inputs(signature, described, num_examples, 2 * seed)
        requests = {("batch", signature.name): Request(signature, inputs)}
        if not signature.batched:
            return requests
        for i in range(num_examples):
            example = {name: value[i : i + 1] for name, value in inputs.items()}
            requests["example", signature.name, i] = Request(signature, example)
        changed = random_inputs(signature, described, num_examples, 2 * seed + 1)
        for name, value in inputs.items():
            changed[name][middle] = value[middle]
        requests["changed", signature.name] = Request(signature, changed)
        return requests

    def _at_limits(self, signature):
        requests = {}
        described = described_inputs(self.metadata, signature.name)
        for name, tensor in signature.inputs.items():
            values = values_at_limits(tensor.dtype, described.get(name, {}))
            for value, accepted in values.items():
                inputs = self._few_examples(signature)
                inputs[name].flat[-1] = value
                key = ("value", signature.name, name, value, accepted)
                requests[key] = Request(signature, inputs)
        return requests

    def _misshapen(self, signature):
        requests = {}
        described = described_inputs(self.metadata, signature.name)
        for name, tensor in signature.inputs.items():
            for shape in wrong_shapes(signature, name, self._num_few(signature)):
                inputs = self._few_examples(signature)
                inputs[name] = values_in_range(
                    name,
                    tensor.dtype,
                    shape,
                    described.get(name, {}),
                    np.random.default_rng(0),
                )
                key = ("shape", signature.name, name, shape)
                requests[key] = Request(signature, inputs)
        return requests

    def _num_few(self, signature):
        return min(2, self.num_examples(signature.name))

    def _few_examples(self, signature):
        """Return a copy of the first one or two examples of the batch."""
        few = self._num_few(signature)
        inputs = self.inputs[signature.name]
        return {name: value[:few].copy() for name, value in inputs.items()}

    def _recorded(self):
        try:
            self.records = recorded_requests(self.directory, self.graph)
        except (ImportError, ValueError) as error:
            self.record_fault = str(error)
        records = enumerate(self.records or [])
        return {("record", i): request for i, request in records}
