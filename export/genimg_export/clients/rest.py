"""TensorFlow Serving by REST."""

import base64
import errno
import re
import urllib.parse

import numpy as np
import requests

from ..preset_names import did_you_mean
from .image_client import ClientError, Signature, Tensor, Unavailable, first_line

# 502 comes from a proxy whose server is away.
TRY_AGAIN = {429, 502, 503, 504}
TYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64"}


class RestModel:
    """A model behind the REST interface.

    Args:
        url: Such as `http://127.0.0.1:8501`.
        model: Name of the model.
        version: Number of a version, or None.
        label: Label of a version, or None. With neither, the newest is used.
        timeout: Seconds to wait for a reply.
    """

    def __init__(self, url, model, version=None, label=None, timeout=120):
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ClientError(
                f"the URL must begin with http:// or https://; given: {url}"
            )
        self._name = model
        self._all_models = f"{url.rstrip('/')}/v1/models"
        self._model = f"{self._all_models}/{_quoted(model)}"
        self._path = self._model
        if version is not None:
            self._path += f"/versions/{_quoted(version)}"
        elif label is not None:
            self._path += f"/labels/{_quoted(label)}"
        self._timeout = timeout

    def predict(self, signature, inputs):
        """Return the outputs of a signature, as arrays by name.

        Args:
            signature: `Signature`.
            inputs: Arrays by name, of the signature's types.

        Raises:
            Unavailable: If it may succeed when sent again.
            ClientError: If it fails for another reason.
        """
        # The row format, because its reply is smaller.
        names, columns = list(inputs), [_to_json(array) for array in inputs.values()]
        instances = [
            dict(zip(names, values, strict=True))
            for values in zip(*columns, strict=True)
        ]
        content = self._request(
            "POST",
            f"{self._path}:predict",
            {"signature_name": signature.name, "instances": instances},
        )
        replies = content.get("predictions")
        if not isinstance(replies, list) or len(replies) != len(instances):
            raise ClientError(
                f"{self._path} sent no `predictions` for {len(instances)} examples"
            )
        if len(signature.outputs) == 1:  # The reply omits its name.
            (name,) = signature.outputs
            replies = [{name: reply} for reply in replies]
        try:
            return {
                name: _from_json([reply[name] for reply in replies], tensor.dtype)
                for name, tensor in signature.outputs.items()
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ClientError(
                f"{self._path} sent other outputs than signature {signature.name} has, "
                f"maybe of a newer version; start again, or choose a --version"
            ) from None

    def signatures(self):
        """Return the `Signature`s of the model by name."""
        content = self._request("GET", f"{self._path}/metadata")
        try:
            found = content["metadata"]["signature_def"]["signature_def"]
            return {
                name: Signature(
                    name,
                    _tensors(signature.get("inputs", {})),
                    _tensors(signature.get("outputs", {})),
                )
                for name, signature in found.items()
                if not name.startswith("__")
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ClientError(f"{self._path}/metadata sent no signatures") from None

    def metadata(self):
        """Return the metadata of the export, empty if the server does not send them."""
        versions = self._versions(self._path)
        available = [number for number, state, _ in versions if state == "AVAILABLE"]
        # The proxy of TensorFlow Serving knows metadata by number, not by label.
        newest = max(available, default=0)
        try:
            return self._request(
                "GET", f"{self._model}/versions/{newest}/assets/metadata"
            )
        except Unavailable:
            raise
        except ClientError:  # TensorFlow Serving itself sends no metadata.
            return {}

    def versions(self):
        """Return a list of `(number, state, error)` of the model's versions.

        The error is an empty text for a version that did not fail.
        """
        return self._versions(self._model)

    def _versions(self, url):
        content = self._request("GET", url)
        found = []
        for version in content.get("model_version_status", []):
            status = version.get("status", {})
            code = status.get("error_code", "OK")
            error = first_line(status.get("error_message", "")) or code
            error = "" if code == "OK" else error
            found.append((int(version["version"]), version["state"], error))
        return found

    def _request(self, method, url, body=None):
        """Return the content of the reply to a request."""
        shown = re.sub("//[^/]*@", "//", url)  # Errors do not repeat a password.
        try:
            # A new connection per request: on a kept one, the server's replies of more
            # than about 10 KB arrive 40 ms late.
            response = requests.request(
                method, url, json=body, timeout=self._timeout, allow_redirects=False
            )
        except requests.Timeout:
            raise Unavailable(f"{shown} sent nothing for {self._timeout:g} s") from None
        except requests.exceptions.SSLError as error:
            raise ClientError(
                f"the certificate of {shown} is not trusted; name a file that has it "
                f"in REQUESTS_CA_BUNDLE: {first_line(str(error))}"
            ) from None
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            refused = f"[Errno {errno.ECONNREFUSED}]" in str(error)
            question = "; is genimg-serve running?" if refused else ""
            raise Unavailable(f"cannot reach {shown}{question}") from None
        except requests.RequestException as error:
            raise ClientError(f"{shown}: {first_line(str(error))}") from None
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.status_code == 200 and isinstance(content, dict):
            return content
        if isinstance(content, dict) and "error" in content:
            text = first_line(str(content["error"]))
        else:
            text = f"no JSON of TensorFlow Serving came from {shown}"
        text = f"{text} (HTTP {response.status_code})"
        if response.status_code in TRY_AGAIN:
            wait = response.headers.get("Retry-After", "")
            raise Unavailable(text, float(wait) if wait.isdecimal() else 0.0)
        if response.status_code == 404 and url.startswith(self._model):
            text += self._other_models()
        raise ClientError(text)

    def _other_models(self):
        """Return a text with the models of a server that lacks this one, or "".

        `genimg-serve` lists its models; TensorFlow Serving does not.
        """
        try:
            listed = self._request("GET", self._all_models).get("models", [])
            names = [model["name"] for model in listed]
        except (ClientError, AttributeError, KeyError, TypeError):
            return ""
        if not names or self._name in names:
            return ""
        return (
            f".{did_you_mean(self._name, names)} The server has the models "
            f"{', '.join(names)}"
        )


def _quoted(part):
    return urllib.parse.quote(str(part), safe="")


def _tensors(described):
    return {
        name: Tensor(
            TYPES.get(tensor["dtype"]) or tensor["dtype"].removeprefix("DT_").lower(),
            tuple(int(dim["size"]) for dim in tensor["tensor_shape"].get("dim", [])),
        )
        for name, tensor in described.items()
    }


def _to_json(array):
    if array.dtype != object:
        return array.tolist()
    return [{"b64": base64.b64encode(value).decode("ascii")} for value in array]


def _from_json(values, dtype):
    if dtype != "string":
        return np.array(values, dtype)
    texts = [
        base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()
        for value in values
    ]
    return np.array(texts, object)
