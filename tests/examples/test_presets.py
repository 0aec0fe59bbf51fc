import numpy as np
import pytest

from tests.examples.preset_steps import PRESETS, train_a_step

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


@pytest.mark.parametrize("key", PRESETS)
def test_every_preset_trains_a_step(key, tmp_path):
    # SVHN's attention patches have 12 pixels a side.
    size = 12 if key == "DRAW/svhn" else 8
    loss, shape = train_a_step(*PRESETS[key], tmp_path, size, run_eagerly=True)
    assert np.isfinite(loss) and shape[:2] == (size, size)
