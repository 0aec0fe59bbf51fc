"""All checks of a SavedModel by name, in the order of the report."""

from keras_genimg.serving.verification.example_check import check_examples
from keras_genimg.serving.verification.graph_checks import (
    check_graph,
    check_metadata,
    check_signatures,
    check_weights,
)
from keras_genimg.serving.verification.run_checks import (
    check_c_api,
    check_limits,
    check_python,
    check_ranges,
    check_records,
    check_session,
    check_shapes,
)

CHECKS = {
    "graph": check_graph,
    "metadata": check_metadata,
    "signatures": check_signatures,
    "weights": check_weights,
    "C API": check_c_api,
    "Python": check_python,
    "TF1 loader": check_session,
    "examples": check_examples,
    "limits": check_limits,
    "ranges": check_ranges,
    "wrong shapes": check_shapes,
    "warm-up": check_records,
}
