"""Real images: train a network to the end and compare its last layer with the unconstrained feature model.

The public names are imported from here, `from deepnet import load, make_net, train, measure, compare`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from deepnet import nn as nn
    from deepnet.callbacks.watch import Watch as Watch
    from deepnet.callbacks.watch import watch as watch
    from deepnet.comparison.compare import Comparison as Comparison
    from deepnet.comparison.compare import Sizes as Sizes
    from deepnet.comparison.own import NetComparison as NetComparison
    from deepnet.comparison.own import compare as compare
    from deepnet.data.images import Images as Images
    from deepnet.data.images import Split as Split
    from deepnet.data.load import Data as Data
    from deepnet.data.load import Selection as Selection
    from deepnet.data.load import load as load
    from deepnet.evaluation.evaluation import Evaluation as Evaluation
    from deepnet.evaluation.model import evaluate as evaluate
    from deepnet.measures.calibration import calibration as calibration
    from deepnet.measures.features import LastLayer as LastLayer
    from deepnet.measures.features import last_layer as last_layer
    from deepnet.measures.measure import measure as measure
    from deepnet.measures.neural_collapse import NeuralCollapse as NeuralCollapse
    from deepnet.measures.reading import Reading as Reading
    from deepnet.measures.similarity import similarities as similarities
    from deepnet.nets.heads import Head as Head
    from deepnet.nets.heads import make_head as make_head
    from deepnet.nets.nets import Network as Network
    from deepnet.nets.nets import make_net as make_net
    from deepnet.settings import TrainSetting as TrainSetting
    from deepnet.training.train import train as train
    from deepnet.training.training import Training as Training
    from deepnet.training.training import begin as begin
    from deepnet.training.training import begin_on as begin_on

HOMES = {
    "settings": ["TrainSetting"],
    "data.images": ["Images", "Split"],
    "data.load": ["Data", "Selection", "load"],
    "nets.nets": ["Network", "make_net"],
    "nets.heads": ["Head", "make_head"],
    "training.training": ["Training", "begin", "begin_on"],
    "training.train": ["train"],
    "measures.features": ["LastLayer", "last_layer"],
    "measures.measure": ["measure"],
    "measures.neural_collapse": ["NeuralCollapse"],
    "measures.reading": ["Reading"],
    "measures.calibration": ["calibration"],
    "measures.similarity": ["similarities"],
    "evaluation.evaluation": ["Evaluation"],
    "evaluation.model": ["evaluate"],
    "callbacks.watch": ["Watch", "watch"],
    "comparison.compare": ["Comparison", "Sizes"],
    "comparison.own": ["NetComparison", "compare"],
}
"""The public names by the module that defines each; a module is imported when one of its names is first used."""

ROOMS = ["nn"]
"""Public modules, used as `deepnet.nn.ETFClassifier`."""

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=ROOMS, submod_attrs=HOMES)
