"""The epoch of a run that describes the held-out images best."""

import csv
import json
import math

from genimg_export.files import atomic_path
from keras_genimg.models import GenerativeModel
from keras_genimg.ops.workers import sum_over_workers

# These files of the run folder are the weights of the best epoch for held-out images,
# and the score of the weights that training begins with. `log.csv` is Keras', which has
# no row for them.
BEST, START, LOG = "best.weights.h5", "start.json", "log.csv"


def held_out_losses(output):
    """Return the losses of held-out images by epoch; 0 is the start, if scored."""
    losses = {}
    if (output / START).exists():
        losses[0] = json.loads((output / START).read_text())["val_loss"]
    if (output / LOG).exists():
        with (output / LOG).open() as file:
            for row in csv.DictReader(file):  # Keras counts from 0.
                losses[int(row["epoch"]) + 1] = float(row.get("val_loss") or "nan")
    return {epoch: loss for epoch, loss in losses.items() if math.isfinite(loss)}


def best_epoch(output):
    """Return the best epoch for the held-out images, and their loss, or None twice."""
    losses = held_out_losses(output)
    return min(losses.items(), key=lambda item: item[1], default=(None, None))


def score_start(model: GenerativeModel, held_out, epochs, output, chief):
    """Score the weights that a run begins with as its epoch 0, if nobody has yet.

    They are kept until an epoch is better. All workers must call this. The noise of
    training stays what it would be without the score, so that a run that was killed
    early ends with the same weights as one that was not.
    """
    strategy = model.distribute_strategy
    if not sum_over_workers(strategy, float(not (output / START).exists())):
        return
    with strategy.scope():  # The file of weights has the optimizer's variables too.
        model.optimizer.build(model.trainable_variables)
    states = [(v, v.numpy()) for v in model.non_trainable_variables]
    loss = model.evaluate(held_out, verbose=0, return_dict=True)["loss"]
    for variable, value in states:
        variable.assign(value)
    if chief:
        _, best = best_epoch(output)
        if best is None or loss < best:
            model.save_weights(output / BEST)
        with atomic_path(output / START) as unfinished:
            unfinished.write_text(json.dumps({"val_loss": loss}) + "\n")
        note = "it may rise at first, while the learning rate is high"
        print(
            f"Epoch 0/{epochs}, before training - val_loss: {loss:.4f} ({note})",
            flush=True,
        )


def keep_best(model: GenerativeModel, held_out, output):
    """Give a trained model its best weights, if better; return which weights it has."""
    average = ", averaged over the last steps" if model.optimizer.use_ema else ""
    trained = f"the end of training{average}"
    if not (output / BEST).exists():
        return trained
    epoch, loss = best_epoch(output)
    # NaN is not better, where training diverged.
    if model.evaluate(held_out, verbose=0, return_dict=True)["loss"] <= loss:
        return trained
    model.load_weights(output / BEST)
    kept = f"{f'epoch {epoch}' if epoch else 'the start'}, best for held-out images"
    print(f"Kept: the weights of {kept}.", flush=True)
    return kept


def what_to_try(losses, epochs, output, dimensions):
    """Return what to try after a folder was trained, from the run itself.

    Args:
        losses: See `held_out_losses`.
        epochs: Number of epochs.
        output: Run folder.
        dimensions: Number of sub-pixels of an image.
    """
    bits = {epoch: x / dimensions / math.log(2) for epoch, x in losses.items()}
    if not bits:
        return (
            "What to try next: more images, so that --held-out can keep some of them "
            "to judge each epoch by."
        )
    if epochs not in bits:
        return (
            f"What to try next: a lower --learning-rate. Training diverged after "
            f"epoch {max(bits)}."
        )
    best = min(bits, key=bits.__getitem__)
    reached = f"{bits[best]:.3f} bits per dimension, {bits[epochs]:.3f} at the end"
    if best == 0:
        return (
            f"What to try next: a lower --learning-rate, or more images. No epoch "
            f"described the held-out images better than the weights that training "
            f"began with ({reached})."
        )
    if best < 0.9 * epochs:
        return (
            f"What to try next: more images. The held-out ones were described best "
            f"after epoch {best} of {epochs} ({reached}); more epochs would learn the "
            f"training images by heart."
        )
    # The rate falls to 0, so the very last epochs change little in any run.
    recent = max(epochs // 4, 1)
    before = bits.get(epochs - recent)
    longer = f"train twice as long with --epochs {2 * epochs} --output {output}_longer"
    if before is None:
        return f"What to try next: {longer}. One epoch is too short to judge by."
    lately = f"In the last {recent} epochs" if recent > 1 else "In the last epoch"
    change = f"from {before:.3f} to {bits[best]:.3f} bits per dimension"
    if before - bits[best] < 0.001 * bits[best]:
        return (
            f"What to try next: more images or a larger model. {lately}, held-out "
            f"images went {change}: training has settled."
        )
    return (
        f"What to try next: {longer}. Still improving: {lately.lower()}, held-out "
        f"images went {change}."
    )
