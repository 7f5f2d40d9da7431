"""
Tool-call text formats, one file each.
"""
