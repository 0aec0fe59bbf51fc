"""Check that the examples of a batch are independent."""

from keras_genimg.serving.verification.comparison import TOLERANCES, different_values
from keras_genimg.serving.verification.fault import raise_faults
from keras_genimg.serving.verification.probe_inputs import NUM_EXAMPLES

NUM_ATTEMPTS = 3


def check_examples(trial):
    """Check that the outputs for an example depend on its own inputs alone.

    Args:
        trial: `Trial` of the SavedModel.

    Returns:
        A message.

    Raises:
        Fault: If an example depends on others.
    """
    names = [key[1] for key in trial.of("changed")]
    faults = _faults(trial, names, trial.outcomes)
    # A pixel close to a tie can fall the other way in a batch of another size, which
    # changes the rest of its image. Real dependence on other examples fails every
    # attempt.
    for seed in range(1, NUM_ATTEMPTS):
        if faults:
            outcomes = trial.again(list(faults), seed)
            faults = _faults(trial, list(faults), outcomes)
    raise_faults(f"{name}: {fault}" for name, fault in faults.items())
    return (
        f"{len(names)} signatures return the same for an example alone, in a batch of "
        f"up to {NUM_EXAMPLES} and among other examples ({TOLERANCES})"
    )


def _faults(trial, names, outcomes):
    found = {name: _fault(trial, name, outcomes) for name in names}
    return {name: fault for name, fault in found.items() if fault}


def _fault(trial, name, outcomes):
    batch, num_examples = outcomes["batch", name], trial.num_examples(name)
    if not batch.succeeded:
        return "the batch does not run"
    for key, array in batch.outputs.items():
        if array.shape[:1] != (num_examples,):
            shape = list(array.shape)
            return f"{key} has the shape {shape} for {num_examples} examples"
    # Index of an example in the batch, and in the request.
    places = {("example", name, i): (i, 0) for i in range(num_examples)}
    places["changed", name] = (num_examples // 2, num_examples // 2)
    for key, (index, place) in places.items():
        outcome = outcomes[key]
        how = "among other examples" if key[0] == "changed" else "alone"
        if not outcome.succeeded:
            return f"example {index} {how} gives {outcome}"
        expected = {k: array[index : index + 1] for k, array in batch.outputs.items()}
        got = {k: array[place : place + 1] for k, array in outcome.outputs.items()}
        if key[0] == "example":
            got = outcome.outputs
        difference = different_values(expected, got)
        if difference:
            return f"example {index} {how}: {difference}"
    return None
