"""
The gate: a policy's limits, each judged by its rule, and the verdict they add up to.
"""
