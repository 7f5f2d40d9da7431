"""
What answers the tool calls of an executed suite: one file a kind, and the loop that executes calls.
"""
