"""card.md of an export folder: what the file is, how it was proved, the lines that run it in an app."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from falconet.deploy.compare import told
from falconet.deploy.export_facts import ExportFacts
from falconet.deploy.target import Target


def export_card(facts: ExportFacts, target: Target, files: Sequence[str], terms: str) -> str:
    """The text of card.md, in Markdown. `files` are those that the runtime opens, the first of them in the examples."""
    parts = [
        f"# {facts.model} for {facts.target}",
        f"Written by Falconet {facts.falconet} on {facts.date} for {facts.runtime}, {facts.precision}. "
        f"Network {facts.network[:12]}.",
        "\n".join(
            ["| file | bytes |", "|---|---:|", *(f"| {name} | {size:,} |" for name, size in facts.files.items())]
        ),
        _shapes(facts, target, files),
        f"## Does it compute the same?\n\n{_proof(facts, target)}",
        "## How to run it",
        f"    pip install numpy pillow {' '.join(target.packages)}\n    python run.py        # says what it takes",
        *(
            f"In {language}:\n\n```\n{_named(lines, facts, files[0]).rstrip()}\n```"
            for language, lines in target.snippets.items()
        ),
        f"Terms of the pictures that the network learned from: {terms.rstrip('. ')}." if terms else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shapes(facts: ExportFacts, target: Target, files: Sequence[str]) -> str:
    inputs, outputs = ", ".join(facts.inputs), ", ".join(facts.outputs)
    text = f"Inputs: {inputs}, float32, values from 0 to 1. Outputs: {outputs}."
    if target.any_size:
        return f"{text} Pictures of any size."
    sizes = ", ".join(
        f"`{name}` for {one[0][1]}x{one[0][0]} pixels" for name, one in zip(files, facts.sizes, strict=True)
    )
    return (
        f"{text} Each file takes one size: {sizes}. Larger pictures are run in overlapping parts, as run.py shows; "
        "smaller ones are padded, which changes a few pixels at the padded borders."
    )


def _proof(facts: ExportFacts, target: Target) -> str:
    if facts.against is not None:
        note = (
            f"8-bit integers change the result, so it was judged by the task, and timed beside float32 in the same "
            f"rounds (calibrated on {facts.against.calibrated_on} of the pictures):"
        )
        return "\n".join([note, "", *(f"- {line}" for line in told(facts.against))])
    if facts.proof is None or not target.runs:
        return "**Not proved.** Falconet cannot run this format on the machine it was written on. Compare it yourself."
    sizes = ", ".join(sorted({f"{width}x{height}" for height, width in facts.proof.sizes}))
    return (
        f"On {facts.proof.samples} real pictures ({sizes}) it differed from PyTorch by at most "
        f"{facts.proof.largest:.2g}; {facts.proof.tolerance:.2g} was allowed."
    )


def _named(lines: str, facts: ExportFacts, file: str) -> str:
    """The lines with the names of this network."""
    for word, name in (
        ("STEM", PurePath(file).stem),
        ("FILE", file),
        ("INPUT", facts.inputs[0]),
        ("OUTPUT", facts.outputs[0]),
    ):
        lines = lines.replace(word, name)
    return lines
