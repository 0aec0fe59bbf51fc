"""Check that the rows of a batch are independent."""

from keras_genimg.serving.verification.comparison import TOLERANCES, different_values
from keras_genimg.serving.verification.fault import raise_faults
from keras_genimg.serving.verification.probe_inputs import ROWS

ROW_ATTEMPTS = 3


def check_examples(trial):
    """Check that rows are independent.

    Args:
        trial: `Trial` of the SavedModel.

    Returns:
        A message.

    Raises:
        Fault: If a row depends on others.
    """
    names = [key[1] for key in trial.of("changed")]
    faults = _row_faults(trial, names, trial.outcomes)
    # A pixel close to a tie can fall the other way in a batch of another size, which
    # changes the rest of its image. Rows that do depend on others fail every attempt.
    for seed in range(1, ROW_ATTEMPTS):
        if faults:
            outcomes = trial.again(list(faults), seed)
            faults = _row_faults(trial, list(faults), outcomes)
    raise_faults(f"{name}: {fault}" for name, fault in faults.items())
    return (
        f"{len(names)} signatures give a row the same alone, in a batch of "
        f"up to {ROWS} and among other rows ({TOLERANCES})"
    )


def _row_faults(trial, names, outcomes):
    found = {name: _row_fault(trial, name, outcomes) for name in names}
    return {name: fault for name, fault in found.items() if fault}


def _row_fault(trial, name, outcomes):
    batch, num_rows = outcomes["batch", name], trial.rows(name)
    if not batch.succeeded:
        return "the batch does not run"
    for key, array in batch.outputs.items():
        if array.shape[:1] != (num_rows,):
            return f"{key} has the shape {list(array.shape)} for {num_rows} rows"
    rows = {("row", name, i): (i, 0) for i in range(num_rows)}
    rows["changed", name] = (num_rows // 2, num_rows // 2)
    for key, (row, place) in rows.items():
        outcome = outcomes[key]
        how = "among other rows" if key[0] == "changed" else "alone"
        if not outcome.succeeded:
            return f"row {row} {how} gives {outcome}"
        expected = {k: array[row : row + 1] for k, array in batch.outputs.items()}
        got = {k: array[place : place + 1] for k, array in outcome.outputs.items()}
        if key[0] == "row":
            got = outcome.outputs
        difference = different_values(expected, got)
        if difference:
            return f"row {row} {how}: {difference}"
    return None
