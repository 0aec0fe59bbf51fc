"""Endpoints of models with latent variables."""

import tensorflow as tf

from keras_genimg.ops.uniforms import LATENTS, POSTERIOR
from keras_genimg.serving.endpoint import Endpoint, with_png
from keras_genimg.serving.input import SEED, Input, images_input


def latent_endpoints(model, jit_compile=False):
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


def vae_endpoints(model, jit_compile=False):
    """Return the endpoints of a `VAE`, including `encode` and `decode`.

    Args:
        model: A `VAE`.
        jit_compile: Whether to compile with XLA.
    """

    def run_encode(images):
        mean, stddev = model._encode_graph(model.likelihood.from_display(images))
        return {"latent_mean": mean, "latent_stddev": stddev}

    def run_decode(latent):
        return {"images": _shown(model, model.decoder(latent, training=False))}

    images = {"images": images_input(model.image_shape)}
    latent = {"latent": Input(tf.TensorSpec((None, model.latent_dim)))}
    return {
        **latent_endpoints(model, jit_compile),
        "encode": Endpoint(run_encode, images, jit_compile),
        "decode": Endpoint(run_decode, latent, jit_compile, mergeable=True),
    }


def draw_endpoints(model, jit_compile=False):
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


def _shown(model, params):
    """Return the means of parameters as displayable images."""
    return model.likelihood.to_display(model.likelihood.mean(params))
