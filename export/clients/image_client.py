"""A client that draws images."""

import concurrent.futures

import numpy as np

from .errors import ClientError
from .retries import Retries


class ImageClient:
    """Draws and completes images with a model on a server.

    Seed `s` gives the same image whatever the batch size, so rows are sent in batches
    and a request that failed is sent again.

    Example:
    ```python
    from genimg_export.clients import ImageClient
    from genimg_export.clients.rest import RestModel

    client = ImageClient(RestModel("http://127.0.0.1:8501", "digits"))
    images = client.sample([10, 11, 12])  # uint8 (3, height, width, colors)
    ```

    Args:
        model: `RestModel` or `GrpcModel`.
        batch_size: Rows a request; at most the `max_rows` that the model was exported
            with, and for `complete` that number divided by the number of candidates.
        in_flight: Requests at the same time.
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
    def signatures(self):
        """`Signature`s of the model by name, asked for once."""
        if self._signatures is None:
            self._signatures = self.retries.call(self.model.signatures)
        return self._signatures

    def signature(self, name):
        """Return the `Signature` called `name`.

        Raises:
            ClientError: If the model has none.
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
            **conditions: Further inputs, such as `label`, one value a row.

        Raises:
            ClientError: If the server refuses them or stays away.
        """
        name, inputs = self.sample_inputs(seeds, temperature, **conditions)
        return self.predict(name, **inputs)["images"]

    def sample_png(self, seeds, **conditions):
        """Return the images of seeds as a list of PNG files, made by the server.

        Args:
            seeds: As in `sample`.
            **conditions: As in `sample`.
        """
        return list(self.predict("sample_png", seed=seeds, **conditions)["png_bytes"])

    def complete(self, images, known, seeds, **conditions):
        """Return images whose unknown pixels were drawn.

        Each is given the pixels before it in raster order. Known pixels after an
        unknown one count only if the model was exported with several candidates. How
        well these do is in the output `effective_sample_size` of `predict("complete")`.

        Args:
            images: Integers 0 to 255, `(rows, height, width, colors)`.
            known: 1 where a pixel is kept, 0 where it is drawn,
                `(rows, height, width)`.
            seeds: One a row.
            **conditions: As in `sample`.
        """
        return self.predict(
            "complete", images=images, known=known, seed=seeds, **conditions
        )["images"]

    def log_prob(self, images, **conditions):
        """Return the nats of images, float32 `(rows,)`.

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
            **inputs: Its inputs, one row each.
        """
        batches = list(self.predict_batches(signature_name, **inputs))
        return {
            name: np.concatenate([outputs[name] for _, outputs in batches])
            for name in batches[0][1]
        }

    def predict_batches(self, signature_name, **inputs):
        """Yield `(slice of rows, outputs)` for each batch in order, as they come.

        Args:
            signature_name: Name of the signature.
            **inputs: Its inputs, one row each.
        """
        signature = self.signature(signature_name)
        sizes = [np.shape(value)[:1] for value in inputs.values()]
        if len(set(sizes)) != 1 or sizes[0] in ((), (0,)):
            raise ClientError(
                f"{', '.join(inputs)} must have the same number of rows, at least 1; "
                f"given: {', '.join(str(*size) or 'a scalar' for size in sizes)}"
            )
        inputs = signature.checked(inputs)
        ((num_rows,),) = set(sizes)

        def run(rows):
            batch = {name: array[rows] for name, array in inputs.items()}
            outputs = self.retries.call(lambda: self.model.predict(signature, batch))
            if set(outputs) != set(signature.outputs):
                raise ClientError(
                    f"signature {signature_name} has other outputs now; has the model "
                    f"another version? Start again, or choose a version"
                )
            return rows, _of_good_rows(outputs, rows)

        batches = [
            slice(start, min(start + self.batch_size, num_rows))
            for start in range(0, num_rows, self.batch_size)
        ]
        pool = concurrent.futures.ThreadPoolExecutor(self.in_flight)
        try:
            yield from pool.map(run, batches)
        finally:
            # After an error, requests that were not sent are not sent.
            pool.shutdown(wait=False, cancel_futures=True)


def _of_good_rows(outputs, rows):
    """Return the outputs but `ok`, of a model that flags bad rows with it."""
    ok = outputs.pop("ok", None)
    if ok is not None and not np.all(ok):
        bad = [rows.start + int(row) for row in np.flatnonzero(~ok)]
        raise ClientError(
            f"the model refused {len(bad)} rows (row {bad[0]} first): a seed, label, "
            f"temperature or pixel is out of its range"
        )
    return outputs
