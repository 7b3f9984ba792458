"""Numbers only: a logistic regression, a threshold that separates two samples, a reliability table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_FALSE = 0.01
"""Share of good translations that a flag may be raised on, on validation data."""

PRECISION = 0.75
"""Share of the translations called `low_confidence` that are bad, on validation data."""

FEWEST_SEEN = 20
"""Sentences in which a feature must differ from its usual value before it gets a weight."""

BINS = 10

Floats = NDArray[np.float64]


def fit_logistic(features: Floats, outcomes: NDArray[np.bool_], *, ridge: float = 1.0) -> tuple[float, Floats]:
    """Logistic regression by Newton's method; returns bias and weights.

    Outcomes are smoothed as in Platt 1999 (eq. for t+ and t-), and standardised weights pulled
    towards 0 by `ridge`, so that data with one outcome alone have a finite answer.

    Args:
        features: Shape (N, F).
        outcomes: Shape (N,).
        ridge: Squared pull on each standardised weight.
    """
    yes = int(outcomes.sum())
    goal = np.where(outcomes, (yes + 1) / (yes + 2), 1 / (len(outcomes) - yes + 2))
    common = np.median(features, axis=0)
    seen = (features != common).sum(axis=0) >= FEWEST_SEEN
    features = np.where(seen, features, common)  # constant: its weight stays 0
    middle, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    rows = np.column_stack([np.ones(len(features)), (features - middle) / scale])
    pull = np.diag([0.0, *[ridge] * features.shape[1]])
    solution = np.zeros(rows.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-rows @ solution))
        slope = rows.T @ (goal - chance) - pull @ solution
        step = np.linalg.solve((rows * (chance * (1 - chance))[:, None]).T @ rows + pull, slope)
        solution += step
        if np.abs(step).max() < 1e-9:
            break
    weights = solution[1:] / scale
    return float(solution[0] - weights @ middle), weights


def best_threshold(damaged: Floats, clean: Floats, *, most_false: float = MOST_FALSE) -> float:
    """The threshold that separates best (recall less false alarms) with few false alarms.

    It lies in the middle between two values that occur; a number at or above it raises the flag.
    """
    values = np.unique(np.concatenate([damaged, clean]))
    edges = np.append((values[1:] + values[:-1]) / 2, values[-1] + 1e-6)
    recall = (len(damaged) - np.searchsorted(np.sort(damaged), edges)) / len(damaged)
    alarms = (len(clean) - np.searchsorted(np.sort(clean), edges)) / len(clean)
    return float(edges[np.argmax(np.where(alarms <= most_false, recall - alarms, -1.0))])


def least_confidence(confidence: Floats, good: NDArray[np.bool_], *, precision: float = PRECISION) -> float:
    """The highest threshold below which at least `precision` of the translations are bad; 0 without one."""
    order = np.argsort(confidence)
    ranked = confidence[order]
    bad = np.cumsum(~good[order]) / np.arange(1, len(good) + 1)
    found = np.flatnonzero((bad[:-1] >= precision) & (ranked[:-1] < ranked[1:]))  # equal ones stay together
    return float(ranked[found[-1]] + ranked[found[-1] + 1]) / 2 if len(found) else 0.0


def reliability(confidence: Floats, good: NDArray[np.bool_], *, bins: int = BINS) -> dict[str, Any]:
    """The reliability table, and the expected calibration error (Naeini et al. 2015) and Brier score."""
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    table = []
    for place in range(bins):
        here = number == place
        if here.any():
            table.append(
                {
                    "from": place / bins,
                    "to": (place + 1) / bins,
                    "sentences": int(here.sum()),
                    "confidence": round(float(confidence[here].mean()), 3),
                    "good": round(float(good[here].mean()), 3),
                }
            )
    error = sum(row["sentences"] * abs(row["confidence"] - row["good"]) for row in table) / len(good)
    return {"ece": round(error, 4), "brier": round(float(((confidence - good) ** 2).mean()), 4), "table": table}
