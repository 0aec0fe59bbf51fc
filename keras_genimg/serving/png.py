"""Endpoints that return PNG files."""

import dataclasses

import tensorflow as tf


def with_png(endpoints):
    """Add the endpoint `sample_png` to endpoints with `sample`.

    Its output is called `png_bytes` because a server encodes only outputs with the
    suffix `_bytes` as base64; other strings are not valid JSON. XLA cannot encode PNG,
    so XLA endpoints have no PNG variant.

    Args:
        endpoints: Dict of `Endpoint` by signature name, `sample` among them.
    """
    sample = endpoints["sample"]
    if sample.jit_compile:
        return endpoints

    # One tf.function, so that both signatures share its graph.
    sample = dataclasses.replace(
        sample, function=tf.function(sample.function, autograph=False)
    )

    def run_sample_png(**inputs):
        images = sample.function(**inputs)["images"]
        png = tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)
        return {"png_bytes": png}

    png = dataclasses.replace(sample, function=run_sample_png)
    return {**endpoints, "sample": sample, "sample_png": png}
