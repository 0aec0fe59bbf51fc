import re

from tests.visualization.pictures import red_and_blue


def test_only_the_plain_model_has_a_blind_spot(run_example, tmp_path):
    command = "blind_spot.py --image-size 4 6 --pixel 2 2 --blocks 2 --output"
    printed = run_example(command, tmp_path)
    found = re.findall(r"^(\w+): (\d+) of (\d+) .* (\d+) missing$", printed, re.M)
    for _, seen, past, unseen in found:
        assert int(seen) + int(unseen) == int(past)
    # To the right, the plain model sees one column more per row above.
    missing = {name: int(unseen) for name, *_, unseen in found}
    assert missing == {"PixelCNN": 2 + 1, "GatedPixelCNN": 0}
    cell = 16 * 16
    expected = (2 * cell, (2 * 14 - 3) * cell)
    assert red_and_blue(tmp_path / "blind_spot.png") == expected
