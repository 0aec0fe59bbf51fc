import numpy as np
import pytest

from keras_genimg.models import PixelCNN
from tests.inputs.sources import IMAGES, LABELS, small, spoiled, with_labels

data = pytest.importorskip("torch.utils.data")
torch = pytest.importorskip("torch")


def loader(sample):
    return data.DataLoader([sample(i) for i in range(8)], batch_size=4)


def tensors(images):
    return data.DataLoader(data.TensorDataset(torch.tensor(images)), batch_size=4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tensors(IMAGES),
        lambda: loader(lambda i: IMAGES[i]),
        lambda: loader(lambda i: torch.tensor(IMAGES[i])),
        lambda: loader(lambda i: {"images": IMAGES[i]}),
    ],
    ids=["TensorDataset", "arrays", "tensors", "dicts"],
)
def test_loaders_are_read(make):
    model = small("eager")
    nats = model.log_prob(IMAGES)
    np.testing.assert_allclose(model.log_prob(make()), nats, rtol=1e-5)
    loss, _ = model.evaluate(make(), verbose=0)
    np.testing.assert_allclose(loss, -nats.mean(), rtol=1e-5)
    history = model.fit(make(), epochs=2, validation_data=make(), verbose=0).history
    assert history["val_loss"][1] < history["val_loss"][0]
    assert history["val_loss"][0] < -nats.mean()


def test_loaders_of_unknown_length():
    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(IMAGES)

    model = small("eager")
    model.fit(data.DataLoader(Stream(), batch_size=4), steps_per_epoch=2, verbose=0)


def test_bits_of_images_of_any_size_need_an_array():
    model = PixelCNN((None, None, 1), 2, 1)
    with pytest.raises(ValueError, match="bits_per_dim needs an array"):
        model.bits_per_dim(tensors(IMAGES))


def test_labels():
    model = with_labels()
    model.fit(loader(lambda i: {"images": IMAGES[i], "label": LABELS[i]}), verbose=0)
    with pytest.raises(ValueError, match="`label` of cnn must be integers from 0 to 2"):
        model.fit(loader(lambda i: {"images": IMAGES[i], "label": i}), verbose=0)


def test_bad_loaders_are_refused():
    model = small("eager")
    with pytest.raises(ValueError, match="Training of cnn expects pixels.*0.0 to 5"):
        model.fit(tensors(spoiled(5)), verbose=0)
    with pytest.raises(ValueError, match="cnn.log_prob expects pixels.*from 0.0 to 5"):
        model.log_prob(tensors(spoiled(5)))
    for call in (model.fit, model.evaluate, model.log_prob):
        with pytest.raises(ValueError, match="takes no targets"):
            call(loader(lambda i: (IMAGES[i], LABELS[i])))
        with pytest.raises(ValueError, match="Move the color axis to the end"):
            call(loader(lambda i: np.moveaxis(IMAGES[i], -1, 0)))
        with pytest.raises(ValueError, match="empty DataLoader"):
            call(data.DataLoader([]))
