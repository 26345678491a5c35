"""Search: strategies that propose architectures, and the loop that evaluates and logs them."""

from falconet.search.credit import Credit, CreditSettings
from falconet.search.evolution import Evolution, EvolutionSettings
from falconet.search.local_search import LocalSearch, LocalSettings
from falconet.search.loop import Evaluate, read_trials, search
from falconet.search.nsga2 import Nsga2, Nsga2Settings
from falconet.search.optuna_adapter import OptunaSettings, OptunaStrategy
from falconet.search.pareto import crowding_distance, front, front_of, hypervolume, non_dominated_sort
from falconet.search.predictor_guided import PredictorGuided, PredictorSettings
from falconet.search.random_search import RandomSearch, RandomSettings
from falconet.search.regularized import RegularizedEvolution, RegularizedSettings
from falconet.search.strategy import Feasible, SearchSettings, Strategy, StrategyClass, feasible_sample, sample_by_cost

STRATEGIES: dict[str, StrategyClass] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "nsga2": Nsga2,
    "credit": Credit,
    "regularized": RegularizedEvolution,
    "local": LocalSearch,
    "predictor": PredictorGuided,
    "optuna": OptunaStrategy,
}

__all__ = [
    "STRATEGIES",
    "Credit",
    "CreditSettings",
    "Evaluate",
    "Evolution",
    "EvolutionSettings",
    "Feasible",
    "LocalSearch",
    "LocalSettings",
    "Nsga2",
    "Nsga2Settings",
    "OptunaSettings",
    "OptunaStrategy",
    "PredictorGuided",
    "PredictorSettings",
    "RandomSearch",
    "RandomSettings",
    "RegularizedEvolution",
    "RegularizedSettings",
    "SearchSettings",
    "Strategy",
    "StrategyClass",
    "crowding_distance",
    "feasible_sample",
    "front",
    "front_of",
    "hypervolume",
    "non_dominated_sort",
    "read_trials",
    "sample_by_cost",
    "search",
]
