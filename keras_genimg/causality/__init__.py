"""What each sub-pixel depends on: leaks and dependency fields."""

from keras_genimg.causality.fields import dependency_field
from keras_genimg.causality.leak import Leak
from keras_genimg.causality.probing import first_leak, is_causal

__all__ = ["Leak", "dependency_field", "first_leak", "is_causal"]


def __dir__() -> list[str]:
    return __all__
