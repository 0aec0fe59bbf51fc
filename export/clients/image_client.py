"""A client that draws images."""

import concurrent.futures

import numpy as np

from .errors import ClientError
from .retries import Retries
from .signature import Signature


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
        retries: `Retries`.
    """

    def __init__(self, model, batch_size=32, in_flight=1, retries=None):
        for name, value in {"batch_size": batch_size, "in_flight": in_flight}.items():
            if value < 1:
                raise ClientError(f"{name} must be at least 1; given: {value}")
        self.model = model
        self.batch_size = batch_size
        self.in_flight = in_flight
        self.retries = retries or Retries()
        self._signatures = None

    @property
    def signatures(self) -> dict[str, Signature]:
        """`Signature`s of the model by name, fetched once."""
        if self._signatures is None:
            self._signatures = self.retries.call(self.model.signatures)
        return self._signatures

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
            **conditions: Further inputs, such as `label`, one value per seed.

        Raises:
            ClientError: If the server refuses the request or stays unavailable.
        """
        name, inputs = self.sample_inputs(seeds, temperature, **conditions)
        return self.predict(name, **inputs)["images"]

    def sample_png(self, seeds, **conditions):
        """Return the images of seeds as a list of PNG files, encoded by the server.

        Args:
            seeds: As in `sample`.
            **conditions: As in `sample`.
        """
        return list(self.predict("sample_png", seed=seeds, **conditions)["png_bytes"])

    def complete(self, images, known, seeds, **conditions):
        """Return images with their unknown pixels drawn.

        Each is drawn given the pixels before it in raster order. Known pixels after an
        unknown one count only if the model was exported with several candidates;
        `predict("complete")` also returns their `effective_sample_size`.

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

    @staticmethod
    def sample_inputs(seeds, temperature=None, **conditions):
        """Return the signature that `sample` calls, and its inputs."""
        inputs = {"seed": seeds, **conditions}
        if temperature is None:
            return "sample", inputs
        inputs["temperature"] = np.full(len(seeds), temperature)
        return "sample_with_temperature", inputs

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
        inputs = signature.checked(inputs)
        ((num_examples,),) = set(sizes)

        def run(part):
            batch = {name: array[part] for name, array in inputs.items()}
            outputs = self.retries.call(lambda: self.model.predict(signature, batch))
            if set(outputs) != set(signature.outputs):
                raise ClientError(
                    f"signature {signature_name} has other outputs than before, maybe "
                    f"of a newer version; start again, or choose a version"
                )
            return part, outputs

        batches = [
            slice(start, min(start + self.batch_size, num_examples))
            for start in range(0, num_examples, self.batch_size)
        ]
        pool = concurrent.futures.ThreadPoolExecutor(self.in_flight)
        try:
            yield from pool.map(run, batches)
        finally:
            # After an error, drop the requests that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)
