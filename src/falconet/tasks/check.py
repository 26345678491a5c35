"""What is wrong with a set of pictures, found before anything is trained on it.

    report = check(Path("pictures"))                 # a folder, .npz or .csv; labelled or not
    report.problems, report.remarks                  # what spoils a training; what is good to know

Near-duplicates are found by a perceptual hash: 64 signs of a 9 x 8 picture's differences from left to right, and
another 64 from top to bottom. Two pictures whose hashes differ in few bits look alike; flat pictures, whose hash says
nothing, are passed over. Duplicates between the parts of a split spoil every figure measured on them.

Left out: duplicates that are turned, mirrored or cropped, and wrong labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from falconet.errors import UserError
from falconet.tasks.images import list_pictures, read_picture
from falconet.tasks.labelled import listing

Pixels = npt.NDArray[Any]
Hashes = npt.NDArray[np.uint64]

NEAR_BITS = 4  # of 128 that may differ between near-duplicates
FLAT = 6  # levels of 255 by which the small picture varies at least, or its hash says nothing
IMBALANCE = 10  # times as many pictures in the largest class as in the smallest is worth a remark
SMALL = 48  # pixels a side, below which a picture holds few patches to train with
SHOWN = 20


@dataclass(frozen=True)
class Report:
    """What was found: counts, pictures that cannot be read, pairs that look alike, and sentences about all of it."""

    pictures: int
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]
    across: tuple[tuple[str, str], ...]
    classes: Mapping[str, int]
    sizes: Mapping[str, int]
    modes: Mapping[str, int]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Pictures of one place: names, a label each (empty: none), and how to decode them."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    decode: Callable[[int], Pixels]


def check(path: Path, other: Path | None = None, is_labelled: bool | None = None) -> Report:
    """What is wrong with the pictures in `path`; `other` (such as a test folder) must share none with it.

    `is_labelled` says whether folders are classes; None: they are, when there are two or more and nothing beside them.
    """
    is_labelled = _looks_labelled(path) if is_labelled is None else is_labelled
    source = _source(path, is_labelled)
    sizes, modes, unreadable, hashes, places = _look(source)
    names = [source.names[place] for place in places]
    pairs = [(names[i], names[j]) for i, j in near_pairs(hashes)]
    label_of = dict(zip(source.names, source.labels, strict=True))
    across: list[tuple[str, str]] = []
    if other is not None:
        theirs = _source(other, is_labelled)
        *_, their_hashes, their_places = _look(theirs)
        across = [
            (names[i], theirs.names[their_places[j - len(names)]])
            for i, j in near_pairs(np.concatenate([hashes, their_hashes]), split=len(names))
        ]
    classes = Counter(source.labels) if is_labelled else Counter[str]()
    problems = list(_problems(unreadable, pairs, across, label_of, len(source.names)))
    remarks = list(_remarks(classes, sizes, modes, pairs, is_labelled))
    return Report(
        len(source.names), tuple(unreadable), tuple(pairs), tuple(across), dict(classes), dict(sizes.most_common()),
        dict(modes), tuple(problems), tuple(remarks),
    )  # fmt: skip


def _looks_labelled(path: Path) -> bool:
    """An .npz, a .csv, or a folder of two or more folders and no pictures beside them."""
    if not path.is_dir():
        return True
    inside = [one for one in path.iterdir() if not one.name.startswith(".")]
    folders = [one for one in inside if one.is_dir()]
    return len(folders) > 1 and len(folders) == len(inside)


def _source(path: Path, is_labelled: bool) -> _Source:
    if is_labelled:
        found = listing(path)
        return _Source(found.names, found.labels, found.decode)
    paths = list_pictures(path)
    names = tuple(one.relative_to(path).as_posix() for one in paths)
    return _Source(names, ("",) * len(names), lambda index: read_picture(paths[index]).as_8_bit())


def _look(
    source: _Source,
) -> tuple[Counter[str], Counter[str], list[tuple[str, str]], Hashes, list[int]]:
    """Sizes, modes, pictures that cannot be read, and the hashes of those that can, with their places."""
    sizes, modes = Counter[str](), Counter[str]()
    unreadable: list[tuple[str, str]] = []
    hashes, places = [], []
    for index, name in enumerate(source.names):
        try:
            pixels = source.decode(index)
        except UserError as error:
            unreadable.append((name, str(error)))
            continue
        sizes[f"{pixels.shape[1]}x{pixels.shape[0]}"] += 1
        modes["grey" if pixels.ndim == 2 or pixels.shape[2] == 1 else "colour"] += 1
        hashes.append(picture_hash(pixels))
        places.append(index)
    return sizes, modes, unreadable, np.array(hashes, np.uint64).reshape(-1, 2), places


def picture_hash(pixels: Pixels) -> tuple[int, int]:
    """128 bits that stay when a picture is resized or compressed; (0, 0) of a flat one."""
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    small = Image.fromarray(plain).convert("L").resize((9, 9), Image.Resampling.BOX)
    values = np.asarray(small, np.int16)
    if int(values.max()) - int(values.min()) < FLAT:
        return 0, 0
    across, down = values[:8, 1:] > values[:8, :-1], values[1:, :8] > values[:-1, :8]
    return tuple(int.from_bytes(np.packbits(bits).tobytes(), "big") for bits in (across, down))  # type: ignore[return-value]


def near_pairs(hashes_n2: Hashes, split: int | None = None, most_bits: int = NEAR_BITS) -> Iterator[tuple[int, int]]:
    """Pairs i < j whose hashes differ in at most `most_bits` bits; with `split`, only i below it and j not.

    Hashes are gathered by each of 8 quarters of 16 bits: of 4 differing bits at most 4 quarters are touched, so two
    near ones agree in one at least, and only those are compared.
    """
    quarters = hashes_n2.view(np.uint16).reshape(len(hashes_n2), 8)
    seen: set[tuple[int, int]] = set()
    for column in range(8):
        groups: dict[int, list[int]] = defaultdict(list)
        for place, value in enumerate(quarters[:, column].tolist()):
            if hashes_n2[place].any():
                groups[value].append(place)
        for members in groups.values():
            yield from _near_within(hashes_n2, np.array(members), split, most_bits, seen)


def _near_within(
    hashes_n2: Hashes, members: npt.NDArray[np.int64], split: int | None, most_bits: int, seen: set[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    for number, first in enumerate(members.tolist()[:-1]):
        rest = members[number + 1 :]
        if split is not None:
            rest = rest[rest >= split] if first < split else rest[:0]
        apart = np.bitwise_count(hashes_n2[rest] ^ hashes_n2[first]).sum(axis=1)
        for second in rest[apart <= most_bits].tolist():
            if (first, second) not in seen:
                seen.add((first, second))
                yield first, second


def _problems(
    unreadable: Sequence[tuple[str, str]],
    pairs: Sequence[tuple[str, str]],
    across: Sequence[tuple[str, str]],
    label_of: Mapping[str, str],
    total: int,
) -> Iterator[str]:
    """What spoils a training or its figures."""
    if unreadable:
        yield f"{len(unreadable)} of {total} pictures cannot be read"
    if across:
        yield f"{len(across)} pictures are in both sets, or nearly: figures on the second say little"
    torn = [(a, b) for a, b in pairs if label_of[a] != label_of[b]]
    if torn:
        yield f"{len(torn)} pairs look alike and have different labels, such as {torn[0][0]} and {torn[0][1]}"


def _remarks(
    classes: Mapping[str, int],
    sizes: Mapping[str, int],
    modes: Mapping[str, int],
    pairs: Sequence[tuple[str, str]],
    is_labelled: bool,
) -> Iterator[str]:
    """What is good to know."""
    if pairs:
        yield (
            f"{len(pairs)} pairs look alike; a split by chance puts some on both sides. "
            "Give them a group (`group` in a .csv or .npz), or remove one of each"
        )
    if classes and max(classes.values()) >= IMBALANCE * min(classes.values()):
        largest, smallest = max(classes, key=classes.__getitem__), min(classes, key=classes.__getitem__)
        counts = f"{largest} has {classes[largest]} pictures, {smallest} has {classes[smallest]}"
        yield f"{counts}: look at the figures of each class"
    if len(modes) > 1:
        yield "grey and colour pictures are mixed: " + ", ".join(f"{count} {name}" for name, count in modes.items())
    small = sum(count for size, count in sizes.items() if min(map(int, size.split("x"))) < SMALL)
    if small and not is_labelled:
        yield f"{small} pictures are smaller than {SMALL} pixels a side: they hold few patches, or none"
