"""card.md of a model folder: what the network is, how good, how dear, what it learned from, what it is not for."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from falconet.deploy.facts import Facts, Training
from falconet.graph import spec_from_json
from falconet.graph.spec import NetSpec
from falconet.tasks import TASKS


def card(facts: Facts) -> str:
    """The text of card.md, in Markdown."""
    spec = spec_from_json(facts.spec)
    parts = [
        f"# {facts.name}",
        f"{summary(facts)}.",
        _section("What it is", _what(facts, spec)),
        _section("What it costs", _costs(facts)),
        _section("How good it is", _quality(facts)),
        _section("What it was trained on", "\n".join(training_lines(facts.training))),
        _section("What it is for, and what it is not", _use(facts)),
        _section("How to run it", _how(facts)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(facts: Facts) -> str:
    """One line: "super_resolution x2, luma, 2.41 GMACs, Set5 37.12 dB", "denoising of 25, grey, ..."."""
    words = [str(facts.task.get("name", "network"))]
    if facts.task.get("scale", 1) != 1:
        words[0] += f" x{facts.task['scale']}"
    if facts.task.get("degradation") == "camera":
        words[0] += " of photos as they come"
    if facts.task.get("noise") == "pairs":
        words[0] += " learned from pairs"
    elif "sigma" in facts.task:
        sigma = facts.task["sigma"]
        words[0] += f" of {sigma:g}" if isinstance(sigma, int | float) else " of {:g} to {:g}".format(*sigma)
    if "colour" in facts.task:
        words.append(str(facts.task["colour"]))
    if "macs" in facts.costs:
        words.append(_count(facts.costs["macs"]) + "MACs")
    for name, figures in facts.metrics.items():
        found = next((figures[key] for key in (str(facts.task.get("quality")), "psnr_y") if key in figures), None)
        if found is not None:
            is_psnr = str(facts.task.get("quality", "psnr_y")).startswith("psnr")
            unit = " %" if "classes" in facts.task else " dB" if is_psnr else ""
            words.append(f"{name} {found:.2f}{unit}")
            break
    return ", ".join(words)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _what(facts: Facts, spec: NetSpec) -> str:
    inputs = ", ".join(f"{i.name} ({i.channels} channel{'s' if i.channels > 1 else ''})" for i in spec.inputs)
    return (
        f"A convolutional network of {len(spec.layers)} layers for the task {facts.task.get('name')!r}, made by "
        f"Falconet {facts.falconet}. Inputs: {inputs}, float32, values from 0 to 1, pictures of any size. "
        f"`weights.safetensors` and `spec` in `model.json` are the network as it ships, after branches were merged. "
        f"Its identity is {facts.network[:12]}."
    )


def _costs(facts: Facts) -> str:
    rows = [f"- {_WORDS.get(name, name)}: {_count(value).strip()}" for name, value in facts.costs.items()]
    at = " and ".join(f"{width}x{height}" for height, width in facts.costs_at)
    return "\n".join([f"For an input of {at} pixels, counted on the network as it ships:\n", *rows]) if rows else ""


_WORDS = {
    "macs": "multiply-accumulates",
    "params": "parameters",
    "peak_activation_bytes": "bytes of activations at most",
}


def _quality(facts: Facts) -> str:
    names = list(dict.fromkeys(name for figures in facts.metrics.values() for name in figures))
    parts = []
    if names:
        rows = [[name, *(_figure(figures, key) for key in names)] for name, figures in facts.metrics.items()]
        table = [["pictures", *names], ["---"] + ["---:"] * len(names), *rows]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in table))
        parts.append(f"Protocol: {facts.protocol}" if facts.protocol else "")
    parts += [
        f"Exported for {p.target}, it agreed with PyTorch to {p.largest:.1g} (at most {p.tolerance:.1g} was allowed) "
        f"on {p.samples} pictures of {len(set(p.sizes))} sizes."
        for p in facts.parity
    ]
    return "\n\n".join(part for part in parts if part)


def _figure(figures: Mapping[str, float], key: str) -> str:
    if key not in figures:
        return ""
    value = figures[key]
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 2 else f"{value:.2f}"


def training_lines(training: Training) -> list[str]:
    """What made the weights, in sentences for people."""
    lines = []
    if training.source or training.pictures is not None:
        count = f"{training.pictures} pictures" if training.pictures is not None else "Pictures"
        lines.append(f"{count}{': ' + training.source if training.source else ''}.")
    terms = training.terms.rstrip(". ") or "not stated by who trained the network"
    lines.append(f"Terms of the pictures: {terms}.")
    known = {
        "steps": training.steps,
        "core-minutes": None if training.core_minutes is None else round(training.core_minutes, 1),
        "seed": training.seed,
        "date": training.date or None,
        "recipe": training.recipe[:12] or None,
    }
    facts = [f"{name} {value}" for name, value in known.items() if value is not None]
    lines.append(f"Training: {', '.join(facts)}." if facts else "")
    return [line for line in [*lines, training.notes] if line]


def _use(facts: Facts) -> str:
    """What the task says its networks are for."""
    name = facts.task.get("name")
    try:
        task = TASKS[name].model_validate(facts.task) if isinstance(name, str) and name in TASKS else None
    except ValidationError:  # settings of another version
        task = None
    found = getattr(task, "use", "")
    return found or "For pictures like those it was trained on. Check it on your own before you rely on it."


def _how(facts: Facts) -> str:
    name = facts.name
    if "classes" in facts.task:
        size = facts.task.get("size")
        return (
            "    python run.py photo.png    # needs numpy, onnxruntime and pillow alone; prints the likeliest classes\n"
            f"    falconet evaluate {name} --data PICTURES    # a folder for each class, an .npz or a .csv\n\n"
            f"`model.onnx` takes float32 (batch, channels, {size}, {size}), values from 0 to 1, and gives a value "
            "for each class, in the order of `task.classes` in `model.json`; a softmax makes shares of them."
        )
    arguments = "input.npy result.npy"
    if "colour" in facts.task:
        arguments = f"photo.png result.png{' 25' if facts.task.get('noise_map') else ''}"
    return (
        f"    python run.py {arguments}          # needs numpy, onnxruntime and pillow alone\n"
        f"    falconet enhance photo.png --model {name}    # or this folder; tiles, transparency, 16 bits\n\n"
        "`model.onnx` takes float32 (batch, channels, height, width); batch, height and width are free."
    )


def _count(value: float) -> str:
    """Three significant digits and a suffix: 2.41 G, 38.6 K.

    >>> _count(2_410_000_000), _count(950)
    ('2.41 G', '950 ')
    """
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {suffix}"
    return f"{value:.3g} "
