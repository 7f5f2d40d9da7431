"""
A toy model: how it is run, how it writes calls, its suites and its reports.
"""
