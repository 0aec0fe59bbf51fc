"""Command lines that the examples refuse."""

import re

import pytest

from tests.commands.image_folders import write_images
from tests.subprocesses import run_python

ON_IMAGES = "genimg-train --preset VAE/digits --data ./images"
REFUSED = {
    "blind_spot.py --pixel 11 0": "--pixel must lie in an image of 11 by 15",
    "color_patches.py --minutes 0": "invalid float above 0 value: '0'",
    "color_patches.py --units 2": "2 is not an integer from 3",
    "evaluate.py nothing": "nothing is no folder of.*There is no preset 'nothing'",
    "evaluate.py run --data binarized_mnist --card .": "--card of a run begins without",
    "moving.py --pixels 0": "--pixels: 0 is not an integer from 1",
    "genimg-train": "--data, --preset or --list",
    "genimg-train --preset digits": "Several families have .*PixelCNN/digits",
    "genimg-train --preset nothing": "no preset 'nothing'. genimg-train --list",
    "genimg-train --preset PixelRNN/mnist": "Did you mean PixelCNN/mnist or PixelRNN/",
    "genimg-train --preset digit_row": "no preset 'digit_row'. Did you mean digits_row",
    "genimg-train --preset VAE/frey_face": "Download frey_rawface.mat",
    "genimg-train --preset VAE/digits --data ./empty": "No images found in 'empty'",
    "genimg-train --preset VAE/digits --data ../fotos": "There is no folder '../fotos'",
    "genimg-train --data ./imagse": "^2genimg-train: .* mean './images'\\?\n$",
    "genimg-train --preset VAE/frey_face --data ./no.mat": "There is no file 'no.mat'",
    "genimg-train --data ./images/000.png": "000.png' is a file. Give the folder of",
    "genimg-train --data images": "'images' is taken as a data set .* ./images",
    "genimg-train --data ./images --start-from gone": "There is no folder 'gone'",
    "genimg-train --data ./images --start-from empty": "'empty' holds no model.keras",
    "genimg-train --preset VAE/digits --data images": "pass --data ./images",
    f"{ON_IMAGES} --crop-size 9": "Received: crop_size=.9, 9",
    f"{ON_IMAGES} --color-mode gray": "choose from '?rgb'?, '?grayscale",
    "genimg-train --preset VAE/digits --color-mode rgb": "`color_mode` converts the",
    f"{ON_IMAGES} --epochs 0": "--epochs: 0 is not an integer from 1",
    f"{ON_IMAGES} --held-out 20": "below 16, the number of training images",
    f"{ON_IMAGES} --save-every 0": "--save-every: 0 is not an integer from 1",
    f"{ON_IMAGES} --samples -1": "--samples: -1 is not an integer from 0",
    f"{ON_IMAGES} --learning-rate 0": "invalid float above 0 value: '0'",
    f"{ON_IMAGES} --set nothing=1": "VAE has no argument nothing. Its arguments are",
    f"{ON_IMAGES} --set latent_dims=1": "latent_dims. Did you mean latent_dim",
    "genimg-train --preset PixelCNN/digits --set num_classes=10": "--labels takes",
    "genimg-train --preset PixelCNN/digits --set class_names=[]": "--labels takes",
    "genimg-train --preset OrientedModel/mnist --set unit=4": "Did you mean units",
    f"{ON_IMAGES} --labels": "VAE takes no labels.* a preset of PixelCNN, GatedPixel",
    f"{ON_IMAGES} --orders": "VAE takes no orders. Leave out --orders, or",
    "genimg-train --data ./images --labels": "Move each image into one.*000",
    f"{ON_IMAGES} --set latent_dim": "needs NAME=VALUE. Received: latent_dim",
    f"{ON_IMAGES} --set latent_dim=no": "cannot be built.*latent_dim.*no",
    f"{ON_IMAGES} --set image_shape=[8,8,1]": "cannot change image_shape",
    f"{ON_IMAGES} --strategy multi_worker": "environment variable TF_CONFIG",
}


# Mistyped commands, which are refused before TensorFlow is imported.
MISTYPED = """
import importlib, sys
for line in sys.stdin.read().splitlines():
    module, *sys.argv = line.split()
    try:
        importlib.import_module(module).main()
    except SystemExit as ended:
        assert ended.code == 2, line
    else:
        assert False, line
print({"keras", "keras_genimg", "tensorflow"} & set(sys.modules))
"""
LINES = """
genimg_export.train genimg-train --preset digit_row
genimg_export.train genimg-train --data ../fotos
genimg_export.train genimg-train --data photos
genimg_export.train genimg-train --preset VAE/digits --set latent_dims=1
genimg_export.train genimg-train --preset VAE/digits --start-from gone
genimg_export.train genimg-train --preset VAE/digits --epochs 0
genimg_export.export_model genimg-export gone.keras --name a --base-dir b
genimg_export.export_model genimg-export run --name a --base-dir b
genimg_export.export_model genimg-export --preset digit_row --name a --base-dir b
genimg_export.verify genimg-verify gone
genimg_export.client genimg-client --model a complete a.png b.png --output c
genimg_export.client genimg-client --model a complete a.png --output c
genimg_export.serve genimg-serve --model models
"""


def test_mistyped_commands_are_refused_at_once(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.keras").touch()
    printed = run_python("-c", MISTYPED, input=LINES.strip(), cwd=tmp_path)
    assert printed == "set()\n"


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
