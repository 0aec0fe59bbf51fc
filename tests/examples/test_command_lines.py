"""Command lines that the examples refuse."""

import re

import pytest

from tests.examples.test_train import write_images

ON_IMAGES = "train.py --preset VAE/digits --data ./images"
REFUSED = {
    "blind_spot.py --pixel 11 0": "--pixel must lie in an image of 11 by 15",
    "color_patches.py --minutes 0": "invalid float above 0 value: '0'",
    "color_patches.py --units 2": "2 is not an integer from 3",
    "evaluate.py nothing": "nothing is no folder of.*no family has",
    "evaluate.py run --data binarized_mnist --card .": "--card of a run begins without",
    "moving.py --pixels 0": "--pixels: 0 is not an integer from 1",
    "train.py": "--data, --preset or --list",
    "train.py --preset digits": "several families have 'digits'.*PixelCNN/digits",
    "train.py --preset nothing": "no family has 'nothing'",
    "train.py --preset PixelRNN/mnist": "PixelRNN does not have 'mnist'",
    "train.py --preset VAE/frey_face": "Download frey_rawface.mat",
    "train.py --preset VAE/digits --data ./empty": "images must hold some",
    "train.py --preset VAE/digits --data ./nothing": "Received: nothing",
    "train.py --preset VAE/digits --data images": "pass --data ./images",
    f"{ON_IMAGES} --crop-size 9": "Received: crop_size=.9, 9",
    f"{ON_IMAGES} --epochs 0": "--epochs: 0 is not an integer from 1",
    f"{ON_IMAGES} --held-out 20": "below 16, the number of training images",
    f"{ON_IMAGES} --save-every 0": "--save-every: 0 is not an integer from 1",
    f"{ON_IMAGES} --samples -1": "--samples: -1 is not an integer from 0",
    f"{ON_IMAGES} --learning-rate 0": "invalid float above 0 value: '0'",
    f"{ON_IMAGES} --set nothing=1": "VAE has no argument nothing",
    "train.py --preset PixelCNN/digits --set num_classes=10": "images without labels",
    f"{ON_IMAGES} --set latent_dim": "needs NAME=VALUE. Received: latent_dim",
    f"{ON_IMAGES} --set latent_dim=no": "cannot be built.*latent_dim.*no",
    f"{ON_IMAGES} --set image_shape=[8,8,1]": "cannot change image_shape",
    f"{ON_IMAGES} --strategy multi_worker": "environment variable TF_CONFIG",
}


@pytest.mark.parametrize("command", REFUSED)
def test_refused(command, run_example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    write_images(tmp_path / "images", 20)
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.keras").touch()
    with pytest.raises(SystemExit) as ended:
        run_example(command)
    assert re.search(REFUSED[command], f"{ended.value.code}{capsys.readouterr().err}")
    assert not (tmp_path / "outputs").exists()
