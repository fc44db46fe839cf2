"""An ONNX graph, node by node, in TensorFlow.

Runs where discern is not installed and imports nothing of it: `tensorflow_worker` loads this
folder as a package of its own. Axes are kept by their meaning (`value`), so nothing is guessed; an
operation that is not listed is refused by name.
"""

from .network import Network as Network
from .node import CannotConvertError as CannotConvertError
