import contextlib
import json

import pytest

from tests.export.running_server import running
from tests.export.test_proxy import running_nginx

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')
from tests.export import hostile_trial  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Directory of models, address of a server of them, and the honest requests."""
    base = tmp_path_factory.mktemp("trial")
    directory = tmp_path_factory.mktemp("server")
    options = ("--max-concurrent", 32, "--max-body-bytes", 2**23, "--timeout", 60)
    with pytest.MonkeyPatch.context() as patch:
        # Its signatures are called at once by tests/serving/test_batching.py.
        patch.delitem(hostile_trial.MODELS, "scales")
        hostile_trial.write_models(base)
        honest = hostile_trial.honest_requests(base)
        with running(directory, "--base-dir", base, *options) as server:
            yield base, server.address, honest


@pytest.mark.parametrize("proxy", [False, True])
def test_hostile_clients_have_no_victims(served, proxy, tmp_path):
    base, address, honest = served
    nginx = contextlib.nullcontext(address)
    if proxy:
        nginx = running_nginx(tmp_path, address, base)
    signatures = {json.loads(body)["signature_name"] for _, body, _ in honest}
    of_all = "complete decode sample sample_canvases sample_png sample_with_temperature"
    assert signatures == set(of_all.split())
    bad = hostile_trial.bad_requests(proxy)
    assert len(bad) > 40
    with nginx as address:
        trial = hostile_trial.Trial(address, honest, bad)
        # Once, unless the machine is busy.
        while len(trial.seconds) <= len(honest) or set(trial.statuses) != set(bad):
            trial.run(10, len(bad))
            assert not trial.failed
        assert hostile_trial.answers(address)
    assert not trial.accepted
