import pytest

from keras_genimg.models import VAE
from tests.fitting.one_convolution import one_convolution

OPTIONS = {
    "image_size": (3, 4),
    "max_examples": 8,
    "xla_twins": True,
    "metadata": {"license": "MIT"},
    "batching": True,
    "method": "incremental",  # This and the next go to `endpoints`.
    "num_candidates": 2,
}


@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("name", OPTIONS)
def test_other_formats_refuse_options_of_saved_models(name, format, tmp_path):
    """They were dropped without a word."""
    model = one_convolution((3, 4, 1))
    option = {name: OPTIONS[name]}
    text = f"format='{format}' writes .* takes no {name}. .*Received: {name}="
    with pytest.raises(ValueError, match=text):
        model.export(tmp_path / "model", format=format, **option)
    assert not list(tmp_path.iterdir())


def test_other_formats_take_the_defaults_and_what_keras_takes(tmp_path):
    model = one_convolution((3, 4, 1))
    with pytest.raises(ValueError, match="Unrecognized format=none.*onnx"):
        model.export(
            tmp_path / "model",
            format="none",
            image_size=None,
            max_examples=256,
            xla_twins=False,
            metadata=None,
            batching=False,
            opset_version=18,
        )


class WithoutSample(VAE):
    def endpoints(self, image_shape, jit_compile=False):
        endpoints = super().endpoints(image_shape, jit_compile)
        del endpoints["sample"]
        return endpoints


def test_endpoints_without_sample_are_refused(tmp_path):
    model = WithoutSample((3, 4, 1), 2, 4)
    text = "`endpoints` of WithoutSample must return an endpoint 'sample'.*'sample_png'"
    with pytest.raises(ValueError, match=text):
        model.export(tmp_path / "model")
    assert not list(tmp_path.iterdir())
