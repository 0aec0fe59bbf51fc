"""A runner of Apache Beam, by default its own in this process."""

from ...install_hint import install_hint
from ..shards import BulkError


def run(job, indexes, arguments):
    """Write shards."""
    try:
        import apache_beam as beam  # pyright: ignore[reportMissingImports]
        from apache_beam.options.pipeline_options import (  # pyright: ignore
            PipelineOptions,
        )
        from apache_beam.utils.shared import Shared  # pyright: ignore
        from cloudpickle import register_pickle_by_value  # pyright: ignore
    except ImportError as error:
        raise BulkError(
            f"{error}: make a virtual environment for Beam alone; in it, "
            f"{install_hint('bulk-beam')}"
        ) from None
    flags = arguments.beam_flags
    if any("DaskRunner" in flag for flag in flags):
        raise BulkError("Beam's DaskRunner leaves out shards and says that it is done")
    if not any(flag.startswith("--runner") for flag in flags):
        # Threads: where a process of this runner was killed, it waits for it for ever.
        flags = [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_threading",
            f"--direct_num_workers={arguments.workers}",
            *flags,
        ]
    # Workers then need no file of ours.
    register_pickle_by_value(__import__(__name__.split(".")[0]))

    class Write(beam.DoFn):
        def __init__(self):
            self.shared = Shared()

        def setup(self):
            # One model for all threads of a process.
            self.call = self.shared.acquire(job.model.load)

        def process(self, index):
            job.write(index, self.call)

    options = PipelineOptions(["--pickle_library=cloudpickle", *flags])
    # Beam leaves out flags that it does not know, and would run somewhere else.
    known = options.get_all_options()
    unknown = set(options.get_all_options(retain_unknown_options=True)) - set(known)
    if unknown:
        raise BulkError(f"Beam does not know --{', --'.join(sorted(unknown))}")
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create(list(indexes))
            | beam.Reshuffle()
            | beam.ParDo(Write())
        )
