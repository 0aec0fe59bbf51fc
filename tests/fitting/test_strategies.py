"""What `compile` and `fit` are given has one meaning on any number of devices."""

import pickle

import numpy as np
import pytest

from tests.fitting import strategies
from tests.seldom import weekly_but
from tests.subprocesses import start_forked, worker_environments

pytestmark = pytest.mark.slow


def results(kind, environments, folder):
    """Return what `strategies.main` writes in a process for each environment."""
    paths = [folder / f"{index}.pickle" for index in range(len(environments))]
    outputs = [path.with_suffix(".txt") for path in paths]
    processes = [
        start_forked(strategies.main, kind, path, output=output, **environment)
        for path, output, environment in zip(paths, outputs, environments, strict=True)
    ]
    for process in processes:
        process.join(900)
        process.kill()  # If it still runs.
        process.join()
    failed = [process.exitcode != 0 for process in processes]
    assert not any(failed), [output.read_text()[-3000:] for output in outputs]
    return [pickle.loads(path.read_bytes()) for path in paths]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    (found,) = results("one", [{}], tmp_path_factory.mktemp("one"))
    return found


@pytest.fixture(scope="module", params=weekly_but(["two", "workers"], "two"))
def many(request, tmp_path_factory):
    """Return the results of two replicas, a dict for each process."""
    environments = [{}] if request.param == "two" else worker_environments(2)
    return results(request.param, environments, tmp_path_factory.mktemp("many"))


@pytest.mark.parametrize("name", strategies.CASES)
def test_trains_as_on_one_device(name, many, one):
    # Half of a batch is summed, and rounded to float16, on each replica.
    tolerance = 1e-4 if name == "float16" else 1e-6
    for found in many:
        strategies.check_same(found[name], one[name], tolerance)
        np.testing.assert_equal(found[name], many[0][name])
