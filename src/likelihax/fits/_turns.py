"""How often measured values turn: what tells an oscillation from a decay."""

from typing import Any

import numpy as np

# A turn is a way back of at least this share of the range, and of so many deviations of the noise.
_SHARE = 0.2
_DEVIATIONS = 8.0
# Where there are many values, the means of a hundredth of them are looked at.
_WINDOWS = 100
# From the median size of the differences of neighbours to the deviation of a Normal noise.
_TO_DEVIATION = 1 / (0.6745 * np.sqrt(2))


def num_turns(data: Any) -> int:
    """How often the observable that turns most often does, in the experiment where it does.

    A way back that noise could account for is none.
    """
    counts = [0]
    for one in data.experiments:
        values = np.asarray(one.values).reshape(one.values.shape[0], -1)
        observed = np.asarray(one.observed).reshape(values.shape)
        columns = zip(values.T, observed.T, strict=True)
        counts.extend(_turns(column[seen]) for column, seen in columns)
    return max(counts)


def noise_share(data: Any) -> float:
    """Which share of the variance is noise, seen from how neighbours differ.

    That of the observable where it is largest; 1 at most. Where values are few it is too large.
    """
    shares = [0.0]
    for one in data.experiments:
        values = np.asarray(one.values).reshape(one.values.shape[0], -1)
        observed = np.asarray(one.observed).reshape(values.shape)
        for column, seen in zip(values.T, observed.T, strict=True):
            variance = np.var(column[seen]) if seen.sum() > 2 else 0.0
            if variance > 0:
                shares.append(float(_noise(column[seen]) ** 2 / variance))
    return min(max(shares), 1.0)


def _noise(values: np.ndarray) -> float:
    return float(_TO_DEVIATION * np.median(np.abs(np.diff(values))))


def _turns(values: np.ndarray) -> int:
    if values.size < 3:
        return 0
    window = max(values.size // _WINDOWS, 1)
    noise = _noise(values) / np.sqrt(window)
    values = np.convolve(values, np.full(window, 1 / window), mode="valid")
    least = max(_SHARE * np.ptp(values), min(_DEVIATIONS * noise, 0.5 * np.ptp(values)))
    if least == 0:
        return 0
    count, direction = 0, 0
    highest = lowest = values[0]
    for value in values:
        highest, lowest = max(highest, value), min(lowest, value)
        if direction >= 0 and highest - value >= least:
            count += direction > 0
            direction, lowest = -1, value
        elif direction <= 0 and value - lowest >= least:
            count += direction < 0
            direction, highest = 1, value
    return count
