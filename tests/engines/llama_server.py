"""
llama.cpp's own server, llama-server, on a GGUF file: ``python -m tests.engines.llama_server FILE``.

The package xllamacpp has the code of llama-server in wheels that need no compiler. It runs until it
is asked to end.
"""

import argparse
import signal
import threading


def main() -> None:
    import xllamacpp

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ctx-size", type=int, default=8192)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    # As `llama-server -m FILE --alias NAME --jinja -c N -np 1` would.
    params = xllamacpp.CommonParams()
    params.model.path = given.file
    params.model_alias = {given.alias}
    params.hostnames, params.port = [given.host], given.port
    params.use_jinja = True
    params.n_ctx, params.n_parallel = given.ctx_size, 1
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = given.threads
    server = xllamacpp.Server(params)
    ended.wait()
    del server


if __name__ == "__main__":
    main()
