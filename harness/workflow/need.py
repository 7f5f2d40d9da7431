"""
How many cases a question needs, in sentences.
"""

from harness.gating.power import POWER, cases_to_clear, cases_to_detect


def need(drop: float, discordance: float, suites: int = 1, alpha: float = 0.05) -> list[str]:
    """
    Return in sentences how many cases it takes to catch a *drop* and to clear a model of it.

    Of several *suites*, each is tested at a part of *alpha* (Bonferroni), and all must pass.
    """
    share = alpha / suites
    each = " in each suite" if suites > 1 else ""
    caught = cases_to_detect(drop, discordance, alpha=share)
    cleared = cases_to_clear(drop, discordance, power=POWER ** (1 / suites))
    said = [
        f"to catch a true drop of {100 * drop:g} points in 4 of 5 tries (alpha {100 * share:.2g}%, "
        f"one-sided), if {100 * discordance:g}% of cases flip without cause: {caught} cases{each}",
        f"to pass an equally good checkpoint{' in all suites' if suites > 1 else ''} in 4 of 5 "
        f"tries with a margin of {100 * drop:g} points: {cleared} cases{each}",
    ]
    if suites > 1:
        blocked = 1 - (1 - alpha) ** suites
        said.append(
            f"{suites} suites gated one by one, each at alpha {100 * alpha:g}%, block an equal "
            f"release in up to {100 * blocked:.0f} of 100: gate them together, or give each a "
            f"policy with alpha = {share:.2g}"
        )
    return [*said, "cases that share a template count for less: give them a group"]
