"""A client that draws images."""

import concurrent.futures
import dataclasses
import random
import time
from typing import Any

import numpy as np

MAX_WAIT = 20.0  # Seconds between two attempts, at most.


class ClientError(Exception):
    """A failed request, described in one line."""


class Unavailable(ClientError):
    """A failed request that may succeed when sent again.

    Args:
        message: What happened.
        wait: Seconds that the server asked to wait.
    """

    def __init__(self, message, wait=0.0):
        super().__init__(message)
        self.wait = wait


def first_line(text):
    """Return the first line of a server's message, without names of graph nodes."""
    return text.strip().partition("\n")[0].partition("\t [[")[0].strip()[:500]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Type and shape of an input or an output.

    Attributes:
        dtype: Name of a NumPy type, or `"string"`.
        shape: Sizes, the batch first; -1 for any size.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a served model: its name, and dicts of `Tensor` by name."""

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class ImageClient:
    """Draws and completes images with a model on a server.

    A seed gives the same image in any batch, so images are requested in batches, and a
    failed request is sent again.

    Example:
    ```python
    from genimg_export.clients import ImageClient
    from genimg_export.clients.rest import RestModel

    client = ImageClient(RestModel("http://127.0.0.1:8501", "digits"))
    images = client.sample([10, 11, 12])  # uint8 (3, height, width, colors)
    ```

    Args:
        model: `RestModel` or `GrpcModel`.
        batch_size: Examples per request; at most the `max_examples` that the model was
            exported with, and for `complete` that number divided by the number of
            candidates.
        in_flight: Number of concurrent requests.
        retries: Attempts after the first, while the server is unavailable.
        first_wait: Seconds before the second attempt; about doubled before each later
            one.
        on_wait: Function that is called with one line of text when a request has
            failed for the first time and will be sent again; None for silence.
    """

    def __init__(
        self,
        model,
        batch_size=32,
        in_flight=1,
        retries=5,
        first_wait=0.5,
        on_wait=None,
    ):
        for name, value in {"batch_size": batch_size, "in_flight": in_flight}.items():
            if value < 1:
                raise ClientError(f"{name} must be at least 1; given: {value}")
        self.model = model
        self.batch_size = batch_size
        self.in_flight = in_flight
        self.retries = retries
        self.first_wait = first_wait
        self.on_wait = on_wait
        # Before Python 3.12, `functools.cached_property` would make the clients of all
        # servers wait for each other.
        self._signatures = self._metadata = None

    def call(self, function, *arguments):
        """Call a function of `model`, again and again while it may succeed.

        A seed decides an image, so sending a request twice does no harm.

        Raises:
            ClientError: If the server refuses the request, or the last attempt fails
                too.
        """
        attempt = 0
        while True:
            try:
                return function(*arguments)
            except Unavailable as error:
                if attempt >= self.retries:
                    raise ClientError(f"{error} (attempts: {attempt + 1})") from error
                if attempt == 0 and self.on_wait is not None:
                    left = f"(attempts left: {self.retries})"
                    self.on_wait(f"waiting for the server {left}: {error}")
                # Random, so that clients that fail together do not return together.
                wait = self.first_wait * 2**attempt * random.uniform(0.5, 1)
                time.sleep(min(MAX_WAIT, max(wait, error.wait)))
                attempt += 1

    @property
    def signatures(self) -> dict[str, Signature]:
        """`Signature`s of the model by name, fetched once."""
        if self._signatures is None:
            self._signatures = self.call(self.model.signatures)
        return self._signatures

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the export, fetched once.

        Empty if the server does not send them: TensorFlow Serving does not, but the
        proxy in front of it does.
        """
        if self._metadata is None:
            self._metadata = self.call(self.model.metadata)
        return self._metadata

    @property
    def class_names(self) -> list[str]:
        """Names of the classes of the input `label`; empty if none are known."""
        return self.metadata.get("class_names", [])

    def signature(self, name):
        """Return the `Signature` called `name`.

        Raises:
            ClientError: If the model does not have it.
        """
        if name not in self.signatures:
            raise ClientError(
                f"the model has no signature {name}; it has "
                f"{', '.join(sorted(self.signatures))}"
            )
        return self.signatures[name]

    def sample(self, seeds, temperature=None, **conditions):
        """Return the images of seeds, uint8 `(len(seeds), height, width, colors)`.

        Args:
            seeds: Integers from 0 to 2**62 - 1.
            temperature: Number above 0, or None.
            **conditions: Further inputs, such as `label`, one value per seed. Labels
                number the `class_names` from 0.

        Raises:
            ClientError: If the server refuses the request or stays unavailable.
        """
        name = "sample"
        if temperature is not None:
            name = "sample_with_temperature"
            conditions["temperature"] = np.full(len(seeds), temperature)
        return self.predict(name, seed=seeds, **conditions)["images"]

    def complete(self, images, known, seeds, **conditions):
        """Return images with their unknown pixels drawn.

        Each is drawn given the pixels before it in raster order, or in the order that
        an `OrientedModel` chooses. Known pixels after an unknown one count only if the
        model was exported with several candidates. `predict("complete")` also returns
        their `effective_sample_size`, and the `order` of an `OrientedModel`.

        Args:
            images: Integers 0 to 255, `(batch, height, width, colors)`.
            known: 1 where a pixel is kept, 0 where it is drawn,
                `(batch, height, width)`.
            seeds: One per image.
            **conditions: As in `sample`.
        """
        return self.predict(
            "complete", images=images, known=known, seed=seeds, **conditions
        )["images"]

    def log_prob(self, images, **conditions):
        """Return the log-likelihoods of images in nats, float32 `(batch,)`.

        Args:
            images: As in `complete`.
            **conditions: As in `sample`.
        """
        return self.predict("log_prob", images=images, **conditions)["log_prob"]

    def predict(self, signature_name, **inputs):
        """Return the outputs of any signature, as arrays by name.

        Args:
            signature_name: Name of the signature.
            **inputs: Its inputs, the batch first.
        """
        batches = list(self.predict_batches(signature_name, **inputs))
        return {
            name: np.concatenate([outputs[name] for _, outputs in batches])
            for name in batches[0][1]
        }

    def predict_batches(self, signature_name, **inputs):
        """Yield `(slice of the inputs, outputs)` of each batch, in order.

        Args:
            signature_name: Name of the signature.
            **inputs: Its inputs, the batch first.
        """
        signature = self.signature(signature_name)
        sizes = [np.shape(value)[:1] for value in inputs.values()]
        if len(set(sizes)) != 1 or sizes[0] in ((), (0,)):
            raise ClientError(
                f"{', '.join(inputs)} must have the same number of examples, at least "
                f"1; given: {', '.join(str(*size) or 'a scalar' for size in sizes)}"
            )
        if set(inputs) != set(signature.inputs):
            raise ClientError(
                f"signature {signature_name} takes "
                f"{', '.join(sorted(signature.inputs))}; given: "
                f"{', '.join(sorted(inputs))}"
            )
        inputs = {
            name: _cast(name, value, signature.inputs[name].dtype)
            for name, value in inputs.items()
        }
        ((num_examples,),) = set(sizes)

        def run(part):
            batch = {name: array[part] for name, array in inputs.items()}
            outputs = self.call(self.model.predict, signature, batch)
            if set(outputs) != set(signature.outputs):
                raise ClientError(
                    f"signature {signature_name} has other outputs than before, maybe "
                    f"of a newer version; start again, or choose a version"
                )
            return part, outputs

        size = self.batch_size
        batches = [slice(i, i + size) for i in range(0, num_examples, size)]
        pool = concurrent.futures.ThreadPoolExecutor(self.in_flight)
        try:
            yield from pool.map(run, batches)
        finally:
            # After an error, drop the requests that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)


def _cast(name, value, dtype):
    """Cast a value to a type; refuse values that would change."""
    array = np.asarray(value)
    if dtype == "string":
        return array.astype(object)
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    if cast.dtype.kind == "f":
        fits = array.dtype.kind in "iuf" and np.isfinite(cast).all()
    else:
        fits = array.dtype.kind in "iub" and np.array_equal(cast, array)
    if not fits:
        found = f"{array.dtype} {array.reshape(-1)[:3].tolist()}"
        raise ClientError(f"{name} must be of type {dtype}; given: {found}")
    return cast
