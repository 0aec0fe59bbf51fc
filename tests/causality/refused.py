"""Images that a `wired` model of mask B may not see, and the error that says so."""

import numpy as np

IMAGES = np.random.default_rng(0).integers(2, size=(16, 4, 5, 1)).astype("uint8")
TEXT = (
    "(?s)wired is not causal.*from \\(row 0, column 0, color 0\\) on changes the "
    "parameters of \\(row 0, column 0, color 0\\).*"
    "enters through MaskedConv2D 'first'.*"
    'mask_type="A".*check_causality = False'
)
