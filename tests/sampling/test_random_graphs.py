import pytest

from tests.sampling.random_graphs import try_graph
from tests.weekly import weekly_but


# Further seeds are for the command in `random_graphs.py`.
@pytest.mark.slow
@pytest.mark.parametrize("block", weekly_but(range(4), 0, 1))
def test_random_graphs_are_sampled_as_they_compute_or_refused(block):
    outcomes = [try_graph(seed) for seed in range(12 * block, 12 * block + 12)]
    assert outcomes.count("right") > 6
