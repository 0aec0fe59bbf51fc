"""Settings of the Gated PixelCNN by name.

`cifar10` has the size of the paper's ImageNet model: 20 layers of 384 channels with
kernels of 5 pixels. The width of the head is that of the PixelRNN paper.

References:
    van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
    section 3.1, https://arxiv.org/abs/1606.05328
"""

from keras_genimg.likelihoods import Categorical
from keras_genimg.models.preset import Preset, Recipe

GATED_PIXEL_CNN = {
    "cifar10": Preset(
        "Gated PixelCNN on CIFAR-10, of the size of the paper's ImageNet model. The "
        "paper: batches of 128.",
        {
            "image_shape": (32, 32, 3),
            "units": 384,
            # The first pair of layers is the twentieth.
            "num_blocks": 19,
            "kernel_size": 5,
            "head_filters": 1024,
            "likelihood": Categorical(256),
        },
        Recipe(
            60,
            16,
            1e-3,
            warmup_steps=1000,
            ema_momentum=0.9995,
            clipping={"global_clipnorm": 1.0},
            tried=False,
        ),
        {"name": "cifar10"},
    ),
    "digits": Preset(
        "Small Gated PixelCNN for the embedded 8x8 digits with 17 gray levels.",
        {
            "image_shape": (8, 8, 1),
            "units": 24,
            "num_blocks": 5,
            "head_filters": 32,
            "likelihood": Categorical(17),
            "first_kernel_size": 5,
        },
        Recipe(30, 32, 3e-3, clipping={"global_clipnorm": 1.0}),
        {"name": "digits"},
    ),
}
