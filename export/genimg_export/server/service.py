"""The replies of the server, apart from HTTP."""

import asyncio
import concurrent.futures
import contextlib
import re
import time

import anyio

from .errors import ServingError, invalid
from .predict import parse_call, render_reply

_DRAIN_SECONDS = 10
_MAX_CLASSES = 20  # That an error lists.


class Service:
    """Answers requests from the models of a catalog.

    Requests are parsed, computed and rendered in a pool of threads. Its size is the
    number of requests that are computed at the same time.

    Args:
        catalog: `Catalog` that was started.
        options: Options of `genimg-serve`: `max_body_bytes`, `max_concurrent`,
            `max_queued` and `timeout`.
    """

    def __init__(self, catalog, options):
        self._catalog = catalog
        self._options = options
        self._in_progress = 0
        self._pool = concurrent.futures.ThreadPoolExecutor(options.max_concurrent)

    @contextlib.asynccontextmanager
    async def lifespan(self, _):
        """Unload the models at the end of the application."""
        yield
        self._pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._catalog.stop)

    async def predict(self, request, name, **which):
        """Return the reply to a predict request, as bytes of JSON.

        Args:
            request: `starlette.requests.Request`.
            name: Name of the model.
            **which: `version` or `label`.

        Raises:
            ServingError: If the request is refused, fails or times out.
        """
        timeout = self._options.timeout
        deadline = time.monotonic() + timeout
        if self._in_progress >= self._options.max_concurrent + self._options.max_queued:
            raise ServingError(
                503,
                f"{self._in_progress} requests are in progress, which is the limit. "
                f"Try again later, or start the server with a larger --max-queued.",
                {"Retry-After": "1"},
            )
        self._in_progress += 1
        num_images = 0  # Known once the body is parsed.
        try:
            with anyio.fail_after(timeout):
                body = await self._read_body(request)
                _, model = self._find(name, **which)

                def answer():  # Called in a thread: waiting for it counts too.
                    nonlocal num_images
                    with _classes_named(model):
                        signature, inputs, num_examples = parse_call(model, body)
                        sizes = [len(x) for x in inputs.values() if x.ndim]
                        num_images = max(sizes, default=0)
                        seconds = deadline - time.monotonic()
                        outputs = model.run(signature, inputs, seconds)
                    return render_reply(outputs, num_examples)

                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._pool, answer)
        except TimeoutError:
            advice = "Ask for fewer images, or start" if num_images > 1 else "Start"
            raise ServingError(
                504,
                f"Timed out after {timeout:g} s. {advice} the server with a longer "
                f"--timeout.",
            ) from None
        finally:
            self._in_progress -= 1

    def status(self, name, **which):
        """Return the states of a model's versions, as TensorFlow Serving's JSON."""
        model = self._catalog.models.get(name)
        states = model.states(**which) if model else []
        if not states:
            version = which.get("version")
            what = "any versions" if version is None else f"version {version}"
            raise ServingError(404, f"Could not find {what} of model {name}")
        return {"model_version_status": states}

    def metadata(self, name, **which):
        """Return the signatures of a model, as TensorFlow Serving's JSON."""
        number, model = self._find(name, **which)
        spec = {"name": name, "signature_name": "", "version": str(number)}
        signatures = {"signature_def": model.signature_defs()}
        return {"model_spec": spec, "metadata": {"signature_def": signatures}}

    def asset_metadata(self, name, **which):
        """Return the content of a model's `assets.extra/metadata.json`.

        Raises:
            ServingError: If it has no such file.
        """
        number, model = self._find(name, **which)
        if model.metadata is None:
            raise ServingError(
                404,
                f"Version {number} of model {name} has no assets.extra/metadata.json. "
                f"`model.export` of keras_genimg writes it.",
            )
        return model.metadata

    def models(self):
        """Return all models with the states of their versions and their labels."""
        models = [
            {
                "name": name,
                "versions": model.states(),
                "labels": {k: str(v) for k, v in sorted(model.labels.items())},
            }
            for name, model in sorted(self._catalog.models.items())
        ]
        return {"models": models}

    def _find(self, name, **which):
        if name not in self._catalog.models:
            raise ServingError(404, f"Servable not found for request: Latest({name})")
        return self._catalog.models[name].find(**which)

    async def _read_body(self, request):
        """Return the body of a request, unless it is too long or compressed.

        The rest of a body that is too long is read and discarded for a while: a client
        that is cut off while sending does not see the reply.
        """
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise invalid(
                f"Content-Encoding {encoding!r} is not supported; send plain JSON"
            )
        pieces, size, most = [], 0, self._options.max_body_bytes
        with anyio.CancelScope() as scope:
            async for piece in request.stream():
                size += len(piece)
                if size <= most:
                    pieces.append(piece)
                elif pieces:
                    pieces.clear()
                    scope.deadline = anyio.current_time() + _DRAIN_SECONDS
        if size <= most:
            return b"".join(pieces)
        raise ServingError(
            413,
            f"The request body has {size} bytes or more, and at most {most} are "
            f"accepted. Ask for fewer images, or start the server with a larger "
            f"--max-body-bytes.",
        )


@contextlib.contextmanager
def _classes_named(model):
    """Add the names of a model's classes to errors about labels."""
    try:
        yield
    except ServingError as error:
        names = (model.metadata or {}).get("class_names", [])
        if names and re.search(r"\blabel\b", error.message):
            classes = [f"{label} {name}" for label, name in enumerate(names)]
            more = ", ..." if len(classes) > _MAX_CLASSES else ""
            classes = ", ".join(classes[:_MAX_CLASSES])
            error.message += f". A label is the number of a class: {classes}{more}"
        raise
