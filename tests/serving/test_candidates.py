import numpy as np
import pytest
import tensorflow as tf

from tests.seldom import weekly_but

pytestmark = pytest.mark.slow

SEEDS = [7, 8]
LABELS = np.array([1, 2])


@pytest.fixture(scope="module")
def complete(color_loaded):
    def complete(images, known, name="complete"):
        count = len(images)
        return color_loaded.signatures[name](
            images=tf.constant(images, tf.int32),
            known=tf.constant(known, tf.int32),
            seed=tf.constant([*SEEDS, 9][:count], tf.int64),
            label=tf.constant([*LABELS, 0][:count], tf.int32),
        )

    return complete


@pytest.fixture(scope="module")
def request_of(color_model):
    """Return images as displayed, and masks with known pixels after unknown ones."""
    images = color_model.generate(2, seed=0, conditions=LABELS)
    known = np.array([[[1, 0, 0, 1]] * 3, [[0, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1]]])
    return images, color_model.likelihood.to_display(images), known


@pytest.mark.parametrize("name", weekly_but(["complete", "complete_xla"], "complete"))
def test_exports_choose_what_python_chooses(color_model, complete, request_of, name):
    images, shown, known = request_of
    options = {"seed": SEEDS, "conditions": LABELS, "num_candidates": 5}
    expected, expected_sizes = color_model.complete(
        images, known, return_effective_sample_size=True, **options
    )
    first = color_model.complete(images, known, seed=SEEDS, conditions=LABELS)
    assert (expected != first).any()
    served = complete(shown, known, name=name)
    displayed = color_model.likelihood.to_display(expected)
    np.testing.assert_array_equal(served["images"], displayed)
    sizes = served["effective_sample_size"].numpy()
    assert sizes.dtype == np.float32 and sizes.shape == (2,)
    assert (sizes > 1).all() and (sizes < 4.9).all()
    np.testing.assert_allclose(sizes, expected_sizes, rtol=1e-4)


def test_candidate_0_comes_back_where_no_known_pixel_follows(
    color_model, complete, request_of
):
    images, shown, _ = request_of
    known = np.zeros((2, 3, 4), int)
    known[:, 0] = known[:, 1, :2] = 1
    served = complete(shown, known)
    first = color_model.complete(images, known, seed=SEEDS, conditions=LABELS)
    np.testing.assert_array_equal(
        served["images"], color_model.likelihood.to_display(first)
    )
    np.testing.assert_allclose(served["effective_sample_size"], [5, 5], rtol=1e-6)


def test_examples_times_candidates_are_limited(color_loaded, complete, request_of):
    _, shown, known = request_of
    text = r"1 to 2 examples of 5 candidates, 14 images in all, got\] \[3\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        complete(shown[[0, 0, 0]], known[[0, 0, 0]])
    three = {"seed": tf.constant([1, 2, 3], tf.int64), "label": tf.constant([0, 0, 0])}
    assert len(color_loaded.signatures["sample"](**three)["images"]) == 3


def test_known_pixels_come_back_as_they_were_sent(complete, request_of):
    """Also where no level is theirs."""
    _, shown, known = request_of
    served = complete(np.full_like(shown, 13), known)["images"].numpy()
    assert (served[known == 1] == 13).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="known must be"):
        complete(shown, known + 1)
