"""
The steps that the command line, pytest, the demo and Python share: run, score, compare, gate, ...

Each module is one step. A step prints nothing: it calls back (`harness.workflow.options.Progress`).
"""
