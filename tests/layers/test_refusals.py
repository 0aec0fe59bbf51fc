"""Arguments and inputs that layers refuse."""

import re

import keras
import numpy as np
import pytest

from keras_genimg.layers import (
    DiagonalBiLSTM,
    DRAWLoop,
    GatedHorizontalConv,
    GatedVerticalConv,
    GaussianLatent,
    Latent,
    MaskedConv2D,
    ReadAttention,
    ResidualLSTMBlock,
    ResidualMaskedConvBlock,
    RowLSTM,
    SplitColors,
    WriteAttention,
)

GOOD = {
    DiagonalBiLSTM: {"units": 4},
    GatedHorizontalConv: {"filters": 4},
    GatedVerticalConv: {"filters": 4},
    Latent: {"latent_dim": 2},
    MaskedConv2D: {"filters": 4, "kernel_size": 3, "mask_type": "B"},
    ReadAttention: {},
    ResidualLSTMBlock: {"units": 4},
    ResidualMaskedConvBlock: {"filters": 4},
    RowLSTM: {"units": 4},
    WriteAttention: {"size": 2, "image_shape": (4, 6, 1)},
}
LSTM = {"units": [0], "num_colors": [0], "mask_type": ["C"]}
GATED = {"filters": [0, 1.5], "kernel_size": [1, 4], "mask_type": ["C"]}
SIZES = [0, -1, 2.5, "5", True]
# Bad values of single arguments.
BAD = {
    DiagonalBiLSTM: {**LSTM, "mask_type": ["A", "C"], "num_segments": [0]},
    GatedHorizontalConv: {**GATED, "num_colors": [0]},
    GatedVerticalConv: GATED,
    Latent: {"latent_dim": [0, 1.5], "num_samples": [0], "estimator": ["C"]},
    MaskedConv2D: {
        "filters": [0],
        "kernel_size": [2],
        "mask_type": ["C"],
        "num_colors": [0],
        "strides": [(2, 2)],
        "padding": ["valid"],
        "groups": [2],
        "dilation_rate": [(2, 2)],
        "data_format": ["channels_first"],
    },
    ReadAttention: {"size": SIZES},
    ResidualLSTMBlock: {"units": [0], "layer": ["spiral"]},
    ResidualMaskedConvBlock: {"filters": [0], "kernel_size": [2]},
    RowLSTM: {**LSTM, "kernel_size": [1, 2]},
    WriteAttention: {"size": [*SIZES, 7], "image_shape": [(4, 6), (4, 6, 1, 1)]},
}


@pytest.mark.parametrize("kind", [RowLSTM, DiagonalBiLSTM])
@pytest.mark.parametrize("shapes", [[(4, 5, 2)], [(4, 5, 4)], [(4, 5, 2), (4, 5, 5)]])
def test_other_channels_than_at_first(kind, shapes):
    """Fewer of them, or more of a condition, must not meet the weights of others."""
    layer = kind(2)
    layer(*(np.zeros((2, *shape[:-1], 3)) for shape in shapes))
    with pytest.raises(ValueError, match="axis -1 .* value 3"):
        layer(*(np.zeros((2, *shape)) for shape in shapes))


@pytest.mark.parametrize(
    ("kind", "arguments", "received"),
    [
        *(
            (kind, {name: value}, f"{name}={value!r}")
            for kind, arguments in BAD.items()
            for name, values in arguments.items()
            for value in values
        ),
        (GatedHorizontalConv, {"num_colors": 5}, "filters=4, num_colors=5"),
        (Latent, {"posterior": "gauss"}, "family='gauss'"),
        (Latent, {"prior": 3}, "family=3"),
        (MaskedConv2D, {"kernel_size": (3, 4)}, "kernel_size=4"),
        (MaskedConv2D, {"kernel_size": (3, 3, 3)}, "kernel_size=[3, 3, 3]"),
        (MaskedConv2D, {"kernel_size": 1, "mask_type": "A"}, "kernel_size=1"),
        (MaskedConv2D, {"num_colors": 5}, "filters=4, num_colors=5"),
        (ResidualLSTMBlock, {"num_colors": 5}, "units=4, num_colors=5"),
        (ResidualMaskedConvBlock, {"num_colors": 5}, "filters=4, num_colors=5"),
        *((k, {"num_colors": 5}, "units=4, num") for k in (DiagonalBiLSTM, RowLSTM)),
        (WriteAttention, {"image_shape": (4, 6, 0)}, "colors=0"),
        (WriteAttention, {"image_shape": (4, None, 1)}, "width=None"),
    ],
)
def test_bad_argument(kind, arguments, received):
    with pytest.raises(ValueError, match=f"(?s)Received.*{re.escape(received)}"):
        kind(**GOOD[kind] | arguments)


@pytest.mark.parametrize(
    ("kind", "arguments", "shapes", "match"),
    [
        (MaskedConv2D, (6, 3, "A", 3), [(4, 6)], "(rank |ndim=)3"),
        (MaskedConv2D, (6, 3, "A", 3), [(4, 6, 2)], "channels.*2.*num_colors=3"),
        *(
            row
            for lstm in ((RowLSTM, (6, 3, 3)), (DiagonalBiLSTM, (6, 3)))
            for row in [
                (*lstm, [(4, 5)], "rank 3"),
                (*lstm, [(4, 5, 2)], "channels.*2.*num_colors=3"),
                (*lstm, [(4, 5, 3), (3, 5, 3)], r"height or 1.*\(2, 3, 5, 3\)"),
            ]
        ),
        (GatedHorizontalConv, (3,), [(4, 6), (4, 6, 4)], "rank 3"),
        (GatedHorizontalConv, (3,), [(4, 6, 4), (4, 6, 4)], r"3 channels.*6, 4\)"),
        *(
            (GatedHorizontalConv, (3,), [(4, 6, 3), above], "`vertical`.*" + shape)
            for above, shape in [
                ((4, 5, 4), r"\(2, 4, 5, 4\)"),
                ((1, 1, 4), r"\(2, 1, 1, 4\)"),
                ((4, 4), r"\(2, 4, 4\)"),
            ]
        ),
        (GatedHorizontalConv, (3,), [(4, 6, 3), (4, 6, 4), (2, 6, 1)], "`cond.*or 1"),
        (GatedVerticalConv, (3,), [(4, 6, 5)], r"even number.*\(2, 4, 6, 5\)"),
        (GatedVerticalConv, (3,), [(4, 6)], "rank 3"),
        (GatedVerticalConv, (3,), [(4, 6, 4), (3, 6, 1)], "`condition`.*height or 1"),
        *(
            (block, (3,), [(4, 6, channels)], f"6 channels.*Received.*{channels}")
            for block in (ResidualLSTMBlock, ResidualMaskedConvBlock)
            for channels in (3, 5, 7)
        ),
        (SplitColors, (3,), [(4, 6, 4)], r"into 3 colors. Received.*4\)"),
        (DRAWLoop, (2, (5, 7, 1), 3, 2), [(7, 5, 1)], r"shape \(None, 5, 7, 1\)"),
        (GaussianLatent, (2,), [(4, 5)], r"Flatten before it. .*shape=\(2, 4, 5\)"),
        (ReadAttention, (7,), [(4, 6, 1), (3,)], "`size`.*at most 6.*size=7"),
        *(
            row
            for size in (2, None)
            for row in [
                (ReadAttention, (size,), [(4, 6), (3,)], r"rank 3: shape=\(2, 4, 6\)"),
                (ReadAttention, (size,), [(4, 6, 1), (4, 3)], r"state of.*\(2, 4, 3\)"),
                (WriteAttention, (size, (4, 6, 1)), [(4, 3)], r"state of.*\(2, 4, 3\)"),
            ]
        ),
    ],
)
def test_bad_input(kind, arguments, shapes, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        kind(*arguments)(*(np.zeros((2, *shape), "float32") for shape in shapes))


@pytest.mark.parametrize("size", [2, None])
def test_inputs_of_attention_are_checked_in_each_call(size):
    layer = ReadAttention(size)
    layer(np.zeros((2, 4, 6, 1)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"(?s)state of shape.*\(2, 4, 3\)"):
        layer(np.zeros((2, 4, 6, 1)), np.zeros((2, 4, 3)))
    for shape in [(None, 6, 1), (4, None, 1), (4, 6, None)]:
        with pytest.raises(ValueError, match="(?s)all known but.*None"):
            ReadAttention(size)(keras.Input(shape), keras.Input((3,)))


def test_features_of_unknown_size():
    with pytest.raises(ValueError, match=r"Received: shape=\(None, None\)"):
        GaussianLatent(2).build((None, None))
