"""
Suites in foreign formats, one file each. docs/extending.md says how to add one.
"""
