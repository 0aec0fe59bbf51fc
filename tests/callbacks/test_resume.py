"""A run that was stopped ends as one that never was."""

import collections
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.callbacks import Resume
from keras_genimg.callbacks.resume import check_same_run, describe_run
from keras_genimg.datasets import cluttered_digits, load, two_digits
from keras_genimg.models import VAE, OrientedModel, PixelCNN
from tests.datasets.written_sets import write_set
from tests.fitting.one_convolution import one_convolution
from tests.inputs.sources import Batches

pytestmark = pytest.mark.slow

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(20, *SHAPE)).astype("uint8")
BATCHES = 5


class Stop(keras.callbacks.Callback):
    """Raise an error after a number of batches, as Ctrl+C does."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if self.batches == 0:
            raise KeyboardInterrupt


def make(family=VAE, arguments=(SHAPE, 2, 4), rate=0.01, **options):
    keras.utils.set_random_seed(0)
    model = family(*arguments)
    optimizer = keras.optimizers.Adam(rate, use_ema=True)
    model.compile(optimizer, **{"run_eagerly": True, **options})
    return model


def fit(model, *callbacks, x=IMAGES, **options):
    """Return the history of training for two epochs of five batches."""
    options = {"epochs": 2, "batch_size": 4, "verbose": 0, **options}
    return model.fit(x, callbacks=list(callbacks), **options)


def run(*callbacks, make=make, **options):
    """Train a new model; return its weights, the history and the epochs."""
    model = make()
    history = fit(model, *callbacks, **options)
    return model.get_weights(), history.history, history.epoch


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what a run returns that was never stopped."""
    return run(Resume(tmp_path_factory.mktemp("whole")))


def stopped(batches, *callbacks, **options):
    """Run, and stop after some batches."""
    with pytest.raises(KeyboardInterrupt):
        run(Stop(batches), *callbacks, **options)


def assert_resumes(folder, *stops, save_every=1, repeats_exactly=False, **options):
    """Check that a run ends alike, whether it was stopped after some batches or not.

    It was started several times, and trained on `stops` batches each time. Returns what
    `run` returns.
    """

    def resume(name):
        return Resume(folder / name, save_every, repeats_exactly=repeats_exactly)

    for batches in stops:
        stopped(batches, resume("stopped"), **options)
    ended = run(resume("stopped"), **options)
    np.testing.assert_equal(ended, run(resume("whole"), **options))
    return ended


@pytest.mark.parametrize("stops", [(1,), (4, 3), (5,), (7, 1)])
def test_ends_with_the_same_bits_wherever_it_was_stopped(stops, tmp_path):
    assert_resumes(tmp_path, *stops, save_every=2)


def test_orders_of_pixels_continue(tmp_path):
    def make_oriented():
        keras.utils.set_random_seed(1)
        network = PixelCNN(SHAPE, 3, 1, 4, num_classes=8)
        return make(OrientedModel, (network,))

    assert_resumes(tmp_path, 3, 4, make=make_oriented)


def test_stopped_between_the_last_batch_and_the_end_of_the_epoch(
    whole, tmp_path, capsys
):
    other = tmp_path / "state-9-9 (copy).npz"
    other.touch()  # Is neither read nor removed.

    def files():
        return {path.name for path in tmp_path.iterdir()} - {".lock", other.name}

    with pytest.raises(KeyboardInterrupt):
        run(Resume(tmp_path, save_every=1), Stop(BATCHES))
    # Older ones were removed.
    assert files() == {"state-000000-000000004.npz", "state-000000-000000005.npz"}
    assert capsys.readouterr().out == ""
    np.testing.assert_equal(run(Resume(tmp_path)), whole)
    assert capsys.readouterr().out == "Resuming at epoch 1, batch 6.\n"
    assert files() == {"state-000001-000000000.npz", "state-000002-000000000.npz"}
    assert other.exists()


def test_data_sets_and_validation_data_that_are_new_in_each_epoch(tmp_path):
    options = {"batch_size": 100, "binarize": "dynamic"}
    data = {
        "x": load("digits", "test", shuffle=True, **options),
        "validation_data": load("digits", "test", **options),
        "batch_size": None,
    }
    data["make"] = lambda: make(VAE, ((8, 8, 1), 2, 4))
    _, history, _ = assert_resumes(tmp_path, 5, 2, epochs=3, **data)
    assert len(set(history["val_reconstruction"])) == 3


def test_a_finished_run_trains_no_step_and_goes_on_with_more_epochs(whole, tmp_path):
    run(Resume(tmp_path))
    steps = Stop(1)
    np.testing.assert_equal(run(steps, Resume(tmp_path)), whole)
    assert steps.batches == 1
    longer = run(Resume(tmp_path), epochs=3)
    assert longer[2] == [0, 1, 2]
    np.testing.assert_equal(longer, run(Resume(tmp_path / "other"), epochs=3))


class Halve(keras.callbacks.Callback):
    """Halve the rate at the end of each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.01 / 2 ** (epoch + 1)


@pytest.mark.parametrize("last", ["Resume", "SwapEMAWeights"])
def test_goes_on_with_the_weights_that_were_swapped_with_their_averages(last, tmp_path):
    swaps = collections.defaultdict(lambda: keras.callbacks.SwapEMAWeights(True))

    def callbacks(name):
        found = [swaps[name], Halve(), Resume(tmp_path / name, verbose=False)]
        return found if last == "Resume" else [*found[1:], found[0]]

    def trained(name, epochs=3):
        return run(*callbacks(name), epochs=epochs, validation_data=IMAGES)

    for batches in (BATCHES + 1, BATCHES + 2):
        stopped(batches, *callbacks("stopped"), epochs=3, validation_data=IMAGES)
    whole = trained("whole")
    np.testing.assert_equal(trained("stopped"), whole)
    # A finished run, again, and with more epochs.
    finished = trained("short", epochs=2)
    np.testing.assert_equal(trained("short", epochs=2), finished)
    np.testing.assert_equal(trained("short"), whole)


@pytest.mark.parametrize("left", [0, -20])
def test_a_damaged_file_falls_back_to_the_one_before(left, whole, tmp_path):
    stopped(7, Resume(tmp_path, save_every=1))
    first, last = sorted(tmp_path.glob("state-*"))
    last.write_bytes(last.read_bytes()[:left])
    with pytest.warns(UserWarning, match=f"{last.name} cannot be read"):
        np.testing.assert_equal(run(Resume(tmp_path, save_every=1)), whole)


def own_dataset():
    return tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)


def own_batches():
    return Batches(np.split(IMAGES, BATCHES))


@pytest.mark.parametrize("source", [own_batches, own_dataset])
def test_other_sources_are_refused_unless_they_repeat(source, tmp_path):
    data = {"x": source(), "batch_size": None}
    with pytest.raises(ValueError, match="repeats exactly.*Resume.repeats_exactly=Tr"):
        run(Resume(tmp_path / "no"), **data)
    assert not (tmp_path / "no").exists()
    assert_resumes(tmp_path, 7, repeats_exactly=True, **data)


def test_validation_data_must_repeat_too(tmp_path):
    mapped = load("digits", "test", 60, binarize="dynamic", crop_size=4).map(
        lambda x: x
    )
    with pytest.raises(ValueError, match="validation data of type .*Dataset repeats"):
        fit(make(), Resume(tmp_path), validation_data=mapped)
    resume = Resume(tmp_path, repeats_exactly=True)
    fit(make(), resume, validation_data=own_dataset())


def test_generators_are_refused(tmp_path):
    resume = Resume(tmp_path, repeats_exactly=True)
    generator = ((batch,) for batch in own_dataset())
    with pytest.raises(ValueError, match="type generator again.*read only once"):
        fit(make(), resume, x=generator, batch_size=None)


OTHERS = {
    "model": lambda d: fit(make(VAE, (SHAPE, 3, 4)), Resume(d)),
    "optimizer": lambda d: fit(make(rate=0.02), Resume(d)),
    "batch size": lambda d: fit(make(), Resume(d), batch_size=5),
    "seed": lambda d: fit(make(), Resume(d, seed=1)),
    "shuffle": lambda d: fit(make(), Resume(d), shuffle=False),
    "data": lambda d: fit(make(), Resume(d), x=1 - IMAGES),
    # Within an epoch, a batch would be left out.
    "steps per execution": lambda d: fit(make(steps_per_execution=2), Resume(d)),
}


def test_another_run_is_refused_by_name(tmp_path):
    stopped(BATCHES + 2, Resume(tmp_path, save_every=1))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name, other in OTHERS.items():
        text = f"Resume found another {name} in .*Saved: "
        with pytest.raises(ValueError, match=text):
            other(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_class_may_have_moved_to_another_file(tmp_path):
    model = make()
    saved = describe_run(model, {})
    config = saved["model"]["config"]["posterior"]
    config["module"] = "keras_genimg.latents.of_an_earlier_version"
    check_same_run(saved, describe_run(model, {}), tmp_path)
    config["class_name"] = "Laplace"
    with pytest.raises(ValueError, match="another model in .*Saved: config.posterior"):
        check_same_run(saved, describe_run(model, {}), tmp_path)


def test_another_set_of_the_same_form_is_other_data(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    described = []
    for name in ("first_set", "second_set"):
        write_set(tmp_path, name, IMAGES * 255, SHAPE)
        described.append({"data": load(name, "train").epochs.description})
    with pytest.raises(ValueError, match="another data.*name=.first_set.*second_set"):
        check_same_run(*described, tmp_path)


def test_a_folder_of_images_may_have_moved(tmp_path):
    described = []
    for name in ("before", "now"):
        (tmp_path / name).mkdir()
        for i, image in enumerate(IMAGES):
            keras.utils.save_img(tmp_path / name / f"{i:02}.png", image, scale=False)
        described.append(load(tmp_path / name).epochs.description)
    assert described[0] == described[1]


def test_data_of_earlier_versions_had_no_name(tmp_path):
    now = {"data": {"split": "train", "name": "digits"}}
    check_same_run({"data": {"split": "train"}}, now, tmp_path)
    for saved in ({"split": "test"}, {"split": "train", "name": "mnist"}):
        with pytest.raises(ValueError, match="another data"):
            check_same_run({"data": saved}, now, tmp_path)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_model_compiled_again_by_a_callback_trains_by_its_new_optimizer(
    tmp_path, interrupted
):
    resume = Resume(tmp_path, save_every=1)
    if interrupted:
        stopped(3, resume)
    model = make(run_eagerly=False)

    def compile_again(logs):
        model.compile(keras.optimizers.SGD(0.0))

    fit(model, keras.callbacks.LambdaCallback(on_train_end=compile_again), resume)
    before = model.get_weights()
    fit(model, Resume(tmp_path / "next"))
    np.testing.assert_equal(model.get_weights(), before)


@pytest.mark.parametrize("make_set", [cluttered_digits, two_digits])
def test_other_canvases_are_other_data(make_set):
    def described(**options):
        return make_set("digits", "test", **options).epochs.description

    assert described() == described(seed=0)
    assert described() != described(canvas_size=30)


def test_other_models_of_keras_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="model of keras_genimg.models.*Sequential"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[Resume(tmp_path)])


def test_two_runs_in_one_directory_are_refused(tmp_path):
    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(ValueError, match="Another run uses the directory"):
                fit(make(), Resume(tmp_path))

    fit(make(), Second(), Resume(tmp_path), epochs=1)
    fit(make(), Resume(tmp_path))


@pytest.mark.parametrize(
    "options",
    [{"validation_split": 0.5}, {"steps_per_epoch": 2}, {"initial_epoch": 1}],
    ids=str,
)
def test_arguments_that_cannot_be_heeded_are_refused(options, tmp_path):
    (name,) = options
    with pytest.raises(ValueError, match=f"no place for `{name}`"):
        fit(make(), Resume(tmp_path), **options)


def test_sample_weights_and_conditions_go_with_the_images(tmp_path):
    def pixels():
        return make(functools.partial(PixelCNN, num_classes=3), (SHAPE, 2, 1))

    labels = np.arange(20) % 3
    options = {"make": pixels, "sample_weight": np.linspace(0, 2, 20)}
    as_dict = {"x": {"images": IMAGES, "label": labels}, **options}
    whole = run(Resume(tmp_path / "whole"), **as_dict)
    stopped(3, Resume(tmp_path, save_every=1), **as_dict)
    as_list = {"x": [IMAGES, labels], **options}
    np.testing.assert_equal(run(Resume(tmp_path), **as_list), whole)


def test_graphs_with_several_steps_an_execution(tmp_path):
    def several():
        return make(run_eagerly=False, steps_per_execution=2)

    assert_resumes(tmp_path, 3, make=several, save_every=2, batch_size=2)


def test_steps_per_execution_may_change_between_epochs(tmp_path):
    fit(make(), Resume(tmp_path), epochs=1)
    fit(make(steps_per_execution=2), Resume(tmp_path))


def test_numbers_of_numpy(tmp_path):
    """The integers wrap around at 256."""
    data = {"x": IMAGES[:1].repeat(260, 0), "epochs": 1}
    resume = Resume(tmp_path, save_every=np.uint8(200), seed=np.int64(3))
    fit(make(), resume, batch_size=np.uint8(1), **data)
    fit(make(), Resume(tmp_path, seed=3), batch_size=1, **data)


@pytest.mark.parametrize("name, value", [("save_every", 0), ("seed", "1")])
def test_bad_arguments(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"`{name}`"):
        Resume(tmp_path, **{name: value})


def digits():
    return load("digits", "test", 60, binarize="fixed", crop_size=4)


# With a global seed, Keras shuffles each epoch of the images alike.
@pytest.mark.parametrize("batches", [None, digits])
def test_backups_of_keras_are_exact_where_nothing_is_random(batches, tmp_path):
    def data():
        return {} if batches is None else {"x": batches(), "batch_size": None}

    def model():
        return make(one_convolution, (SHAPE,))

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path)

    stopped(BATCHES + 2, backup(), make=model, **data())
    restored = model()
    assert fit(restored, backup(), **data()).epoch == [1]
    weights, _, _ = run(make=model, **data())
    np.testing.assert_equal(restored.get_weights(), weights)
    # The next `fit` begins in its first epoch.
    assert fit(restored).epoch == [0, 1]


def test_not_together_with_backups_of_keras(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    for callbacks in ([backup, Resume(tmp_path)], [Resume(tmp_path), backup]):
        with pytest.raises(ValueError, match="both Resume and BackupAndRest.*over"):
            fit(make(), *callbacks)
    assert not list(tmp_path.iterdir())


def test_needs_a_compiled_model(tmp_path):
    with pytest.raises(ValueError, match="needs a compiled model.*Call `compile`"):
        fit(PixelCNN(SHAPE, 4, 1), Resume(tmp_path))
