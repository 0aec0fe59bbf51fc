"""Actors of Ray Data, which starts those again that were killed, or whose node was."""

import importlib
import logging
import os
from typing import Any

from ...install_hint import install_hint
from ..shards import BulkError


def run(job, indexes, arguments):
    """Write shards."""
    # Otherwise Ray listens on all interfaces.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise BulkError(f"{error}: {install_hint('bulk-ray')}") from None
    # Workers then need no file of ours.
    package = __import__(__name__.split(".")[0])
    ray.cloudpickle.register_pickle_by_value(package)
    options = {"address": arguments.ray_address or "local", "log_to_driver": False}
    if not arguments.ray_address:
        options.update(num_cpus=arguments.workers, include_dashboard=False)
    ray.init(**options, logging_level="warning")
    logging.getLogger("ray.data").setLevel("WARNING")
    ray.data.DataContext.get_current().enable_progress_bars = False

    class Writer:
        def __init__(self):
            self.call = job.model.load()

        def __call__(self, row):
            job.write(row["shard"], self.call)
            return row

    rows = [{"shard": index} for index in indexes]
    try:
        shards = ray.data.from_items(rows, override_num_blocks=len(rows))
        actors = ray.data.ActorPoolStrategy(size=min(arguments.workers, len(rows)))
        shards.map(Writer, compute=actors).materialize()
    finally:
        ray.shutdown()
