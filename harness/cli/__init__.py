"""
What each command does: read the arguments, take the workflow's steps, print what came of it.

No rule is here; a handler gives an exit code and raises errors of `harness.errors`.
"""
