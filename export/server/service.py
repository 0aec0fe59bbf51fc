"""The replies of the server, apart from HTTP."""

import asyncio
import concurrent.futures
import time

import anyio

from .batching import Batcher
from .errors import ServingError, timed_out
from .limits import Admission, read_body
from .predict import parse_call, render_reply


class Service:
    """Answers requests from the models of a catalog.

    Requests are parsed, computed and rendered in a pool of threads. Its size is the
    number of requests that are computed at the same time.

    Args:
        catalog: `Catalog`.
        limits: `Limits`.
        batch_window: Seconds that a request waits for others to be merged with; 0 for
            no merging.
        max_batch_size: Most examples of merged requests, for models without
            `max_examples`.
    """

    def __init__(self, catalog, limits, batch_window=0.0, max_batch_size=256):
        self._catalog = catalog
        self._limits = limits
        self._admission = Admission(limits)
        self._batcher = Batcher(self._run, batch_window, max_batch_size)
        self._pool = concurrent.futures.ThreadPoolExecutor(
            limits.max_concurrent, thread_name_prefix="compute"
        )

    async def start(self):
        """Load the models."""
        await anyio.to_thread.run_sync(self._catalog.start)

    async def stop(self):
        """Unload the models."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        await anyio.to_thread.run_sync(self._catalog.stop)

    async def predict(self, request, name, **which):
        """Return the reply to a predict request, as bytes of JSON.

        Args:
            request: `starlette.requests.Request`.
            name: Name of the model.
            **which: `version` or `label`.

        Raises:
            ServingError: If the request is refused, fails or times out.
        """
        deadline = time.monotonic() + self._limits.timeout
        with self._admission.one():
            try:
                with anyio.fail_after(self._limits.timeout):
                    body = await read_body(request, self._limits.max_body_bytes)
                    _, model = self._catalog.model(name).find(**which)
                    call = await self._in_pool(
                        parse_call, model, body, self._limits.max_depth
                    )
                    outputs = await self._batcher(call, deadline)
                    return await self._in_pool(render_reply, call, outputs)
            except TimeoutError:
                raise timed_out(self._limits.timeout) from None

    def status(self, name, **which):
        """Return the states of a model's versions, as TensorFlow Serving's JSON."""
        if name not in self._catalog.models():
            raise ServingError(404, f"Could not find any versions of model {name}")
        return self._catalog.model(name).status(**which)

    def metadata(self, name, **which):
        """Return the signatures of a model, as TensorFlow Serving's JSON."""
        number, model = self._catalog.model(name).find(**which)
        spec = {"name": name, "signature_name": "", "version": str(number)}
        signatures = {"signature_def": model.signature_defs()}
        return {"model_spec": spec, "metadata": {"signature_def": signatures}}

    def asset_metadata(self, name, **which):
        """Return the content of a model's `assets.extra/metadata.json`.

        Raises:
            ServingError: If it has no such file.
        """
        number, model = self._catalog.model(name).find(**which)
        if model.metadata is None:
            raise ServingError(
                404,
                f"Version {number} of model {name} has no assets.extra/metadata.json "
                f"with a JSON object. `model.export` of keras_genimg writes it.",
            )
        return model.metadata

    def models(self):
        """Return all models with the states of their versions and their labels."""
        models = []
        for name, model in self._catalog.models().items():
            try:
                versions = model.status()["model_version_status"]
            except ServingError:  # It has none at the moment.
                versions = []
            labels = {k: str(v) for k, v in sorted(model.settings.labels.items())}
            models.append({"name": name, "versions": versions, "labels": labels})
        return {"models": models}

    async def _in_pool(self, function, *arguments):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *arguments)

    async def _run(self, model, signature_name, inputs, deadline):
        def run():  # Called in a thread: waiting for it counts too.
            return model.run(signature_name, inputs, deadline - time.monotonic())

        return await self._in_pool(run)
