"""
Counts -> intervals, p-values and sample sizes.

Closed forms and bisections only: the same counts give the same numbers to the bit. Throughout, of
n paired answers *broken* were right before and are wrong now, *fixed* the reverse, and the drop is
(broken - fixed) / n. The discordance d of two equal models is (broken + fixed) / n.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from statistics import NormalDist

_NORMAL = NormalDist()

EXACT_SIGNED_RANKS = 50
"""Up to this many pairs the Wilcoxon distribution is exact, beyond that a normal approximation."""


_ALL_FLIPS = 4_000_000
"""Up to this many units times their changes, flips are counted: a second or so."""

_ALL_WALSH = 120
"""Up to this many pairs all their averages are sorted; beyond, the few needed are selected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """
    A typical difference of pairs with its two-sided interval.
    """

    estimate: float
    low: float | None
    high: float | None
    """Both None where there are too few pairs for an interval at that level."""


def wilson(hits: int, n: int, confidence: float = 0.95, effect: float = 1.0) -> tuple[float, float]:
    """
    Return the two-sided Wilson score interval of a rate.

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n); Wilson 1927, JASA 22:209. *effect*
    is the `design_effect`: n is divided by it, as in `tango_interval`.
    """
    _check_rate(hits, n)
    z = _NORMAL.inv_cdf((1 + confidence) / 2)
    p, m = hits / n, n / effect
    scale = 1 + z * z / m
    centre = (p + z * z / (2 * m)) / scale
    half = z * math.sqrt(p * (1 - p) / m + z * z / (4 * m * m)) / scale
    # At the ends the formula is exactly 0 and 1; floating point is not.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == n else min(1.0, centre + half)
    return low, high


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """
    Return the two-sided exact interval of a rate.

    The rates at which a result at least (at most) this large has probability (1 - confidence)/2;
    Clopper and Pearson 1934, Biometrika 26:404. Its upper end at confidence 0.90 is the one-sided
    95 % bound: of 0 in n it is 1 - 0.05^(1/n), about 3/n.
    """
    _check_rate(hits, n)
    tail = (1 - confidence) / 2
    low, high = 0.0, 1.0
    if hits > 0:
        low = _root(lambda p: _binomial_at_least(hits, n, p) - tail, 0.0, 1.0)
    if hits < n:
        high = _root(lambda p: tail - _binomial_at_least(n - hits, n, 1 - p), 0.0, 1.0)
    return low, high


def median_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """
    Return an interval of a median between two order statistics, whatever the distribution; None
    where there are too few values for one.

    The r-th smallest and r-th largest, with the largest r that P(B < r) <= (1 - confidence) / 2
    allows, B ~ Binomial(n, 1/2) (Conover, Practical Nonparametric Statistics, section 3.2).
    """
    n, tail = len(values), (1 - confidence) / 2
    rank = 0
    while rank < n // 2 and binomial_at_most(rank, n, 0.5) <= tail:
        rank += 1
    if not rank:
        return None
    ordered = sorted(values)
    return ordered[rank - 1], ordered[n - rank]


def mid_p(broken: int, fixed: int) -> float:
    """
    Return the one-sided McNemar mid-p for the alternative that more were broken than fixed.

    P(B > broken) + P(B = broken)/2 with B ~ Binomial(broken + fixed, 1/2); Fagerland, Lydersen
    and Laake 2013, BMC Med Res Methodol 13:91.
    """
    return sign_flip_mid_p([1] * broken + [-1] * fixed)


def sign_flip_mid_p(sums: Sequence[int]) -> float:
    """
    Return the one-sided mid-p of the sign-flip test over *sums*: broken minus fixed, unit by unit.

    A unit is what varies independently: a case, a case with all its repeats, or a group of cases
    made from one template. If both models are equal, each unit's sum might as well have had the
    other sign: P(T > t) + P(T = t)/2 over all 2^units flips, counted exactly by convolution. With
    units of one answer it is `mid_p`. Fisher 1935, The Design of Experiments, section 21.

    Beyond `_ALL_FLIPS` it is not counted: of single answers the binomial tails are taken from the
    beta function, and of others the normal distribution of T, whose variance is the sum of squares.
    """
    sizes = [abs(value) for value in sums if value]
    observed = sum(value for value in sums if value > 0)
    if len(sizes) * sum(sizes) > _ALL_FLIPS:
        if max(sizes) == 1:
            below = (binomial_at_most(observed - k, len(sizes), 0.5) for k in (0, 1))
            return 1 - sum(below) / 2
        z = (2 * observed - sum(sizes)) / math.sqrt(sum(size * size for size in sizes))
        return math.erfc(z / math.sqrt(2)) / 2
    # ways[k]: how many flips leave a positive part of k. T is 2k less a constant. Of units of one
    # answer, in most suites all, they are the binomial coefficients.
    ones = sizes.count(1)
    ways = [1]
    for k in range(ones):
        ways.append(ways[-1] * (ones - k) // (k + 1))
    for size in sizes:
        if size == 1:
            continue
        longer = ways + [0] * size
        for k, count in enumerate(ways):
            longer[k + size] += count
        ways = longer
    twice = 2 * sum(ways[observed + 1 :]) + ways[observed]
    return twice / (1 << (len(sizes) + 1))


def design_effect(sums: Sequence[int], sizes: Sequence[int], changed: int) -> float:
    """
    Return the factor by which similar answers within a unit inflate the variance of the drop.

    The variance of the drop over m units / that over all n answers as if independent,
    [m/(m-1) sum (s_i - n_i D)^2] / [n/(n-1) (changed - n D^2)]; the numerator is Obuchowski 1998,
    Stat Med 17:1495. *sums* are as in `sign_flip_mid_p`, *sizes* the units' answers, *changed* is
    broken + fixed. At least 1; exactly 1 for units of one answer, and where nothing can be
    estimated: nothing changed, everything changed alike, or there is one unit.
    """
    # In integers up to the last division, so that the order of units cannot change a digit.
    n, net, m = sum(sizes), sum(sums), len(sums)
    independent = n * changed - net * net
    if m < 2 or independent <= 0:
        return 1.0
    units = Counter(zip(sums, sizes, strict=True))  # few differ
    spread = sum(many * (n * s - size * net) ** 2 for (s, size), many in units.items())
    return max(1.0, (m * (n - 1) * spread) / ((m - 1) * n * n * independent))


def intraclass(units: Mapping[tuple[float, ...], int]) -> float:
    """
    Return the correlation of values within their units; 0 where nothing can be estimated.

    *units* is how many units have these values: few differ. (MSB - MSW) / (MSB + (a - 1) MSW) of
    the one-way analysis of variance, a the size of a unit adjusted for unequal sizes; Donner 1986,
    Int Stat Rev 54:67.
    """
    m = sum(units.values())
    n = sum(many * len(unit) for unit, many in units.items())
    if not 1 < m < n:
        return 0.0

    def total(of: Callable[[tuple[float, ...]], Iterable[float]]) -> float:
        # fsum rounds once, so that the order of units cannot change a digit.
        every = (repeat(value, many) for unit, many in units.items() for value in of(unit))
        return math.fsum(chain.from_iterable(every))

    mean = total(lambda unit: unit) / n
    means = {unit: math.fsum(unit) / len(unit) for unit in units}
    between = total(lambda unit: [len(unit) * (means[unit] - mean) ** 2]) / (m - 1)
    within = total(lambda unit: [(value - means[unit]) ** 2 for value in unit]) / (n - m)
    size = (n - sum(many * len(unit) ** 2 for unit, many in units.items()) / n) / (m - 1)
    spread = between + (size - 1) * within
    return (between - within) / spread if spread > 1e-12 else 0.0


def studentised(
    sums: Sequence[int],
    sizes: Sequence[int],
    changed: int,
    effect: float = 1.0,
    unseen: float = 0.0,
) -> float:
    """
    Return the t of a loss over units of similar answers, with units - 1 degrees of freedom.

    The net change / its standard deviation: the spread of the units (Obuchowski 1998, as in
    `design_effect`), or that of single answers times *effect*, if that is larger; *unseen* is added
    to the variance, for what the changes that were seen cannot show. Where few units
    gained much (a skew that makes a loss look sure), t is lowered by Hall's transformation (1992,
    J R Stat Soc B 54:221), t + k t^2/3 + k^2 t^3/27 + k/6. (Dividing by the spread alone would
    change no sign-flip test: flips leave the squares as they are.)
    """
    n, net, m = sum(sizes), sum(sums), len(sums)
    # In integers, n times what is meant, so that the order of units cannot change a digit.
    units = Counter(zip(sums, sizes, strict=True))  # few differ
    left = [(n * s - size * net, many) for (s, size), many in units.items()]
    spread = m / (m - 1) * sum(many * each * each for each, many in left) / (n * n)
    variance = max(spread, effect * (n * changed - net * net) / n) + unseen
    if variance <= 0:
        return math.copysign(math.inf, net) if net else 0.0
    t = net / math.sqrt(variance)
    k = min(
        0.0,
        sum(many * each * each * each for each, many in left)
        / n**3
        / variance
        / math.sqrt(variance),
    )
    return t + k * t * t / 3 + k * k * t**3 / 27 + k / 6


def t_tail(t: float, degrees: int) -> float:
    """
    Return P(T > t) of Student's t distribution.

    Half the incomplete beta function; Abramowitz and Stegun 1964, 26.7.1.
    """
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    half = beta_share(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2
    return half if t >= 0 else 1 - half


def t_upper(tail: float, degrees: int) -> float:
    """
    Return the t above which *tail* of Student's distribution lies; *tail* is at most 1/2.
    """
    most = 1.0
    while t_tail(most, degrees) > tail and most < 1e150:
        most *= 2
    return _root(lambda t: tail - t_tail(t, degrees), 0.0, most)


def beta_share(a: float, b: float, x: float) -> float:
    """
    Return the regularised incomplete beta function I_x(a, b): the beta distribution up to *x*.

    The continued fraction of the DLMF, 8.17.22, by Lentz's method (Press et al. 2007, Numerical
    Recipes, section 6.4).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_share(b, a, 1 - x)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / max(tiny, 1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = 1 + step / c, 1 + step * d
            c, d = c if abs(c) > tiny else tiny, 1 / (d if abs(d) > tiny else tiny)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return min(1.0, front * fraction)


def tango_interval(
    broken: int,
    fixed: int,
    n: int,
    confidence: float = 0.95,
    effect: float = 1.0,
    degrees: int | None = None,
) -> tuple[float, float]:
    """
    Return the two-sided score interval of the drop.

    The drops that the score test does not reject; Tango 1998, Stat Med 17:891. *effect* is the
    `design_effect`: n, broken and fixed are divided by it, as Rao and Scott 1992 (Biometrics
    48:577) do for clustered counts. Of few units, the quantile is that of t with *degrees*.
    """
    z = _quantile((1 - confidence) / 2, degrees)
    return -_tango_end(fixed, broken, n, z, effect), _tango_end(broken, fixed, n, z, effect)


def tango_upper(
    broken: int,
    fixed: int,
    n: int,
    confidence: float = 0.95,
    effect: float = 1.0,
    degrees: int | None = None,
) -> float:
    """
    Return the one-sided upper bound of the drop; the cluster form with *effect* above 1.

    As `tango_interval`. Where nothing changed at all, the score bound is too low (88 equal answers
    would exclude a drop of 3 points), so the exact bound holds: 1 - (1 - confidence)^(1/n).
    """
    bound = _tango_end(broken, fixed, n, _quantile(1 - confidence, degrees), effect)
    if broken == fixed == 0:
        bound = max(bound, float(1 - (1 - confidence) ** (effect / n)))
    return bound


def smallest_detectable_drop(
    n: float, discordance: float, *, alpha: float = 0.05, power: float = 0.80
) -> float | None:
    """
    Return the smallest true drop that *n* cases detect with probability *power*, if any.

    n = (z_alpha sqrt(d + D) + z_power sqrt(d + D - D^2))^2 / D^2, one-sided (Connor 1987,
    Biometrics 43:207), solved for the drop.
    """
    most = 1.0 - discordance
    if most <= 0 or _detect(most, discordance, alpha, power) > n:
        return None
    return _root(lambda drop: n - _detect(drop, discordance, alpha, power), 0.0, most)


def hodges_lehmann(differences: Sequence[float], confidence: float = 0.95) -> Shift:
    """
    Return the typical difference of pairs, the median of all Walsh averages, with its interval.

    The interval inverts the Wilcoxon signed-rank test (Hodges and Lehmann 1963, Ann Math Stat
    34:598; Hollander, Wolfe and Chicken 2014, section 3.3), exactly up to `EXACT_SIGNED_RANKS`
    pairs. For times, differences of logarithms give a ratio that is robust to stalls.

    Raises:
        ValueError: for an empty sequence.
    """
    n = len(differences)
    if not n:
        raise ValueError("no difference to estimate from")
    nth = _walsh(differences)
    many = n * (n + 1) // 2
    estimate = (nth((many - 1) // 2) + nth(many // 2)) / 2
    outside = _signed_rank_quantile(n, (1 - confidence) / 2)
    if outside is None:
        return Shift(estimate=estimate, low=None, high=None)
    return Shift(estimate=estimate, low=nth(outside), high=nth(many - 1 - outside))


def holm(p_values: Sequence[float]) -> list[float]:
    """
    Return *p_values* adjusted for multiple testing, in the given order.

    The running maximum of (m - rank) p over the sorted values, at most 1; Holm 1979, Scand J
    Stat 6:65.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def holm_tarone(
    p_values: Sequence[float], least: Sequence[float], alpha: float = 0.05
) -> list[float]:
    """
    Return *p_values* of discrete tests adjusted for multiple testing at level *alpha*.

    *least* is the smallest p-value each test could have given, had every change been a loss. With K
    the smallest number such that at most K of the tests have least < alpha / K, p is multiplied by
    K, not by the number of tests: the others can never be significant (Tarone 1990, Biometrics
    46:515). As in `holm`, those found significant are then set aside and K is computed again over
    the rest (Hommel and Krummenauer 1998, Biometrics 54:673).
    """
    adjusted = [1.0] * len(p_values)
    left = set(range(len(p_values)))
    while True:
        among = 1
        while sum(least[index] < alpha / among for index in left) > among:
            among += 1
        for index in left:
            adjusted[index] = min(1.0, among * p_values[index])
        found = {index for index in left if adjusted[index] < alpha}
        if not found:
            return adjusted
        left -= found


def _walsh(differences: Sequence[float]) -> Callable[[int], float]:
    """
    Return a function k -> the k-th smallest average of two of *differences*, from 0.

    Up to `_ALL_WALSH` of them all averages are sorted. Beyond, the average is selected in
    n log n steps: its place is bisected by counting, for each value, the partners below.
    """
    if len(differences) <= _ALL_WALSH:
        return sorted(
            (first + second) / 2
            for i, first in enumerate(differences)
            for second in differences[i:]
        ).__getitem__
    import numpy as np

    values = np.sort(np.asarray(differences, dtype=float))
    places = np.arange(len(values))

    def nth(k: int) -> float:
        low, high = float(values[0]), float(values[-1])
        within = 1e-13 * max(abs(low), abs(high))
        while high - low > within:
            middle = (low + high) / 2
            partners = np.searchsorted(values, 2 * middle - values, side="right") - places
            if int(np.maximum(partners, 0).sum()) > k:
                high = middle
            else:
                low = middle
        # The average itself, not a neighbour of it: ties, above all at 0, must stay ties.
        above = np.searchsorted(values, 2 * low - within - values, side="left")
        first = np.maximum(above, places)
        there = first < len(values)
        return float(((values[there] + values[first[there]]) / 2).min())

    return nth


def _check_rate(hits: int, n: int) -> None:
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"not a rate: {hits} of {n}")


def z_upper(tail: float) -> float:
    """
    Return the standard normal deviate above which *tail* lies.
    """
    return -_NORMAL.inv_cdf(tail)


def _detect(drop: float, discordance: float, alpha: float, power: float) -> float:
    if drop <= 0:
        return math.inf
    both = discordance + drop
    root = z_upper(alpha) * math.sqrt(both) + z_upper(1 - power) * math.sqrt(both - drop * drop)
    return (root / drop) ** 2


def _quantile(tail: float, degrees: int | None) -> float:
    return z_upper(tail) if degrees is None else t_upper(tail, degrees)


def _tango_end(broken: float, fixed: float, n: float, z: float, effect: float) -> float:
    if n <= 0 or effect < 1 or min(broken, fixed) < 0 or broken + fixed > n:
        raise ValueError(f"not paired counts: {broken} broken, {fixed} fixed of {n}, over {effect}")
    b, c, m = broken / effect, fixed / effect, n / effect
    if broken == n:
        return 1.0

    def rejected(drop: float) -> float:
        return -z - tango_score(b, c, m, drop)

    return _root(rejected, (b - c) / m, 1.0)


def tango_score(b: float, c: float, n: float, drop: float) -> float:
    """
    (b - c - n D) / sqrt(n (2 q + D (1 - D))), q the likeliest fixed share given a drop of D.
    """
    half = -b - c + (2 * n - b + c) * drop
    square = half * half + 8 * n * c * drop * (1 - drop)
    q = (math.sqrt(max(square, 0.0)) - half) / (4 * n)
    variance = n * (2 * q + drop * (1 - drop))
    excess = b - c - n * drop
    if variance <= 0:
        return math.copysign(math.inf, excess) if abs(excess) > 1e-12 else 0.0
    return excess / math.sqrt(variance)


def binomial_at_most(hits: int, n: int, p: float) -> float:
    """
    Return P(B <= *hits*) of B ~ Binomial(n, p): I_(1-p)(n - hits, hits + 1), DLMF 8.17.5.
    """
    if hits < 0 or hits >= n:
        return float(hits >= n)
    return beta_share(n - hits, hits + 1, 1 - p)


def _binomial_at_least(hits: int, n: int, p: float) -> float:
    if p <= 0 or p >= 1:
        return float(p >= 1)
    log_p, log_q = math.log(p), math.log1p(-p)
    return math.fsum(
        math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * log_p
            + (n - k) * log_q
        )
        for k in range(hits, n + 1)
    )


def _signed_rank_quantile(n: int, tail: float) -> int | None:
    """
    Return how many Walsh averages lie outside each end of the interval; None for too few pairs.
    """
    if n > EXACT_SIGNED_RANKS:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return int(n * (n + 1) / 4 - z_upper(tail) * spread)
    ways = [1]
    for rank in range(1, n + 1):
        longer = ways + [0] * rank
        for k, count in enumerate(ways):
            longer[k + rank] += count
        ways = longer
    allowed, total = int(tail * (1 << n)), 0
    for k, count in enumerate(ways):
        total += count
        if total > allowed:
            return k - 1 if k else None
    return None


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """
    Return where *rising* crosses zero between *low* and *high*, by bisection.
    """
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return high
