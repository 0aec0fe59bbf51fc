"""Exports of a few endpoints, which take less time than those of all."""

from keras_genimg.serving import write_saved_model


def write_endpoints(model, path, *names, max_examples=8, batching=False, **options):
    """Write a SavedModel with the endpoints of a model called `names`."""
    endpoints = model.endpoints(**{"image_shape": model.image_shape, **options})
    endpoints = {name: endpoints[name] for name in names}
    options = {"batching": batching, "verbose": False}
    write_saved_model(model, path, endpoints, max_examples, **options)
