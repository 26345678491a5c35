import pytest

from falconet.report import words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2_382_000_000, 3, "2.38 G"),
        (2.4e9, 2, "2.4 G"),
        (999_999, 3, "1 M"),
        (13_308, 3, "13.3 K"),
        (12, 3, "12"),
        (0, 3, "0"),
    ],
)
def test_amounts_have_the_digits_a_person_writes(value: float, digits: int, text: str) -> None:
    assert words.amount(value, digits) == text


def test_costs_carry_their_units() -> None:
    assert words.cost_words("macs", 6.126e11) == "613 GMACs"
    assert words.cost_words("params", 10_426) == "10.4 K parameters"
    assert words.cost_number("params", 10_426) == "10.4 K"
    assert words.cost_words("peak_activation_bytes", 2.949e7) == "29.5 MB"
    assert words.cost_words("latency_ms", 4.126) == "4.13 ms"


def test_qualities_have_the_digits_papers_print() -> None:
    assert words.quality_words("psnr_y", 37.1) == "37.10 dB"
    assert words.quality_words("ssim_y", 0.95871) == "0.9587"
    assert words.quality_words("psnr_y", float("inf")) == "∞ dB"


def test_a_difference_too_small_to_print_has_no_sign() -> None:
    assert words.signed("psnr_y", 0.004) == "0.00 dB"
    assert words.signed("psnr_y", -0.004, 1) == "−0.004 dB"
    assert words.signed("psnr_y", 0.12) == "+0.12 dB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.24, "3.2 s"), (40, "40 s"), (1512, "25 min"), (4320, "72 min"), (6580, "1 h 50 min"), (7200, "2 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_lists_and_counts_read_like_sentences() -> None:
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.listing([]) == ""
    assert words.plural(1, "picture") == "1 picture"
    assert words.plural(1203, "network") == "1,203 networks"
    assert words.factor(255.05) == "255 times"
    assert words.factor(2.61) == "2.6 times"
