"""A view of the batches that a sampler draws."""

from keras_genimg.drawing import drawer
from keras_genimg.drawing.drawer import TracedSampler


def watch(monkeypatch, before, cores):
    """Call `before` with the seeds of each batch before it is drawn."""
    draw = TracedSampler.__call__

    def watched(self, weights, seeds, *rest):
        before(seeds.numpy())
        return draw(self, weights, seeds, *rest)

    monkeypatch.setattr(TracedSampler, "__call__", watched)
    monkeypatch.setattr(drawer, "num_cores", lambda: cores)
