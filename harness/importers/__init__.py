"""
Suites in foreign formats, one file each. Add one by an entry point in group ``harness.importers``.
"""
