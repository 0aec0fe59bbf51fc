"""Endpoints of models with latent variables."""

import tensorflow as tf

from keras_genimg.ops.uniforms import LATENTS, POSTERIOR
from keras_genimg.serving.endpoint import (
    Endpoint,
    checked_images,
    checked_latents,
    checked_seeds,
)

_SEED = {"seed": tf.TensorSpec((None,), tf.int64)}


def latent_endpoints(model):
    """Return what a server can ask of any model with latent variables.

    Args:
        model: A `LatentModel`.

    Returns:
        Dict of `Endpoint` by signature name: `sample`, `reconstruct` and `elbo`.
    """
    likelihood = model.likelihood
    images = {"images": tf.TensorSpec((None, *model.image_shape), tf.int32)}

    def run_sample(seed):
        drawn = likelihood.mean(model.prior_params(checked_seeds(seed)))
        return {"images": likelihood.to_display(drawn)}

    def inferred(images, seed):
        images = likelihood.from_display(checked_images(images))
        return model.infer(images)(checked_seeds(seed), POSTERIOR)

    def run_reconstruct(images, seed):
        drawn = likelihood.mean(inferred(images, seed).params)
        return {"images": likelihood.to_display(drawn)}

    def run_elbo(images, seed):
        sample = inferred(images, seed)
        return {"elbo": sample.log_likelihood - sample.kl}

    return {
        "sample": Endpoint(run_sample, _SEED),
        "reconstruct": Endpoint(run_reconstruct, {**images, **_SEED}),
        "elbo": Endpoint(run_elbo, {**images, **_SEED}),
    }


def vae_endpoints(model):
    """Return what a server can ask of a `VAE`: also `encode` and `decode`."""
    likelihood = model.likelihood

    def run_encode(images):
        images = likelihood.from_display(checked_images(images))
        mean, stddev = model.encode_graph(images)
        return {"latent_mean": mean, "latent_stddev": stddev}

    def run_decode(latent):
        params = model.decoder(checked_latents(latent), training=False)
        return {"images": likelihood.to_display(likelihood.mean(params))}

    images = {"images": tf.TensorSpec((None, *model.image_shape), tf.int32)}
    latent = {"latent": tf.TensorSpec((None, model.latent_dim))}
    return {
        **latent_endpoints(model),
        "encode": Endpoint(run_encode, images),
        "decode": Endpoint(run_decode, latent),
    }


def draw_endpoints(model):
    """Return what a server can ask of a `DRAW`: also `sample_canvases`."""
    likelihood = model.likelihood

    def run_sample_canvases(seed):
        noise = model.noise(checked_seeds(seed), LATENTS)
        _, canvases = model.loop.run_prior(noise, return_canvases=True)
        means = likelihood.mean(model.loop.cell.params(canvases))
        # (glimpses, batch, ...) -> (batch, glimpses, ...)
        return {
            "canvases": likelihood.to_display(tf.transpose(means, (1, 0, 2, 3, 4)))
        }

    return {
        **latent_endpoints(model),
        "sample_canvases": Endpoint(run_sample_canvases, _SEED),
    }
