"""NetSpecs from JSON, the form that `spec_to_json` writes. Files come from strangers, so everything read is checked."""

from __future__ import annotations

from falconet.graph.cost import count_params
from falconet.graph.reading import keyed, layer_from_json, listed, whole, word
from falconet.graph.spec import SCHEMA, Input, NetSpec

MOST_LAYERS = 10_000
MOST_PARAMS = 2_000_000_000


def spec_from_json(data: object) -> NetSpec:
    """The NetSpec that `data` describes. Raises ValueError, naming the place, when it is not a sound one."""
    came = data.get("schema") if isinstance(data, dict) else type(data).__name__
    if not isinstance(data, dict) or came != SCHEMA or isinstance(came, bool):
        raise ValueError(f"a network file must be a JSON object with schema {SCHEMA}, got {came!r:.60}")
    keyed(data, "a network file", ("schema", "inputs", "layers", "outputs"))
    inputs = []
    for one in listed(data["inputs"], "inputs"):
        name, channels = listed(one, "an input", 2)
        inputs.append(Input(word(name, "an input's name"), whole(channels, "an input's channels")))
    layers = tuple(layer_from_json(one) for one in listed(data["layers"], "layers")[: MOST_LAYERS + 1])
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"a network file may hold at most {MOST_LAYERS:,} layers, got {len(data['layers']):,}")
    outputs = tuple(word(name, "an output") for name in listed(data["outputs"], "outputs"))
    spec = NetSpec(tuple(inputs), layers, outputs)
    _check_size(spec)
    return spec


def _check_size(spec: NetSpec) -> None:
    """Refuse networks that no machine here could hold, before anything is allocated for them."""
    params = count_params(spec)
    if params > MOST_PARAMS:
        raise ValueError(f"the network would hold {params:,} parameters; at most {MOST_PARAMS:,} are read from a file")
