"""Numbers as words: amounts, costs, qualities and times the way a person writes them. Nothing here reads a file.

>>> amount(2_382_000_000), cost_words("macs", 2.38e9), duration(6600)
('2.38 G', '2.38 GMACs', '1 h 50 min')
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from falconet.report.results import Judged

T = TypeVar("T")

COST_LABELS = {
    "macs": "Multiply-accumulates",
    "macs_per_pixel": "Multiply-accumulates a pixel",
    "params": "Parameters",
    "peak_activation_bytes": "Peak activation memory",
    "latency_ms": "Latency",
}
QUALITY_LABELS = {"psnr": "PSNR", "ssim": "SSIM", "top1": "Top-1", "top5": "Top-5"}
DIGITS = {"psnr": 2, "ssim": 4, "top1": 2, "top5": 2}
UNITS = {"psnr": "dB", "top1": "%", "top5": "%"}


def amount(value: float, digits: int = 3) -> str:
    """`value` with so many significant digits and a decimal prefix, as people write it: 13308 is "13.3 K"."""
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits}g}")
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(rounded) >= scale:
            return f"{_plain(rounded / scale, digits)} {prefix}"
    return _plain(rounded, digits)


def _plain(value: float, digits: int) -> str:
    whole_digits = len(str(int(abs(value))))
    text = f"{value:.{max(0, digits - whole_digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cost_words(name: str, value: float, digits: int = 3) -> str:
    """A cost with its unit: "2.38 GMACs", "13.3 K parameters", "59 MB", "4.1 ms"."""
    if name in ("macs", "macs_per_pixel"):
        number, _, prefix = amount(value, digits).partition(" ")
        return f"{number} {prefix}MACs{' a pixel' * (name == 'macs_per_pixel')}"
    if name.endswith("_bytes"):
        return f"{amount(value, digits)}B" if abs(value) >= 1000 else f"{value:.0f} B"
    if name.endswith("_ms") or name.startswith("latency_ms."):
        return f"{_plain(value, digits)} ms"
    return f"{amount(value, digits)} parameters" if name == "params" else amount(value, digits)


def cost_number(name: str, value: float, digits: int = 3) -> str:
    """A cost where its name stands beside it already: "10.4 K" for parameters, else as `cost_words`."""
    return amount(value, digits) if name == "params" else cost_words(name, value, digits)


def cost_label(name: str) -> str:
    """What a cost is called in a table or along an axis."""
    device = name.removeprefix("latency_ms.")
    return COST_LABELS.get(name, name) if device == name else f"Latency on {device}"


def quality_label(name: str) -> str:
    """What a quality is called: "PSNR-Y" for "psnr_y", "PSNR-25" for "psnr_25", or the name itself."""
    kind, _, what = name.partition("_")
    return "-".join([QUALITY_LABELS[kind], *([what.upper()] if what else [])]) if kind in QUALITY_LABELS else name


def _of_kind(table: Mapping[str, T], name: str, otherwise: T) -> T:
    """The table's entry for a quality, or for what its name begins with: "psnr" for "psnr_y"."""
    return table.get(name, table.get(name.partition("_")[0], otherwise))


def quality_number(name: str, value: float, more_digits: int = 0) -> str:
    """A quality without its unit, with the digits papers print: 37.12 for PSNR, 0.9587 for SSIM."""
    return (
        f"{value:.{_of_kind(DIGITS, name, 3) + more_digits}f}"
        if math.isfinite(value)
        else "∞"
        if value > 0
        else str(value)
    )


def quality_unit(name: str) -> str:
    """The unit of a quality: "dB" for each PSNR, or nothing."""
    return _of_kind(UNITS, name, "")


def quality_words(name: str, value: float) -> str:
    """A quality with its unit: "37.12 dB"."""
    return f"{quality_number(name, value)} {quality_unit(name)}".strip()


def signed(name: str, value: float, more_digits: int = 0) -> str:
    """A difference of qualities with its sign and unit: "+0.12 dB", "−0.03 dB"."""
    number = quality_number(name, abs(value), more_digits)
    sign = "" if float(number) == 0 else "+" if value > 0 else "−"
    return f"{sign}{number} {quality_unit(name)}".strip()


def factor(ratio: float) -> str:
    """How many times: "255 times" and "2.6 times"; one decimal below ten."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def duration(seconds: float) -> str:
    """A span of time in the two largest units: "40 s", "25 min", "1 h 50 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{_plain(seconds, 2)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def file_size(count: int) -> str:
    """The size of a file: "53 KB"."""
    return f"{amount(count, 2)}B" if count >= 1000 else f"{count} bytes"


def listing(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def plural(count: int, noun: str, many: str = "") -> str:
    """A count with its noun: "1 picture", "20 pictures", "1,203 networks"."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


@dataclass(frozen=True)
class Begin:
    """Words for the weights networks were judged with: "measured with ITS", "networks with THEIRS", a row's NAME."""

    its: str
    theirs: str
    name: str


BEGINS: Mapping[Judged, Begin] = {
    "supernet": Begin("the weights it inherited", "the weights they inherit", "inherited weights"),
    "proxy": Begin("a short training of its own", "a short training of their own", "short training"),
    "model": Begin("the weights of the model it begins with", "the weights of the model they begin with", "at first"),
    "nothing": Begin("weights that had learned nothing", "weights that have learned nothing", "untrained"),
}
