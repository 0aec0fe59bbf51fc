"""Modules that cannot be imported, as where they are not installed."""

# What servers, workers and clients run without.
LIBRARY = ("keras", "keras_genimg", "tensorflow_probability")


def block(folder, *names):
    """Write modules into a folder for PYTHONPATH that fail when imported."""
    folder.mkdir(exist_ok=True)
    for name in (*LIBRARY, *names):
        (folder / f"{name}.py").write_text("raise ImportError('it is blocked')")
