"""
Ways of showing a report, one file each. Add one by an entry point in group ``harness.renderers``.
"""
