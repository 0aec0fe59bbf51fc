"""The parts of `export/serve.py`, the embedded server."""
