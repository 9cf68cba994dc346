"""Modules for networks of your own: a classifier that is not trained, criteria, and how to put a head on a model.

from deepnet.nn import Criterion, DotRegressionLoss, ETFClassifier, replace_head
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from deepnet.nn.criteria import Criterion as Criterion
    from deepnet.nn.criteria import DotRegressionLoss as DotRegressionLoss
    from deepnet.nn.etf import ETFClassifier as ETFClassifier
    from deepnet.nn.replace import replace_head as replace_head

HOMES = {
    "etf": ["ETFClassifier"],
    "criteria": ["Criterion", "DotRegressionLoss"],
    "replace": ["replace_head"],
}
"""The public names by the module that defines each; a module is imported when one of its names is first used."""

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=HOMES)
