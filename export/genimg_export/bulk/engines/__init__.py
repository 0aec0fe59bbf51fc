"""Engines that write shards: on this machine, on Ray, or on a runner of Apache Beam.

Each engine is a module with a function `run(job, indexes, arguments)`, which returns
when all shards of these indexes are there.
"""
