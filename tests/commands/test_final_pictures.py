import numpy as np
from PIL import Image

from keras_genimg.commands.final_pictures import save_easiest_and_hardest
from keras_genimg.visualization import image_grid
from tests.commands.image_folders import holds, random_images


def test_the_easiest_and_the_hardest_images_are_shown_in_order(tmp_path):
    images, bits = random_images(30), np.random.default_rng(0).permutation(30) / 10
    path = tmp_path / "a.png"
    assert save_easiest_and_hardest(path, images, bits) == 10
    order = np.argsort(bits)
    with Image.open(path) as picture:
        for chosen in (order[:10], order[:-11:-1]):
            assert holds(picture, image_grid(images[chosen], columns=5, scale=8))
        assert not holds(picture, image_grid(images[:10], columns=5, scale=8))


def test_a_few_images_are_both(tmp_path):
    path = tmp_path / "a.png"
    assert save_easiest_and_hardest(path, random_images(2), np.array([1.0, 2])) == 2
