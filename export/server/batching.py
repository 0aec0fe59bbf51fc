"""Merging of requests that arrive at about the same time."""

import asyncio
import logging

import numpy as np

_log = logging.getLogger("serve")


class Batcher:
    """Runs calls of one signature together if their inputs can be concatenated.

    A merged call that fails is repeated one by one, so that a bad request fails alone.
    The batching of TensorFlow Serving itself does neither.

    Args:
        run: Coroutine function of `(model, signature_name, inputs, deadline)` that
            returns the outputs.
        window: Seconds that the first call waits for others; 0 for no merging.
        max_batch_size: Most examples of a merged call, for models without
            `max_examples`.
    """

    def __init__(self, run, window, max_batch_size):
        self._run = run
        self._window = window
        self._max_batch_size = max_batch_size
        self._waiting = {}  # Batch by model, signature and shapes of its calls.
        self._tasks = set()

    async def __call__(self, call, deadline):
        """Return the outputs of a `Call`, NumPy arrays by name.

        Args:
            call: The `Call`.
            deadline: Time at which it times out, by `time.monotonic`.
        """
        most = call.model.max_examples(call.signature_name) or self._max_batch_size
        if not self._window or not call.num_examples or call.num_examples >= most:
            return await self._alone(call, deadline)
        # The model itself is part of the key, so that versions never mix.
        shapes = tuple((k, v.shape[1:]) for k, v in sorted(call.inputs.items()))
        key = (call.model, call.signature_name, shapes)
        batch = self._waiting.get(key)
        if batch is None or batch.num_examples + call.num_examples > most:
            if batch is not None:
                batch.complete.set()
            batch = self._waiting[key] = _Batch()
            loop = asyncio.get_running_loop()
            loop.call_later(self._window, batch.complete.set)
            task = loop.create_task(self._run_batch(key, batch))
            self._tasks.add(task)  # The loop itself holds no reference.
            task.add_done_callback(self._tasks.discard)
        answer = asyncio.get_running_loop().create_future()
        batch.members.append((call, deadline, answer))
        batch.num_examples += call.num_examples
        if batch.num_examples == most:
            batch.complete.set()
        return await answer

    async def _alone(self, call, deadline):
        return await self._run(call.model, call.signature_name, call.inputs, deadline)

    async def _run_batch(self, key, batch):
        await batch.complete.wait()
        if self._waiting.get(key) is batch:
            del self._waiting[key]
        # Leave out clients that have given up.
        members = [member for member in batch.members if not member[2].done()]
        if len(members) > 1:
            try:
                parts = await self._merged(members)
            except Exception as error:
                _log.debug("merged call failed, running each alone: %s", error)
            else:
                for (_, _, answer), part in zip(members, parts, strict=True):
                    if not answer.done():
                        answer.set_result(part)
                return
        await asyncio.gather(*(self._answer_alone(*member) for member in members))

    async def _merged(self, members):
        """Return the outputs of each member, cut from those of all."""
        calls = [call for call, _, _ in members]
        first = calls[0]
        inputs = {
            name: np.concatenate([call.inputs[name] for call in calls])
            for name in first.inputs
        }
        deadline = max(deadline for _, deadline, _ in members)
        outputs = await self._run(first.model, first.signature_name, inputs, deadline)
        ends = np.cumsum([call.num_examples for call in calls])
        for name, array in outputs.items():
            if not array.ndim or len(array) != ends[-1]:
                raise ValueError(f"output {name} does not have the batch first")
        parts = {name: np.split(array, ends[:-1]) for name, array in outputs.items()}
        return [{name: parts[name][i] for name in parts} for i in range(len(calls))]

    async def _answer_alone(self, call, deadline, answer):
        try:
            result = await self._alone(call, deadline)
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(result)


class _Batch:
    """Calls that wait to be run together."""

    def __init__(self):
        self.members = []  # (call, deadline, future of the outputs)
        self.num_examples = 0
        self.complete = asyncio.Event()
