"""
Ways of running a model, one file each. docs/extending.md says how to add one.
"""
