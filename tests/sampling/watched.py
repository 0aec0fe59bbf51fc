"""A view of the batches that a sampler draws."""

from keras_genimg.generation import samplers
from keras_genimg.generation.sampler import Sampler


def watch(monkeypatch, before, cores):
    """Call `before` with the seeds of each batch before it is drawn."""
    draw = Sampler.__call__

    def watched(self, weights, seeds, *rest):
        before(seeds.numpy())
        return draw(self, weights, seeds, *rest)

    monkeypatch.setattr(Sampler, "__call__", watched)
    monkeypatch.setattr(samplers, "num_cores", lambda: cores)
