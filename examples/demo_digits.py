"""Classification in a few minutes: 1,797 handwritten digits in, a verified classifier and a report out.

    make demo-digits                                 or: python examples/demo_digits.py [--fresh]

The digits come inside the installed scikit-learn, so nothing is downloaded. 350 are held out of everything and judge
the result. Called again, it shows what is there, or goes on with a run that was stopped; --fresh starts anew. It fails,
with exit code 1, when the network names fewer than 95 of 100 held-out digits rightly.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from falconet.errors import UserError
from falconet.report import read_results
from falconet.run import pipeline
from falconet.run.progress import shown
from falconet.run.recipe import load

HERE = Path(__file__).parent
PROMISE = 95.0  # per cent


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="throw away an earlier demo run")
    parser.add_argument("--out", type=Path, default=Path("runs/demo-digits"), help="the run folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    given = parser.parse_args()
    folder: Path = given.out
    digits = folder.with_name(f"{folder.name}.npz")
    if given.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    unpack(digits)
    places = [f"data.train={digits}", f"space={{file: {HERE / 'digits_space.py'}}}"]
    with shown() as progress:
        if folder.is_dir():
            if given.set:
                raise UserError(f"{folder} holds a run already, whose settings stand: add --fresh to begin anew")
            report = pipeline.resume(folder, progress)
        else:
            report = pipeline.run(load(HERE / "demo_digits.yaml", [*places, *given.set]), folder, progress)
    return conclude(folder, report)


def unpack(path: Path) -> None:
    """Write the digits of the installed scikit-learn as an .npz, as a user's own pictures could lie there."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError("the digits come with scikit-learn: pip install 'falconet[demo]'") from None
    found = load_digits()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=(found.images * (255 / 16)).astype(np.uint8), labels=found.target)


def conclude(folder: Path, report: Path) -> int:
    """Say in plain words what was found; 1 when it is less than promised."""
    (model,) = read_results(folder).models
    held = model.test["held out"]
    right = held.metrics["top1"]
    print(f"""
The search found a classifier of {model.costs["macs"] / 1e3:.0f} thousand multiply-accumulates and \
{model.costs["params"]:,.0f} parameters.
Of {held.num_images} digits it never saw it names {right:.1f} % rightly.

  the model    {folder / "models" / model.name}   (run.py there needs onnxruntime, numpy and pillow alone)
  the report   {report.resolve().as_uri()}""")
    if right < PROMISE:
        print(f"\nThat is less than the {PROMISE:g} % that this demo promises.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("demo: stopped; nothing is lost: run it again to go on", file=sys.stderr)
        sys.exit(130)
