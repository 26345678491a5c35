"""The main job on real photos, in a few minutes: photos and a budget in, a verified x2 network and a report out.

    make demo                                  or: python examples/demo.py [--fresh]

The photos come inside the installed scikit-image, so nothing is downloaded. Some train, two are kept out of everything
(astronaut, NASA; rocket, SpaceX: both in the public domain) and judge the result. Called again, it shows what is there,
or goes on with a run that was stopped; --fresh starts anew. It fails, with exit code 1, when the network is not
at least 1 dB above bicubic on the photos it never saw.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import webbrowser
from pathlib import Path

from PIL import Image

from falconet.errors import UserError
from falconet.report import read_results
from falconet.run import pipeline
from falconet.run.progress import shown
from falconet.run.recipe import load

TRAIN = ("brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "motorcycle_left", "motorcycle_right")
TEST = ("astronaut", "rocket")
UNSEEN = "unseen photos"  # what the report calls them
RECIPE = Path(__file__).with_name("demo.yaml")
GAIN_DB = 1.0


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="throw away an earlier demo run")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="the run folder (default: runs/demo)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of demo.yaml")
    given = parser.parse_args()
    folder: Path = given.out
    photos = folder.with_name(f"{folder.name}-photos")
    if given.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    unpack(photos)
    places = [f"data.train={photos / 'train'}", f"data.test.{UNSEEN}={photos / 'test'}"]
    with shown() as progress:
        if folder.is_dir():
            if given.set:
                raise UserError(f"{folder} holds a run already, whose settings stand: add --fresh to begin anew")
            report = pipeline.resume(folder, progress)
        else:
            report = pipeline.run(load(RECIPE, [*places, *given.set]), folder, progress)
    return conclude(folder, report)


def unpack(photos: Path) -> None:
    """Write the photos of the installed scikit-image to folders of files, as a user's own would lie there."""
    import skimage

    inside = Path(skimage.__file__).parent / "data"
    for group, names in (("train", TRAIN), ("test", TEST)):
        (photos / group).mkdir(parents=True, exist_ok=True)
        for name in names:
            target = photos / group / f"{name}.png"
            source = next((path for path in sorted(inside.glob(f"{name}.*"))), None)
            if source is None:
                raise UserError(f"the installed scikit-image holds no photo {name!r}; install the demo extra again")
            if not target.exists():
                with Image.open(source) as photo:
                    photo.save(target)


def conclude(folder: Path, report: Path) -> int:
    """Say in plain words what was found; 1 when it is less than promised."""
    results = read_results(folder)
    model, bicubic = results.models[0], next(one for one in results.baselines if one.name == "bicubic")
    ours, theirs = (one.test[UNSEEN].metrics["psnr_y"] for one in (model, bicubic))
    gmacs = model.costs["macs"] / 1e9
    side = "above" if ours >= theirs else "below"
    gain = f"{abs(ours - theirs):.2f} dB {side} bicubic ({ours:.2f} against {theirs:.2f} dB)"
    command = "falconet" if shutil.which("falconet") else os.path.relpath(Path(sys.executable).with_name("falconet"))
    print(f"""
The search found a network of {gmacs:.2f} GMACs (for a picture of 1280x720) and {model.costs["params"]:,.0f} parameters.
On {len(TEST)} photos it was not trained on it is {gain}.

  the model    {folder / "models" / model.name}   (run.py there needs onnxruntime, numpy and pillow alone)
  the report   {report.resolve().as_uri()}
  try it       {command} enhance {folder}-photos/test/astronaut.png --model {folder / "models" / model.name}""")
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(report.resolve().as_uri())
    if ours - theirs < GAIN_DB:
        print(f"\nThat is less than the {GAIN_DB:g} dB that this demo promises.", file=sys.stderr)
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
