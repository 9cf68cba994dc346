"""What is said of metrics that are no number, or say nothing of the features."""

import math
import warnings
from collections.abc import Mapping

UNDEFINED = "not defined for these features (class means coincide, or squares are beyond float64)"
NO_TWO = "NC1 is 0 whatever the features are: no class has two samples"


def warn_of(values: Mapping[str, float], samples: int) -> None:
    """Warn of metrics, with the number of classes `present` among them, that are nan or infinite or say nothing."""
    undefined = [name for name, value in values.items() if not math.isfinite(value)]
    if undefined:
        warnings.warn(f"{', '.join(undefined)}: {UNDEFINED}", stacklevel=3)
    elif samples == values["present"]:
        warnings.warn(NO_TWO, stacklevel=3)
