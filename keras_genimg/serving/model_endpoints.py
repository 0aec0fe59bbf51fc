"""Endpoints of the model families."""

import dataclasses
import functools
import math
from typing import Protocol

import tensorflow as tf

from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.sampler_check import sampler_difference, tolerance
from keras_genimg.generation.samplers import Samplers
from keras_genimg.generation.scales import ModelOfScales
from keras_genimg.generation.scheme import SampledModel
from keras_genimg.layers import DRAWLoop
from keras_genimg.model_types import FunctionalModel, ImageModel, LatentVariableModel
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.scales import factors_between, is_copied, placed
from keras_genimg.ops.uniforms import LATENTS, POSTERIOR
from keras_genimg.serving.endpoint import SEED, Endpoint, Input, images_input, with_png
from keras_genimg.types import Distribution, Method, Shape, Stream, TensorLike

# Random images on which an export compares the sampler with the forward pass.
_NUM_TRIED = 3


def autoregressive_endpoints(
    model: SampledModel,
    samplers: Samplers,
    image_shape: Shape,
    method: Method | None = None,
    jit_compile: bool = False,
    num_candidates: int = 1,
) -> dict[str, Endpoint]:
    """Return the endpoints of an autoregressive model.

    Args:
        model: An `AutoregressiveModel`.
        samplers: Its `Samplers`.
        image_shape: `(height, width, colors)`, all known.
        method: `"incremental"`, `"fixed_point"` or `"ancestral"`.
        jit_compile: Whether to compile with XLA.
        num_candidates: Number of completions among which `complete` chooses.

    Returns:
        Dict of `Endpoint` by signature name: `sample`, `sample_png`,
        `sample_with_temperature`, `complete` and `log_prob`, each with the conditions
        as further inputs. The incremental sampler without XLA adds `check_sampler`,
        which compares the sampler with the forward pass on given images.

    Raises:
        ValueError: If `num_candidates` is not an integer of at least 1, or the
            incremental sampler and the model disagree.
    """
    num_candidates = check_positive_int("num_candidates", num_candidates, "endpoints")
    image_shape = tuple(image_shape)
    key = samplers.key("export", method, image_shape[:2], jit_compile, batch_size=None)
    samplers.check(key)
    completion_key = dataclasses.replace(key, num_candidates=num_candidates)
    likelihood = model.likelihood
    conditions = served_conditions(model, image_shape)
    generate = functools.partial(samplers.scheme.generate, key)
    # All signatures that generate images share its graph.
    generate = tf.function(generate, autograph=False)
    bits = 1 / (math.log(2) * math.prod(image_shape))

    def in_order(given):
        return [given[name] for name in conditions]

    def run_sample(seed, temperature=None, **given):
        if temperature is None:
            temperature = tf.ones_like(seed, tf.float32)
        images = generate(seed, temperature, *in_order(given))
        return {"images": likelihood.to_display(images)}

    def run_complete(images, known, seed, **given):
        known = known[..., None]
        completed = samplers.scheme.complete(
            completion_key,
            seed,
            1.0,
            likelihood.from_display(images),
            tf.cast(known, tf.float32),
            *in_order(given),
        )
        shown = likelihood.to_display(completed["images"])
        # Return known pixels exactly as sent, even if the likelihood does not have
        # their value.
        shown = tf.where(known > 0, tf.cast(images, tf.uint8), shown)
        return {**completed, "images": shown}

    def run_log_prob(images, **given):
        images = likelihood.from_display(images)
        nats = model.log_prob_graph(images, *in_order(given))
        return {"log_prob": nats, "bits_per_dim": -nats * bits}

    seed = {"seed": SEED, **conditions}
    images = {"images": images_input(image_shape), **conditions}
    temperature = Input(tf.TensorSpec((None,), tf.float32), 0, low_open=True)
    # 1 for each pixel that is given.
    known = Input(tf.TensorSpec((None, *image_shape[:2]), tf.int32), 0, 1)
    # Three images of PixelCNN "mnist" take 81 ms together and 54 ms one after another,
    # since the rows of a single image are guessed. PixelRNN "mnist_diagonal_1x32" takes
    # 37 and 34 ms. For four images, the times are 80 and 71 ms, and 38 and 46 ms.
    guesses_rows = samplers.guesses_rows(key)
    options = {
        "jit_compile": jit_compile,
        "mergeable": True,
        "few_apart": guesses_rows,
    }
    endpoints = {
        "sample": Endpoint(run_sample, seed, **options),
        "sample_with_temperature": Endpoint(
            run_sample, {**seed, "temperature": temperature}, **options
        ),
        "complete": Endpoint(
            run_complete,
            {**images, "known": known, **seed},
            num_candidates=num_candidates,
            **{**options, "few_apart": guesses_rows and num_candidates == 1},
        ),
        "log_prob": Endpoint(run_log_prob, images, jit_compile),
    }
    if key.method == "incremental" and not jit_compile:
        endpoints["check_sampler"] = _check_sampler(model, image_shape, images)
    return with_png(endpoints)


def _check_sampler(model: SampledModel, image_shape, inputs):
    """Return the endpoint that compares the sampler with the forward pass."""

    def run(images, **given):
        images = model.likelihood.from_display(images)
        conditions = [given[name] for name in inputs if name != "images"]
        networks = model.sampling_scheme.networks(images, conditions)
        differences = [sampler_difference(*network) for network in networks]
        # A network may have several images for each of those given.
        by_image = tf.reshape(differences, (-1, tf.shape(images)[0]))
        return {"largest_difference": tf.reduce_max(by_image, axis=0)}

    pairs = ImagePairs(model, image_shape)
    images, *conditions = (tf.constant(values[:_NUM_TRIED]) for values in pairs.before)
    networks = model.sampling_scheme.networks(tf.cast(images, tf.float32), conditions)
    limit = max(tolerance(*network) for network in networks)
    return Endpoint(
        run, inputs, warm_up=False, at_most={"largest_difference": float(limit)}
    )


def served_conditions(model: ImageModel, image_shape):
    """Return the conditions as inputs of endpoints, in order.

    Args:
        model: A `GenerativeModel`.
        image_shape: `(height, width, colors)`. Condition maps of unknown size get this
            height and width.

    Returns:
        Dict of `keras_genimg.serving.Input` by name.
    """
    served = {}
    for tensor in model.inputs[1:]:
        shape = list(tensor.shape)
        if len(shape) == 4:
            sizes = zip(shape[1:3], image_shape[:2], strict=True)
            shape[1:3] = [size or whole for size, whole in sizes]
        spec = tf.TensorSpec(shape, tensor.dtype)
        limits = model.condition_ranges.get(tensor.name, ())
        if spec.dtype.is_bool and tuple(limits) == (0, 1):
            limits = ()  # TensorFlow does not compare booleans.
        served[tensor.name] = Input(spec, *limits)
    return served


def enlarge_endpoint(
    model: ModelOfScales, samplers: Samplers, jit_compile: bool, method: Method | None
) -> Endpoint:
    """Return the endpoint `enlarge`: it generates large images of given small ones.

    Args:
        model: A `MultiScalePixelRNN`.
        samplers: Its `Samplers` that draw the last scale, given the one before.
        jit_compile: Whether to compile with XLA.
        method: `"incremental"`, `"fixed_point"` or `"ancestral"`.

    Returns:
        An `Endpoint` with the inputs `images`, of the last scale but one, and `seed`.
    """
    small, large = model.scales[-2:]
    key = samplers.key("export", method, None, jit_compile, batch_size=None)
    likelihood = model.likelihood

    def run(images, seed):
        given = tf.cast(likelihood.from_display(images), tf.float32)
        enlarged = samplers.scheme.generate(key, seed, 1.0, given)
        displayed = likelihood.to_display(enlarged)
        if model.subsampling == "top_left":
            # Return the small images exactly as sent, as `complete` does.
            factors = factors_between(small, large)
            sent = placed(tf.cast(images, tf.uint8), factors)
            copied = is_copied(large, factors)[None, ..., None]
            displayed = tf.where(copied, sent, displayed)
        return {"images": displayed}

    small_images = images_input((*small, model.image_shape[2]))
    inputs = {"images": small_images, "seed": SEED}
    return Endpoint(run, inputs, jit_compile, mergeable=True)


def latent_endpoints(
    model: LatentVariableModel, jit_compile: bool = False
) -> dict[str, Endpoint]:
    """Return the endpoints of any model with latent variables.

    Args:
        model: A `LatentModel`.
        jit_compile: Whether to compile with XLA.

    Returns:
        Dict of `Endpoint` by signature name: `sample`, `sample_png`, `reconstruct` and
        `elbo`.
    """
    likelihood = model.likelihood
    seed = {"seed": SEED}
    images = {"images": images_input(model.image_shape)}

    def run_sample(seed):
        return {"images": _shown(model, model.prior_params(seed))}

    def inferred(images, seed):
        return model.infer(likelihood.from_display(images))(seed, POSTERIOR)

    def run_reconstruct(images, seed):
        return {"images": _shown(model, inferred(images, seed).params)}

    def run_elbo(images, seed):
        sample = inferred(images, seed)
        return {"elbo": sample.log_likelihood - sample.kl}

    return with_png(
        {
            "sample": Endpoint(run_sample, seed, jit_compile, mergeable=True),
            "reconstruct": Endpoint(run_reconstruct, {**images, **seed}, jit_compile),
            "elbo": Endpoint(run_elbo, {**images, **seed}, jit_compile),
        }
    )


class AutoEncoder(LatentVariableModel, Protocol):
    """A model that encodes images as latent vectors, a `VAE`.

    Attributes:
        latent_dim: Length of a latent vector.
        decoder: Model of latent vectors that returns parameters of the likelihood.
    """

    latent_dim: int
    decoder: FunctionalModel

    def posterior_distribution(self, images: TensorLike) -> Distribution:
        """Return the posterior of the latent vectors of images, for a graph."""
        ...


def vae_endpoints(model: AutoEncoder, jit_compile: bool = False) -> dict[str, Endpoint]:
    """Return the endpoints of a `VAE`, including `encode` and `decode`.

    Args:
        model: A `VAE`.
        jit_compile: Whether to compile with XLA.
    """

    def run_encode(images):
        images = model.likelihood.from_display(images)
        posterior = model.posterior_distribution(images)
        return {"latent_mean": posterior.mean(), "latent_stddev": posterior.stddev()}

    def run_decode(latent):
        return {"images": _shown(model, model.decoder(latent, training=False))}

    images = {"images": images_input(model.image_shape)}
    latent = {"latent": Input(tf.TensorSpec((None, model.latent_dim)))}
    return {
        **latent_endpoints(model, jit_compile),
        "encode": Endpoint(run_encode, images, jit_compile),
        "decode": Endpoint(run_decode, latent, jit_compile, mergeable=True),
    }


class CanvasModel(LatentVariableModel, Protocol):
    """A model that draws on a canvas step by step, a `DRAW`.

    Attributes:
        loop: The `DRAWLoop`.
    """

    loop: DRAWLoop

    def noise(self, seeds: TensorLike, stream: Stream) -> tf.Tensor:
        """Return each seed's normal noise, `(num_glimpses, batch, latent_dim)`."""
        ...


def draw_endpoints(
    model: CanvasModel, jit_compile: bool = False
) -> dict[str, Endpoint]:
    """Return the endpoints of a `DRAW`, including `sample_canvases`.

    Args:
        model: A `DRAW`.
        jit_compile: Whether to compile with XLA.
    """

    def run_sample_canvases(seed):
        noise = model.noise(seed, LATENTS)
        _, canvases = model.loop.run_prior(noise, return_canvases=True)
        shown = _shown(model, model.loop.cell.params(canvases))
        # (glimpses, batch, ...) -> (batch, glimpses, ...)
        return {"canvases": tf.transpose(shown, (1, 0, 2, 3, 4))}

    return {
        **latent_endpoints(model, jit_compile),
        "sample_canvases": Endpoint(
            run_sample_canvases, {"seed": SEED}, jit_compile, mergeable=True
        ),
    }


def _shown(model: ImageModel, params):
    """Return the means of parameters as displayable images."""
    return model.likelihood.to_display(model.likelihood.mean(params))
