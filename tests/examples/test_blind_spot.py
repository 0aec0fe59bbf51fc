import re

import numpy as np
from PIL import Image


def test_only_the_plain_model_has_a_blind_spot(run_example, tmp_path):
    options = ["--image-size", 4, 6, "--pixel", 2, 2, "--blocks", 2]
    printed = run_example("blind_spot.py", *options, "--output", tmp_path)
    found = re.findall(r"^(\w+): (\d+) of (\d+) .* (\d+) missing$", printed, re.M)
    for _, seen, past, unseen in found:
        assert int(seen) + int(unseen) == int(past)
    # To the right, the plain model sees one column more per row above.
    missing = {name: int(unseen) for name, *_, unseen in found}
    assert missing == {"PixelCNN": 2 + 1, "GatedPixelCNN": 0}
    with Image.open(tmp_path / "blind_spot.png") as picture:
        page = np.asarray(picture.convert("RGB")).astype(int)
    red = (page[..., 0] > page[..., 2] + 50).sum()
    blue = (page[..., 2] > page[..., 0] + 50).sum()
    cell = 16 * 16
    assert red == 2 * cell
    assert blue == (2 * 14 - 3) * cell
