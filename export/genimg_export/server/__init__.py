"""The parts of `genimg-serve`, the embedded server."""
