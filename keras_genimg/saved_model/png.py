"""PNG files as outputs."""

import dataclasses

import tensorflow as tf


def with_png(endpoints):
    """Return endpoints with `sample_png` beside `sample`.

    Its output is called `png_bytes`, since a server sends only outputs whose names end
    so in base64, and others as bytes that are no JSON. PNG files have one or three
    colours; other images get no such endpoint. Nor does what is compiled with XLA,
    which has no PNG files.

    Args:
        endpoints: Dict of `Endpoint` by signature name, `sample` among them.
    """
    sample = endpoints["sample"]
    if sample.jit_compile:
        return endpoints

    # A function of its own, so that both signatures share its one graph.
    sample = dataclasses.replace(
        sample, function=tf.function(sample.function, autograph=False)
    )

    def run_sample_png(**inputs):
        images = sample.function(**inputs)["images"]
        png = tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)
        return {"png_bytes": png}

    png = dataclasses.replace(sample, function=run_sample_png)
    return {**endpoints, "sample": sample, "sample_png": png}
