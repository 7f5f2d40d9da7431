"""
Tool-call text formats, one file each. Add one by an entry point in group ``harness.dialects``.
"""
