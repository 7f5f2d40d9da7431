"""
The command line: one file a command, with what it takes, ``add_parser``, and what it does, ``run``.

No rule is here: a command takes the workflow's steps, prints what came of it, returns an exit code
and raises errors of `harness.errors`. What a command needs is imported when it is run, so that
``harness --help`` is quick.
"""
