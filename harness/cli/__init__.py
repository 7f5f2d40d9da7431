"""
The command line: one file per command, with its options, ``add_parser``, and its action, ``run``.

There are no rules here: a command calls the workflow's steps, prints the result, returns an exit
code and raises errors of `harness.errors`. What a command needs is imported when it runs, so that
``harness --help`` is fast.
"""
