import inspect

import pytest

from genimg_export.preset_names import (
    argument_names,
    find_preset,
    preset_names,
    setting_names,
)
from keras_genimg import models
from keras_genimg.presets import FAMILIES


def test_names_are_those_of_the_library():
    assert preset_names() == {name: [*presets] for name, presets in FAMILIES.items()}
    for family in FAMILIES:
        *expected, kwargs = inspect.signature(getattr(models, family)).parameters
        assert argument_names(family) == expected and kwargs == "kwargs"


def test_settings_of_several_orders_are_those_of_the_network():
    for family, presets in FAMILIES.items():
        for preset, found in presets.items():
            owner = found.config["network"] if family == "OrientedModel" else family
            assert setting_names(family, preset) == argument_names(owner)


def test_presets_are_found_by_one_name_or_two():
    expected = ("PixelRNN", "digits_row")
    assert find_preset("digits_row") == find_preset("PixelRNN/digits_row") == expected
    for name, text in (
        ("digits", "Several families have a preset 'digits'.*PixelCNN/digits, Gated"),
        ("PixelRNN/digits", "no preset 'PixelRNN/digits'.*PixelRNN/digits_row"),
        ("mnits_50", "no preset 'mnits_50'. Did you mean mnist_50"),
        ("Nothing/digits_row", "Did you mean PixelRNN/digits_row"),
        ("xyz", "no preset 'xyz'. genimg-train --list"),
    ):
        with pytest.raises(ValueError, match=text):
            find_preset(name)
