import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import first_leak, is_causal
from keras_genimg.generation.candidates import later_known
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import MultiScalePixelRNN
from keras_genimg.ops.scales import scale_order
from tests.sampling.drawn import assert_ancestral
from tests.seldom import weekly_but


def make(shape=(4, 8, 1), scales=((1, 2), (2, 2), (4, 8)), units=3, **options):
    """Return a model with random weights.

    By default, it has three scales; the height grows, then both sides do, by 2 and 4.
    """
    sizes = {"first_kernel_size": 3, "head_filters": 6, "condition_filters": 4}
    model = MultiScalePixelRNN(shape, scales, units, 1, **sizes, **options)
    generator = np.random.default_rng(0)
    model.set_weights(
        [generator.normal(size=w.shape, scale=0.7) for w in model.get_weights()]
    )
    return model


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(2, size=(6, 4, 8, 1))


def order_by_hand(scales):
    """Return the pixels in the order of drawing, by plain loops."""
    height, width = scales[-1]
    order = []
    for rows, columns in scales:
        for r in range(0, height, height // rows):
            for c in range(0, width, width // columns):
                if (r, c) not in order:
                    order.append((r, c))
    return order


@pytest.mark.parametrize(
    "shape, scales",
    [
        ((2, 3, 2), ((1, 1), (2, 3))),
        pytest.param((3, 2, 1), ((1, 1), (1, 2), (3, 2)), marks=pytest.mark.slow),
    ],
)
def test_log_probability_is_that_of_the_scales_and_sums_to_one(shape, scales):
    """Computed from the networks one by one, new pixels only."""
    model = make(shape, scales, units=4, likelihood=Categorical(2))
    every = itertools.product(range(2), repeat=int(np.prod(shape)))
    images, total = np.reshape(list(every), (-1, *shape)), 0.0
    for index, network in enumerate(model.scale_models):
        x = model.at_scale(images, index)
        here = x if index == 0 else x["images"]
        logits = np.asarray(network(x, training=False), "float64")
        of_values = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        nats = np.where(here == 1, of_values[..., 1], of_values[..., 0])
        if index > 0:
            small, large = scales[index - 1 : index + 1]
            nats[:, :: large[0] // small[0], :: large[1] // small[1]] = 0
        total += nats.sum((1, 2, 3))
    options = {"batch_size": 1024, "verbose": 0}
    alone = network.log_prob(x, **options)
    np.testing.assert_allclose(alone, nats.sum((1, 2, 3)), rtol=1e-5)
    log_prob = model.log_prob(images, **options)
    np.testing.assert_allclose(log_prob, total, rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-5)


def test_a_pixel_depends_on_earlier_ones_and_on_all_of_the_small_image():
    model = make(likelihood=Categorical(3))
    generator = np.random.default_rng(2)
    rank = {place: i for i, place in enumerate(order_by_hand(model.scales))}
    images = generator.integers(3, size=(1, 4, 8, 1))
    # One copy for each changed pixel and each change, evaluated together.
    changes = np.eye(32, dtype=int).reshape(32, 4, 8, 1)
    changed = np.concatenate([images + changes, images + 2 * changes]) % 3
    # The batch has the same size, so that rounding is the same.
    unchanged = np.repeat(images, 64, axis=0)
    differs = np.asarray(model(changed)) != np.asarray(model(unchanged))
    reached = differs.any((-1, -2)).reshape(2, 4, 8, 4, 8).any(0)
    small = [(r, c) for r in range(0, 4, 2) for c in range(0, 8, 4)]
    for source, target in itertools.product(rank, rank):
        if rank[target] <= rank[source]:
            assert not reached[source][target], (source, target)
        elif source in small and target not in small:
            if (target[0] // 2 * 2, target[1] // 4 * 4) == source:
                assert reached[source][target], (source, target)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", weekly_but([False, True], False))
def test_samplers_agree_and_small_images_are_enlarged(model, jit_compile):
    drawn = model.generate(5, seed=3, method="ancestral")
    assert_ancestral(model, drawn, seeds=np.arange(3, 8))
    for method in ("incremental", "fixed_point"):
        options = {"method": method, "jit_compile": jit_compile}
        np.testing.assert_array_equal(model.generate(5, seed=3, **options), drawn)
    # The numbers of a pixel are its own, so the rest is drawn as before.
    for small in (drawn[:, ::4, ::4], drawn[:, ::2, ::4]):
        enlarged = model.enlarge(small, seed=3, jit_compile=jit_compile)
        np.testing.assert_array_equal(enlarged, drawn)
    assert (model.enlarge(small, seed=50) != drawn).any()


@pytest.mark.parametrize(
    "scales", [((1, 2), (2, 2), (4, 8)), ((2, 2), (4, 4)), ((1, 1), (3, 2), (6, 6))]
)
def test_pixels_are_known_in_the_order_of_drawing(scales):
    generator = np.random.default_rng(0)
    known = generator.integers(2, size=(50, *scales[-1], 1))
    found = later_known(tf.constant(known), scale_order(scales)).numpy()
    for index in range(len(known)):
        begun = False
        for r, c in order_by_hand(scales):
            begun |= known[index, r, c, 0] == 0
            assert found[index, r, c] == (begun and known[index, r, c, 0] == 1)


@pytest.mark.slow
def test_completion_approaches_the_posterior():
    """The probability of an unknown pixel given all others, by enumeration."""
    shape, scales = (4, 4, 1), ((1, 1), (4, 4))
    model = make(shape, scales, units=4)
    known = np.ones((4, 4))
    known[0, 0] = 0  # The small image, which comes first.
    images = np.random.default_rng(0).integers(2, size=(64, *shape))
    both = np.repeat(images[None], 2, axis=0)
    both[0, :, 0, 0], both[1, :, 0, 0] = 0, 1
    joint = np.exp(model.log_prob(both.reshape(-1, *shape))).reshape(2, -1)
    posterior = joint[1] / joint.sum(0)
    # The image that says most about its first pixel.
    index = np.argmax(np.abs(posterior - np.median(posterior)))
    image, posterior = images[index : index + 1], posterior[index]
    # The mean of 4,000 draws has a deviation of at most 0.008: a level of 3e-10.
    images = np.repeat(image, 4000, axis=0)
    completed = model.complete(
        images, known, seed=0, num_candidates=16, batch_size=32000
    )
    np.testing.assert_array_equal(completed[:, known == 1], images[:, known == 1])
    first = model.complete(images, known, seed=0, batch_size=2000)
    assert abs(completed[:, 0, 0].mean() - posterior) < 0.05
    assert abs(first[:, 0, 0].mean() - posterior) > 0.1  # So it has to be weighed.


@pytest.mark.slow
@pytest.mark.parametrize("subsampling", ["top_left", "box"])
def test_trains_and_reports_each_scale(images, subsampling):
    model = make(subsampling=subsampling)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    history = model.fit(images, epochs=2, verbose=0).history
    names = [f"nats_{height}x{width}" for height, width in model.scales]
    total = np.sum([history[name] for name in names], axis=0)
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    bits = total / 32 / np.log(2)
    np.testing.assert_allclose(history["bits_per_dim"], bits, rtol=1e-5)
    results = model.evaluate(images, return_dict=True, verbose=0)
    for index in (0, 2):
        alone = model.scale_models[index]
        alone.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
        x = model.at_scale(images, index)
        loss = alone.evaluate(x, verbose=0, return_dict=True)["loss"]
        np.testing.assert_allclose(results[names[index]], loss, rtol=1e-5)
        before = [w.numpy() for w in alone.weights]
        alone.fit(x, verbose=0)
        pairs = zip(before, alone.get_weights(), strict=True)
        assert any((a != b).any() for a, b in pairs)


@pytest.mark.slow
def test_networks_draw_and_complete_alone(model, images):
    network = model.scale_models[2]
    small = images[:, ::2, ::4]
    drawn = network.generate(6, seed=0, conditions=small)
    np.testing.assert_array_equal(drawn[:, ::2, ::4], small)
    np.testing.assert_array_equal(model.enlarge(small, seed=0), drawn)
    with pytest.raises(ValueError, match=r"`small_images` of .*from 0 to 1.*7"):
        network.generate(6, seed=0, conditions=small * 0 + 7)
    other = {"images": images, "small_images": 1 - small}
    for call in (network.log_prob, network.evaluate):
        with pytest.raises(ValueError, match=r"top-left.*images\[:, ::2, ::4\]"):
            call(other)
    # A network completes what its small images leave open.
    known = np.zeros((4, 8))
    known[:, :3] = 1
    options = {"seed": 3, "num_candidates": 4, "conditions": small}
    completed = network.complete(images, known, **options)
    np.testing.assert_array_equal(completed[:, known == 1], images[:, known == 1])
    np.testing.assert_array_equal(completed[:, ::2, ::4], small)
    # No known pixel follows an unknown one, so candidate 0 is returned.
    known = np.zeros((4, 8))
    known[0] = 1
    first = network.complete(images, known, seed=3, conditions=small)
    options["return_effective_sample_size"] = True
    again, sizes = network.complete(images, known, **options)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(sizes, 4, rtol=1e-6)
    with pytest.raises(ValueError, match=r"images\[:, ::2, ::4\] from `small_images`"):
        network.complete(1 - images, known, **options)
    with pytest.raises(ValueError, match="Export the whole model"):
        network.endpoints(network.image_shape)


def test_other_images_and_scales_have_nothing_to_train_on(model, images):
    for index in (-1, 3):
        with pytest.raises(ValueError, match="from 0 to 2. Received: index="):
            model.at_scale(images, index)
    with pytest.raises(ValueError, match="at_scale expects images of shape"):
        model.at_scale(images[:, :3], 0)


@pytest.mark.slow
def test_a_leak_is_found_at_its_scale(images):
    model = make()
    network = model.scale_models[1]
    first = network.get_layer("first_convolution")
    assert first_leak(model) is None
    first.mask = np.ones_like(first.mask)
    assert first_leak(model) is not None and not is_causal(model)
    model.compile("adam")
    for call in (lambda: model.fit(images, verbose=0), lambda: model.generate(1)):
        with pytest.raises(ValueError, match="scale_2x2 is not causal"):
            call()


@pytest.mark.parametrize(
    "scales, text",
    [
        ((8,), "at least two sizes.*use PixelRNN.*Received"),
        (8, "at least two sizes"),
        ((3, 8), "a multiple of the one before.*Received"),
        ((8, 8), "a multiple of the one before.*and larger"),
        (((2, 4), (4, 6), (8, 8)), "a multiple of the one before"),
        ((2, 4), r"the size of the image.*image_shape=\(8, 8, 1\)"),
        ((0, 8), "`scales` of MultiScalePixelRNN must be an integer of at least 1"),
        (((2, 2, 2), 8), r"an integer for a square, or \(height, width\)"),
    ],
)
def test_wrong_scales_are_refused(scales, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        MultiScalePixelRNN((8, 8, 1), scales, 4, 1)


@pytest.mark.parametrize(
    "shape", [(2, 4, 8, 1), (2, 3, 3, 1), (2, 2), (2, 2, 2, 3), (0, 2, 2, 1)]
)
def test_images_of_other_sizes_are_not_enlarged(model, shape):
    with pytest.raises(ValueError, match=r"of a size among \(\(1, 2\), \(2, 2\)\)"):
        model.enlarge(np.zeros(shape, int))


def test_there_is_one_size_and_no_condition(model):
    with pytest.raises(ValueError, match="`image_size=.*that fits"):
        model.generate(1, image_size=(8, 8))
    with pytest.raises(ValueError, match=r"must give the inputs \[\]"):
        model.generate(1, conditions=[1])
    with pytest.raises(ValueError, match=r"which are \[\]. Received: \['label'\]"):
        MultiScalePixelRNN((4, 4, 1), (2, 4), 3, 1, condition_ranges={"label": (0, 1)})
    with pytest.raises(ValueError, match="`subsampling` of MultiScale.*'top_left'"):
        MultiScalePixelRNN((8, 8, 1), (4, 8), 4, 1, subsampling="mean")


@pytest.mark.slow
def test_exported_enlarges_as_the_model(model, tmp_path):
    model.export(tmp_path / "model", verbose=False)
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    small = np.random.default_rng(0).integers(2, size=(3, 2, 2, 1))
    sent = tf.constant(small * 255, tf.int32)
    seeds = tf.constant([5, 6, 7], tf.int64)
    enlarged = signatures["enlarge"](images=sent, seed=seeds)["images"]
    np.testing.assert_array_equal(enlarged, 255 * model.enlarge(small, seed=[5, 6, 7]))
    drawn = signatures["sample"](seed=seeds)["images"]
    np.testing.assert_array_equal(drawn, 255 * model.generate(3, seed=[5, 6, 7]))


@pytest.fixture(scope="module")
def box_model():
    options = {"likelihood": Categorical(3), "subsampling": "box"}
    return make((2, 4, 1), ((1, 2), (2, 4)), **options)


def means_by_hand(images):
    """Return means of cells of 2x2 pixels, by plain loops; halves are rounded up."""
    means = np.zeros((len(images), 1, 2, 1), int)
    for index, image in enumerate(images):
        for c in range(2):
            means[index, 0, c, 0] = int(image[:, 2 * c : 2 * c + 2].sum() / 4 + 0.5)
    return means


@pytest.mark.slow
def test_box_means_give_a_lower_bound(box_model):
    every = np.reshape(list(itertools.product(range(3), repeat=8)), (-1, 2, 4, 1))
    chosen = every[np.random.default_rng(0).permutation(len(every))[:300]]
    small = means_by_hand(chosen)
    x = box_model.at_scale(chosen, 1)
    np.testing.assert_array_equal(x["small_images"], small)
    first, second = box_model.scale_models
    expected = first.log_prob(small) + second.log_prob(x)
    bound = box_model.log_prob(chosen)
    np.testing.assert_allclose(bound, expected, rtol=1e-5)
    # All small images make every large one, which its own means alone do not.
    smalls = np.reshape(list(itertools.product(range(3), repeat=2)), (-1, 1, 2, 1))
    prior = np.exp(first.log_prob(smalls))
    np.testing.assert_allclose(prior.sum(), 1, rtol=1e-5)
    exact = np.zeros(300)
    for weight, one in zip(prior, smalls, strict=True):
        given = {"images": chosen, "small_images": np.repeat(one[None], 300, axis=0)}
        exact += weight * np.exp(second.log_prob(given))
    assert (np.exp(bound) < exact).all()


@pytest.mark.slow
def test_a_model_of_box_means_draws(box_model, tmp_path):
    images = np.random.default_rng(1).integers(3, size=(6, 2, 4, 1))
    drawn = box_model.generate(5, seed=0, method="ancestral")
    again = box_model.generate(5, seed=0)
    np.testing.assert_array_equal(again, drawn)
    small = means_by_hand(images)[:5]
    enlarged = box_model.enlarge(small, seed=0)
    alone = box_model.enlarge(small, seed=0, method="ancestral")
    np.testing.assert_array_equal(enlarged, alone)
    box_model.save(tmp_path / "box.keras")
    loaded = keras.models.load_model(tmp_path / "box.keras")
    np.testing.assert_array_equal(loaded.enlarge(small, seed=0), enlarged)
    assert set(box_model.endpoints((2, 4, 1))) == {
        *("sample", "sample_png", "sample_with_temperature"),
        *("log_prob", "check_sampler", "enlarge"),
    }
    with pytest.raises(ValueError, match='Make the model with subsampling="top_l'):
        box_model.complete(images, np.ones((2, 4)))
