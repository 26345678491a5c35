"""Who won and what to trust, in plain words.

A difference that may be chance is called a tie; one without a measured interval is reported as this run's alone.
"""

from dataclasses import dataclass

from falconet.evaluate.paired import paired
from falconet.report.reading import Run
from falconet.report.results import Comparison, CostPrediction, RankCorrelation, RankRow, SearchResult
from falconet.report.tables import budget_words
from falconet.report.views import find_search
from falconet.report.words import COST_LABELS, cost_words, listing, plural, quality_words, signed

SMALL = 0.005  # dB that the two printed decimals cannot show
SMALL_SHARE = 0.001  # of the hypervolume


@dataclass(frozen=True)
class Verdict:
    """Who won: one word or two, and why."""

    word: str
    sentences: tuple[str, ...]


def search_verdict(run: Run) -> Verdict | None:
    """Did the search beat random search at the same budget? None when there is nothing to compare."""
    compared = [one for one in run.results.comparisons if one.about == "search_vs_random" and one.interval]
    if compared:
        return _measured_verdict(compared[0])
    ours, random = find_search(run, "search"), find_search(run, "random_baseline")
    if ours is None or random is None:
        return None
    found = [*_best_signs(run, ours, random), *_volume_signs(ours, random)]
    if not found:
        return None
    signs = [sign for sign, _ in found]
    return Verdict(_word(signs), (*(sentence for _, sentence in found), _caveat(ours, random)))


def _word(signs: list[int]) -> str:
    if not any(signs):
        return "A tie"
    if min(signs) >= 0:
        return "Ahead, in this run"
    return "Behind, in this run" if max(signs) <= 0 else "Mixed"


def _sign(difference: float, small: float) -> int:
    return 0 if abs(difference) < small else 1 if difference > 0 else -1


def _best_signs(run: Run, ours: SearchResult, random: SearchResult) -> list[tuple[int, str]]:
    """For each budget both searches met: who is ahead (1, 0, -1), and a sentence."""
    quality, found = run.results.quality, []
    for best in ours.best:
        other = next((one for one in random.best if one.budget == best.budget), None)
        if other is None:
            continue
        start = f"With {budget_words(best.budget, sign='at most')}," if best.budget else "Without a limit,"
        value = quality_words(quality, best.quality)
        sign = _sign(best.quality - other.quality, SMALL)
        if sign == 0:
            found.append((sign, f"{start} the best network found scores {value}; so does the best of random search."))
            continue
        apart = signed(quality, best.quality - other.quality)
        theirs = quality_words(quality, other.quality)
        found.append((sign, f"{start} the best network found scores {value}; random search found {theirs} ({apart})."))
    return found


def _volume_signs(ours: SearchResult, random: SearchResult) -> list[tuple[int, str]]:
    if ours.hypervolume is None or not random.hypervolume:
        return []
    share = ours.hypervolume / random.hypervolume - 1
    sign = _sign(share, SMALL_SHARE)
    if sign == 0:
        return [
            (sign, "The front covers as much of the space of cost and quality as that of random search (hypervolume).")
        ]
    more = "more" if sign > 0 else "less"
    return [(sign, f"The front covers {abs(share):.1%} {more} of the space of cost and quality (hypervolume).")]


def _caveat(ours: SearchResult, random: SearchResult) -> str:
    after = ""
    if ours.evaluations and ours.evaluations == random.evaluations:
        after = f" with {ours.evaluations:,} evaluations each"
    elif ours.evaluations and random.evaluations:
        after = f" with {ours.evaluations:,} and {random.evaluations:,} evaluations"
    luck = "One run of each cannot tell skill from luck: no interval was measured."
    return f"Both drew on the same shared weights{after}. {luck}"


def _measured_verdict(one: Comparison) -> Verdict:
    """The verdict of a comparison that has an interval."""
    assert one.interval is not None, "only comparisons with an interval are decided"
    low, high = (signed(one.metric, value, 1) for value in (one.interval.low, one.interval.high))
    where = f" on {one.data}" if one.data else ""
    where += f" over {plural(one.num_pairs, 'picture')}" if one.num_pairs else ""
    where += f" of {plural(one.num_groups, 'group')}" if one.num_groups else ""
    where += f" and {plural(one.num_seeds, 'seed')}" if one.num_seeds else ""
    difference = signed(one.metric, one.difference, 1)
    figures = f"{one.left} minus {one.right}{where}: {difference}, {one.interval.level:.0%} interval {low} to {high}."
    words = {
        "ahead": ("The search won", "The interval lies above zero."),
        "behind": ("Random search won", "The interval lies below zero."),
        "tie": ("A tie", "The interval holds zero: the search did not show that it beats drawing at random."),
    }
    word, why = words[one.verdict]
    return Verdict(word, (figures, why))


def hypervolume_words(run: Run) -> str:
    """How hypervolume was counted, or "" when it was not."""
    found = run.results.hypervolume
    if found is None or not found.objectives:
        return ""
    known = zip(found.objectives, found.reference, strict=False)
    points = [cost_words(name, value) if name in COST_LABELS else quality_words(name, value) for name, value in known]
    unit = f", in {found.unit}" if found.unit else ""
    return f"Hypervolume above the reference point {listing(points)}{unit}: larger is better, within this run."


def rank_words(found: RankCorrelation) -> str:
    """How far the supernet's ranking can be trusted, and whether a cost alone would have done as well."""
    shared = [row for row in found.rows if row.kind == "inherited"]
    alone = [row for row in found.rows if row.kind == "cost"]
    sentences = []
    if shared and found.measure.lower().startswith("kendall"):
        right = f"the shared weights name the better one in {_percent_right(shared[0])} of 100 cases"
        same = next((row for row in alone if row.within == shared[0].within), None)
        than = f" ({same.predictor}: {_percent_right(same)})" if same else ""
        sentences.append(f"Of two networks, {right}{than}.")
    band = next((row for row in shared if row.within != "all"), None)
    if band:
        shown = band.interval is not None and band.interval.low > 0
        useful = "better than chance" if shown else "not shown to be better than chance"
        near = f"Among networks of nearly equal cost ({band.within}), where cost alone cannot choose,"
        sentences.append(f"{near} {found.measure} of the shared weights is {band.value:.2f}: {useful}.")
    return " ".join(sentences)


def advice_words(found: RankCorrelation, quality: str) -> str:
    """What statistics of its own gain a network, and whether to train what is kept, from the networks judged twice."""
    sentences, points = [], found.points
    gains = [p.inherited - p.shared_statistics for p in points if p.shared_statistics is not None]
    if gains:
        gain = signed(quality, sum(gains) / len(gains))
        sentences.append(
            f"Statistics of its own (batch norm, taken anew) change a network's inherited quality by {gain} on average "
            f"over {plural(len(gains), 'network')}."
        )
    if len(points) < 3:
        return " ".join(sentences)
    trained, kept = ({str(i): getattr(p, name) for i, p in enumerate(points)} for name in ("trained", "inherited"))
    apart = paired(trained, kept)
    low, high = signed(quality, apart.low), signed(quality, apart.high)
    by = f"{signed(quality, apart.mean)} (95 % interval {low} to {high})"
    words = {
        "better": f"Train what you keep: {found.truth}, networks gain {by} over what they inherit.",
        "worse": f"Keep the inherited weights, or train longer: {found.truth}, networks come out {by} against them.",
        "tie": f"Keep the inherited weights: {found.truth}, networks come out {by} against them, which may be chance.",
    }
    return " ".join([*sentences, words[apart.verdict]])


def _percent_right(row: RankRow) -> str:
    """Kendall's tau is right pairs minus wrong pairs, as a share of all: so (1 + tau) / 2 of them are right."""
    return f"{50 * (1 + row.value):.0f}"


def prediction_words(found: CostPrediction) -> str:
    """How well the prediction of a cost holds."""
    sentences = ["On the line, prediction and measurement agree."]
    if found.predictor:
        sentences.append(f"Predicted by {found.predictor}.")
    if found.median_error is not None:
        sentences.append(f"The median error is {found.median_error:.0%}.")
    if found.rank_correlation is not None:
        sentences.append(f"The rank correlation is {found.rank_correlation:.2f}.")
    return " ".join(sentences)
