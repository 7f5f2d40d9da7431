"""
Ways of running a model, one file each. Add one by an entry point in group ``harness.backends``.
"""
