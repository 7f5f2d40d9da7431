"""
Ways of showing a report, one file each. docs/extending.md says how to add one.
"""
