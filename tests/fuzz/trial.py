"""The trial of one random model: right everywhere, or refused."""

import collections
import pathlib
import re
import tempfile
import time
import traceback
import unittest.mock
import warnings

import keras
import numpy as np
import tensorflow as tf

import keras_genimg
from keras_genimg.keras_private import all_layers, runs_its_graph
from keras_genimg.ops.precision import is_quantized
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.orders import waves
from tests.fuzz import own_layers
from tests.fuzz.families import faults_of_family
from tests.fuzz.graphs import RandomGraph
from tests.fuzz.honest import Honest
from tests.inputs.sources import Batches
from tests.serving.some_endpoints import write_endpoints

LIBRARY = str(pathlib.Path(keras_genimg.__file__).parent)
NUM_IMAGES = 6
FIRST_SEED = 11
LEAKS = "the forward pass leaks"


class Fault(AssertionError):
    """A wrong result without an error, or an error that is none of the library."""


class Trial:
    """Calls of a random model, each compared with eager forward passes.

    Args:
        seed: Seed of the graph.

    Attributes:
        refusals: The kinds of errors by which the library refused calls, counted.
    """

    def __init__(self, seed):
        self.refusals = collections.Counter()
        self.graph = RandomGraph(seed)
        self.model = self.graph.model
        self.generator = np.random.default_rng(seed)
        self.conditions = self.graph.condition_arrays(NUM_IMAGES)
        self.images = self.graph.images(NUM_IMAGES)
        self.seeds = np.arange(FIRST_SEED, FIRST_SEED + NUM_IMAGES)
        self.is_refused = self.has_leaked = self.is_warned = False
        self.faults = []

    def run(self):
        """Return "right", "refused" or "not finite", and note faults.

        Each call traces the model anew, which takes most of the time. So a graph is
        tried in a few ways out of many.
        """
        self.look_again()
        if not self.honest.is_finite(self.images):
            return "not finite"
        chance = self.graph.chance
        if chance(0.2):
            self.check_after(self.change())
        if chance(0.6):
            self.check_log_prob()
        if chance(0.3):
            self.check_evaluation()
        self.check_generate()
        if self.graph.any_size:
            self.check_other_sizes()
        if chance(0.5):
            self.check_generate(self.graph.pick(["fixed_point", "ancestral"]))
        if chance(0.3):
            self.check_complete()
        if chance(0.12):
            self.check_export()
        if chance(0.5):
            self.check_after(self.change())
        return "refused" if self.is_refused else "right"

    def check_after(self, change):
        self.look_again()
        if self.honest.is_finite(self.images):
            self.check_generate(suffix=f" after {change}")
            if self.graph.chance(0.3):
                self.check_log_prob(f"log_prob after {change}")
            if self.graph.chance(0.3):
                self.check_evaluation(f" after {change}")

    def look_again(self):
        """Compute the properties of the model as it is now."""
        self.honest = Honest(self.model, self.conditions, self.graph.half)
        self.broken = None
        if getattr(self.model.likelihood, "is_wrong", False):
            self.broken = "the likelihood is wrong"
        elif self.honest.is_random(self.images):
            self.broken = "the forward pass is random"
        elif self.honest.leaks(self.images, self.generator):
            self.broken = LEAKS
            self.has_leaked = True  # Other weights can hide it, not mend it.

    def attempt(self, name, call, *args, broken="", must_refuse=True, **options):
        """Return the result of a call, or None if the library refuses it.

        Args:
            name: What is called, for texts.
            call: The function.
            *args: Its arguments.
            broken: Why it must be refused, if not for what the model is in inference.
            must_refuse: Whether a broken model must be refused.
            **options: Further arguments of the function.
        """
        broken = broken or self.broken
        try:
            result = call(*args, **options)
        except Exception as error:
            if not is_refusal(error):
                where_and_what = traceback.format_exception(error)[-2:]
                self.fault(f"{name} crashes: {''.join(where_and_what)}")
                return None
            self.refusals[f"{name.split()[0]}: {kind_of(error)}"] += 1
            if not (self.graph.refusable or broken or self.has_leaked):
                self.fault(f"{name} is refused without need: {error}")
            return None
        if broken and must_refuse:
            self.fault(f"{name} is not refused, though {broken}")
            return None
        return result

    def fault(self, text):
        self.faults.append(text)

    def drawing_options(self, method):
        options = {"seed": self.seeds, "method": method, "verbose": 0}
        return options | ({"conditions": self.conditions} if self.conditions else {})

    def check_generate(self, method="incremental", suffix=""):
        options = self.drawing_options(method)
        options["batch_size"] = self.graph.pick([NUM_IMAGES, 1, 4])
        options["temperature"] = self.graph.pick([1.0, 1.0, 0.6, 1.7])
        if self.graph.any_size:
            options["image_size"] = self.graph.size
        name = f"generate({method}){suffix}"
        drawn = self.attempt(name, self.model.generate, NUM_IMAGES, **options)
        if drawn is not None:
            self.compare(name, drawn, temperature=options["temperature"])
        elif method == "incremental" and not suffix:
            self.is_refused = True

    def check_complete(self):
        method = self.graph.pick([*METHODS])
        known = self.generator.random((NUM_IMAGES, *self.graph.size)) < 0.4
        name = f"complete({method})"
        options = self.drawing_options(method)
        drawn = self.attempt(name, self.model.complete, self.images, known, **options)
        if drawn is not None:
            self.compare(name, drawn, known)

    def compare(self, name, drawn, known=None, temperature=1.0):
        drawn = np.asarray(drawn, "float32")
        if known is not None and np.any((drawn != self.images) & known[..., None]):
            self.fault(f"{name} changes known pixels")
        wrong = self.honest.wrong_subpixels(drawn, self.seeds, known, temperature)
        if wrong:
            self.fault(f"{name}: {wrong} of {drawn.size} sub-pixels are wrong")

    def check_log_prob(self, name="log_prob"):
        expected = self.honest.log_prob(self.images)
        # The first call is traced, and the others use what it has left.
        for size in self.generator.permutation([1, 2, 4, NUM_IMAGES])[:3]:
            # In another order, so that an image has other batch mates.
            order = self.generator.permutation(NUM_IMAGES)
            options = {"batch_size": int(size), "verbose": 0}
            found = self.attempt(
                name, self.model.log_prob, self.inputs(order), **options
            )
            if found is None:
                return
            difference = abs(found - expected[order])
            if not np.all(difference <= self.limit * (1 + abs(expected[order]))):
                self.fault(
                    f"{name}, batch_size={size}: off by {difference.max():.3g} nats"
                )

    def check_evaluation(self, suffix=""):
        """Compare the bits of `evaluate` or `test_on_batch`."""
        if not self.model.compiled:
            self.model.compile(jit_compile=False)
        everything = self.inputs(np.arange(NUM_IMAGES))
        name = self.graph.pick(["evaluate", "test_on_batch"])
        options = {"return_dict": True}
        if name == "evaluate":
            options |= {"batch_size": 4, "verbose": 0}
        call = getattr(self.model, name)
        found = self.attempt(name + suffix, call, everything, **options)
        if found is not None:
            nats = self.honest.log_prob(self.images)
            self.compare_bits(name + suffix, found["bits_per_dim"], nats)

    def compare_bits(self, name, bits, nats, images=None):
        """Note a fault unless bits per sub-pixel are those of the images' nats."""
        size = (self.images if images is None else images)[0].size
        expected = -nats.mean() / (size * np.log(2))
        if not abs(float(bits) - expected) <= self.limit * (1 + expected):
            self.fault(f"{name}: {bits} instead of {expected} bits")

    def check_other_sizes(self):
        """Try images of other sizes, of which a source does not tell."""
        colors, values = self.graph.image_colors, self.model.likelihood.num_values
        # All heights differ, and all widths: Keras learns from the first two batches of
        # a generator which of its sizes change.
        count = self.graph.pick([1, 2])
        more = [self.generator.permutation(range(1, 9))[:count] for _ in range(2)]
        sizes = [self.graph.size]
        for rows, columns in zip(*more, strict=True):
            height, width = self.graph.size
            sizes.append((int(height + rows), int(width + columns)))
        self.generator.shuffle(sizes)
        batches = [
            self.generator.integers(values, size=(4, *size, colors)).astype("float32")
            for size in sizes
        ]
        honest = Honest(self.model, {}, self.graph.half)
        leaks = [honest.leaks(images, self.generator) for images in batches]
        broken = self.broken or (LEAKS if any(leaks) else None)
        signature = tf.TensorSpec((None, None, None, colors))
        source = self.graph.one_of(
            lambda: tf.data.Dataset.from_generator(
                lambda: iter(batches), output_signature=signature
            ),
            lambda: ((images,) for images in batches),
            lambda: Batches(batches),
        )
        calls = ["fit", "evaluate", "train_on_batch", "test_on_batch", "generate"]
        if isinstance(source, tf.data.Dataset):
            calls += ["log_prob", "log_prob"]
        name = self.graph.pick(calls)
        call, options = getattr(self.model, name), {"verbose": 0, "broken": broken}
        self.model.compile(keras.optimizers.SGD(0.0))
        name += " of other sizes"
        if name.startswith(("train", "test")):

            def on_batches():
                logs = []
                for images in batches:
                    self.model.reset_metrics()  # A mean runs on from call to call.
                    logs.append(call(images, return_dict=True))
                return logs

            found = self.attempt(name, on_batches, broken=broken)
            for images, logs in zip(batches, found or [], strict=False):
                self.compare_sizes(name, logs["bits_per_dim"], honest, images)
        elif name.startswith("generate"):
            options |= {"image_size": sizes[-1], "seed": self.seeds[:4]}
            options["broken"] = self.broken or (LEAKS if leaks[-1] else None)
            options["method"] = self.graph.pick([*METHODS])
            found = self.attempt(name, call, 4, **options)
            if found is not None:
                drawn = np.asarray(found, "float32")
                wrong = honest.wrong_subpixels(drawn, self.seeds[:4])
                if wrong:
                    self.fault(f"{name}: {wrong} sub-pixels are wrong")
        else:
            found = self.attempt(name, call, source, **options)
            if found is not None and name.startswith("log_prob"):
                expected = np.concatenate([honest.log_prob(each) for each in batches])
                far = abs(found - expected) > self.limit * (1 + abs(expected))
                if np.any(far):
                    self.fault(f"{name} is off")

    def compare_sizes(self, name, bits, honest, images):
        """Compare bits of a batch of another size."""
        if name.startswith("train"):
            nats = honest.training_log_prob(images)
            if nats is None:
                return
        else:
            nats = honest.log_prob(images)
        self.compare_bits(name, bits, nats, images)

    @property
    def limit(self):
        """The largest difference of nats or bits, relative."""
        return 0.1 if self.graph.half else 1e-3

    def inputs(self, rows):
        given = {"images": self.images[rows].astype("uint8")}
        given |= {name: array[rows] for name, array in self.conditions.items()}
        return given if self.conditions else given["images"]

    def check_export(self):
        def draw():
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/model"
                method = self.graph.pick([*METHODS])
                options = {"image_shape": self.graph.shape, "method": method}
                # Alone, since each further endpoint is traced.
                write_endpoints(self.model, path, "sample", max_examples=16, **options)
                sample = tf.saved_model.load(path).signatures["sample"]
                seeds = tf.constant(self.seeds, tf.int64)
                conditions = {k: tf.constant(v) for k, v in self.conditions.items()}
                return sample(seed=seeds, **conditions)["images"].numpy()

        drawn = self.attempt("export", draw)
        if drawn is not None:
            self.compare("export", self.model.likelihood.from_display(drawn))

    # Changes of the model.

    def change(self):
        """Change the model in one way, and return its name."""
        names = "fit fit weights quantize lora attribute attribute saved".split()
        name = self.graph.pick([*names, "likelihood"])
        return getattr(self, f"change_by_{name}")() or name

    def change_by_fit(self):
        self.model.compile(keras.optimizers.SGD(0.3, clipnorm=1.0))
        everything = self.inputs(np.arange(NUM_IMAGES))
        broken = self.broken
        if not broken and self.honest.leaks_in_training(self.images, self.generator):
            broken = "the forward pass of training leaks"
        nats = None if broken else self.honest.training_log_prob(self.images)
        name = self.graph.pick(["fit", "train_on_batch"])
        options = {"batch_size": 3, "verbose": 0}
        if name == "train_on_batch":
            options = {"return_dict": True}
        train = getattr(self.model, name)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = self.attempt(name, train, everything, broken=broken, **options)
        texts = [str(warning.message) for warning in warned]
        self.is_warned |= any("mixes the images of a batch" in text for text in texts)
        if found is None:
            return
        normalizes = any(
            isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
            for layer in all_layers(self.model)
        )
        if normalizes and not self.is_warned:
            self.fault(f"{name} does not warn of BatchNormalization")
        if name == "train_on_batch" and nats is not None:
            self.compare_bits(name, found["bits_per_dim"], nats)
        self.look_again()
        if not self.broken and self.graph.chance(0.5):
            self.check_evaluation(f" after {name}")

    def change_by_weights(self):
        self.graph.randomize_weights()

    def change_by_quantize(self):
        if self.graph.half or is_quantized(self.model):
            return self.change_by_weights()
        self.model.quantize("int8")

    def change_by_lora(self):
        for layer in all_layers(self.model):
            if not hasattr(layer, "enable_lora") or layer.lora_enabled:
                continue
            constrained = getattr(layer, "kernel_constraint", None) is not None
            if layer.weights and layer.trainable and not constrained:
                layer.enable_lora(1)
        self.graph.randomize_weights()

    def change_by_attribute(self):
        """Change an attribute that the forward pass reads, if there is one."""
        found = []
        for layer in layers_of(self.model):
            for name in ("negative_slope", "scale", "offset", "epsilon", "alpha"):
                if isinstance(vars(layer).get(name), float):
                    found.append((layer, name, 1.5 * vars(layer)[name] + 0.25))
            if isinstance(layer, own_layers.Settings):
                found.append((layer, "numbers", {"scale": -1.0, "shift": [0.3]}))
            if isinstance(layer, own_layers.Block):
                found.append((layer, "mode", self.graph.pick(own_layers.MODES)))
                found.append((layer, "leak", 1.0))
                if layer.inner is not None:
                    found.append((layer.inner, "scale", -2.0))
                    found.append((layer.inner, "leak", 1.0))
            if "activation" in vars(layer):
                found.append((layer, "activation", keras.activations.softsign))
        if not found:
            return self.change_by_weights()
        layer, name, value = self.graph.pick(found)
        setattr(layer, name, value)
        if name == "leak":
            self.graph.allow("a block that reads the next pixel, if there is one")
        return f"{type(layer).__name__}.{name}"

    def change_by_likelihood(self):
        """Change an attribute of an own likelihood, if it has one."""
        likelihood = self.model.likelihood
        for name, value in (("stretch", 0.4), ("excess", 0.2)):
            if hasattr(likelihood, name):
                setattr(likelihood, name, value)
                return f"likelihood.{name}"
        return self.change_by_attribute()

    def change_by_saved(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/model.keras"
            self.attempt("save", self.model.save, path, must_refuse=False)
            try:
                loaded = keras.saving.load_model(path, safe_mode=False)
            except Exception:
                if not is_quantized(self.model):
                    raise
                # Keras saves quantized layers inside a layer, but does not load them.
                self.refusals["Keras does not load a quantized part of a layer"] += 1
                return
        before = Honest(self.model, self.conditions).params(self.images)
        after = Honest(loaded, self.conditions).params(self.images)
        # LoRA is merged into the kernels, and a quantized one is rounded again.
        rounded = self.graph.half or is_quantized(loaded)
        limit = 0.05 if rounded else 1e-4
        if not self.broken and np.any(abs(before - after) > limit * (1 + abs(before))):
            self.fault("the loaded model computes something else")
        self.model = self.graph.model = loaded


def layers_of(model):
    """Return the layers of a graph and of models in it, without parts of layers."""
    found = []
    for layer in model.layers:
        is_graph = runs_its_graph(layer)
        found += layers_of(layer) if is_graph else [layer]
    return found


def is_refusal(error):
    """Return whether an error is one of the library, which a user can understand."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ValueError) and frames[-1].filename.startswith(LIBRARY)


def kind_of(error):
    """Return the text of an error without names and numbers."""
    text = re.sub(r"^The incremental sampler evaluates.*?, but ", "", str(error))
    text = re.sub(r"'[^']*'|\b\w*_?\d+(, \d+)*\b", "…", text)
    return text[:90]


def try_graph(seed):
    """Return the outcome of a seed, and the kinds of refusals and warnings, counted.

    Raises:
        Fault: If a result is wrong, or an error is none of the library.
    """
    keras.config.disable_traceback_filtering()
    # Waves do not pay in images so small. In every second graph, they are drawn so.
    odd = unittest.mock.patch.object(waves, "pay", lambda *sizes: seed % 2 == 1)
    try:
        with warnings.catch_warnings(record=True) as warned, odd:
            warnings.simplefilter("always")
            trial = Trial(seed)
            outcome = trial.run()
            trial.faults += faults_of_family(seed)
    finally:
        keras.config.enable_traceback_filtering()
        keras.mixed_precision.set_global_policy("float32")
    if trial.faults:
        raise Fault(f"seed {seed} ({trial.graph.step}): " + "\n  ".join(trial.faults))
    for warning in warned:
        if LIBRARY in str(warning.filename) or "causal" in str(warning.message):
            trial.refusals[f"warning: {kind_of(warning.message)}"] += 1
    return outcome, trial.refusals


def try_graphs(seeds, trace=False):
    """Try graphs, print what each comes to, and return the outcomes, counted.

    With `trace`, raise the first error.
    """
    outcomes, refusals = collections.Counter(), collections.Counter()
    for seed in seeds:
        start = time.perf_counter()
        try:
            outcome, refused = try_graph(seed)
            refusals.update(refused)
            said = outcome
        except Exception as error:
            if trace:
                raise
            outcome = "wrong" if isinstance(error, Fault) else "not built"
            said = f"{outcome.upper()}: {type(error).__name__}: {error}"
        outcomes[outcome] += 1
        print(f"{seed} {time.perf_counter() - start:.1f} s {said}", flush=True)
        keras.backend.clear_session()
    for kind, count in refusals.most_common():
        print(f"{count:6} {kind}")
    print(dict(outcomes))
    return outcomes
