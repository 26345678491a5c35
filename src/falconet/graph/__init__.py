"""Networks as values: specs, operators, costs, rewrites, and the torch modules that run them."""

from falconet.graph.cost import Costs, LayerCosts, costs, count_params, layer_costs, reach
from falconet.graph.files import spec_from_json
from falconet.graph.ops import *  # noqa: F403  (the operators are the vocabulary of this package)
from falconet.graph.ops import __all__ as _ops
from falconet.graph.rewrite import deploy, merged
from falconet.graph.shape import Shape
from falconet.graph.spec import Draft, Input, Layer, NetSpec, flatten, infer_parts, infer_shapes, spec_to_json
from falconet.graph.store import Store, store_of

__all__ = [
    *_ops,
    "Costs",
    "Draft",
    "Input",
    "Layer",
    "LayerCosts",
    "NetSpec",
    "Shape",
    "Store",
    "costs",
    "count_params",
    "deploy",
    "flatten",
    "infer_parts",
    "infer_shapes",
    "layer_costs",
    "merged",
    "reach",
    "spec_from_json",
    "spec_to_json",
    "store_of",
]
