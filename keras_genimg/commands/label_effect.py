"""How much a label changes what a trained model says about images."""

import dataclasses

import numpy as np

from keras_genimg.models import GenerativeModel

# Forward passes of single images, of all classes together.
_MOST_PASSES = 2000
# The label of an image matters little if a wrong one costs less than this part of the
# image's nats. A PixelCNN of MNIST by digit is far above, one of photographs far below.
_SMALL = 0.01


@dataclasses.dataclass(frozen=True)
class LabelEffect:
    """What labels change, on images that a model was not trained on.

    Attributes:
        num_images: Number of the images.
        num_classes: Number of classes.
        nats: By how many nats an image is likelier with its own label than with another
            one, on average.
        share: `nats`, divided by the nats of an image with its own label.
        accuracy: Share of the images that are likeliest with their own label.
    """

    num_images: int
    num_classes: int
    nats: float
    share: float
    accuracy: float

    def __str__(self):
        text = (
            f"Labels: a test image is {self.nats:.1f} nats likelier with its own label "
            f"than with another one, and {self.accuracy:.0%} of {self.num_images} are "
            f"likeliest with their own ({1 / self.num_classes:.0%} by chance)."
        )
        if self.share < _SMALL:
            text += (
                f" That is {self.share:.1%} of the nats of an image, so generated "
                f"images of different classes look alike. More images, more epochs or "
                f"a larger model may help."
            )
        return text


def label_effect(model: GenerativeModel, data, num_classes: int) -> LabelEffect:
    """Return what labels change, from the first images of a data set.

    Args:
        model: A model whose `log_prob` is exact, with the condition `"label"`.
        data: Dict of arrays of images and labels.
        num_classes: Number of classes, at least 2.
    """
    count = min(len(data["label"]), max(_MOST_PASSES // num_classes, 1))
    images, labels = data["images"][:count], data["label"][:count]
    nats = np.stack(
        [
            -model.log_prob({"images": images, "label": np.full(count, label)})
            for label in range(num_classes)
        ]
    )
    own = nats[labels, np.arange(count)]
    others = (nats.sum(axis=0) - own) / (num_classes - 1)
    difference = float((others - own).mean())
    return LabelEffect(
        num_images=count,
        num_classes=num_classes,
        nats=difference,
        share=difference / float(own.mean()),
        accuracy=float((nats.argmin(axis=0) == labels).mean()),
    )
