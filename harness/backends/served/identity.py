"""
What a server says of itself: which program it is, its version, and what it serves.

Asked of vLLM (``/version``), llama.cpp (``/props``), Ollama (``/api/version``, ``/api/show``,
``/api/tags``), SGLang (``/get_server_info``), TGI (``/info``) and `transformers serve`
(``/openapi.json``); any other server is known by its header ``Server``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backends.served.client import Client
from harness.canonical import digest_bytes
from harness.errors import BackendError


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """
    One server and the model it serves. What is unknown is None.
    """

    kind: str
    version: str | None = None
    model: str
    max_length: int | None = None
    """Tokens of a prompt and its answer together."""
    weights: str | None = None
    """The digest of the model's files, of a server that knows it (Ollama)."""
    template: str | None = None
    """The chat template, of a server that shows it."""

    def to_json(self) -> dict[str, Any]:
        """
        Return what run.json says of the server; the template by its digest.
        """
        return {
            "kind": self.kind,
            "version": self.version,
            "model": self.model,
            "max_length": self.max_length,
            **({} if self.weights is None else {"weights": self.weights}),
            **(
                {}
                if self.template is None
                else {"template": digest_bytes([self.template.encode()])}
            ),
        }


def identify(client: Client, urls: Sequence[str], model: str) -> Identity:
    """
    Ask all servers of *model* who they are.

    Raises:
        BackendError: if one says that it does not serve the model, or they are not alike.
    """
    first, *others = [(url, _identify(client, url, model)) for url in urls]
    for url, identity in others:
        if apart := _apart(first[1], identity):
            raise BackendError(f"{first[0]} and {url} are not the same: {'; '.join(apart)}")
    return first[1]


def _apart(old: Identity, new: Identity) -> list[str]:
    before, after = old.to_json(), new.to_json()
    return [
        f"{name} {before.get(name)} and {after.get(name)}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """
    Return in words in what a server is another than it was.
    """
    return [
        f"{name} was {old.get(name)} and is {new.get(name)}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _identify(client: Client, url: str, model: str) -> Identity:
    root = url.removesuffix("/v1")
    listed = client.look_up(f"{url}/models", insist=True)
    rows = _rows(None if listed is None else listed.body)
    row = next((row for row in rows if row.get("id") in (model, f"{model}:latest")), None)
    length = _count((row or {}).get("max_model_len"))
    owners = {str(row.get("owned_by")) for row in rows}
    named = [ask for owner, ask in _KINDS if owner in owners]
    found = None
    for ask in named or [ask for _, ask in _KINDS]:
        found = ask(client, root, model, length)
        if found is not None:
            break
    if found is None:
        header = None if listed is None else listed.server
        found = Identity(kind="unknown", version=header, model=model, max_length=length)
    # `transformers serve` loads what it is asked for, and llama.cpp passes over the name.
    if rows and row is None and found.kind not in ("transformers serve", "llama.cpp"):
        names = ", ".join(sorted(str(row.get("id")) for row in rows)[:8])
        raise BackendError(f"{url} does not serve {model}; it serves {names}")
    return found


def _rows(body: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    data = None if body is None else body.get("data")
    return [row for row in data if isinstance(row, Mapping)] if isinstance(data, list) else []


def _vllm(client: Client, root: str, model: str, length: int | None) -> Identity | None:
    body = _body(client, f"{root}/version")
    version = body.get("version")
    if not isinstance(version, str):
        return None
    return Identity(kind="vllm", version=version, model=model, max_length=length)


def _sglang(client: Client, root: str, model: str, length: int | None) -> Identity | None:
    body = _body(client, f"{root}/get_server_info")
    version = body.get("version")
    if not isinstance(version, str):
        return None
    length = length or _count(body.get("context_length"))
    return Identity(kind="sglang", version=version, model=model, max_length=length)


def _llamacpp(client: Client, root: str, model: str, length: int | None) -> Identity | None:
    body = _body(client, f"{root}/props")
    settings = body.get("default_generation_settings")
    if not isinstance(settings, Mapping):
        return None
    version, template = body.get("build_info"), body.get("chat_template")
    return Identity(
        kind="llama.cpp",
        version=version if isinstance(version, str) else None,
        model=model,
        max_length=_count(settings.get("n_ctx")),
        template=template if isinstance(template, str) else None,
    )


def _ollama(client: Client, root: str, model: str, length: int | None) -> Identity | None:
    version = _body(client, f"{root}/api/version").get("version")
    if not isinstance(version, str):
        return None
    shown = client.look_up(f"{root}/api/show", {"model": model})
    template = {} if shown is None else shown.body
    models = _body(client, f"{root}/api/tags").get("models")
    weights = next(
        (
            row.get("digest")
            for row in (models if isinstance(models, list) else ())
            if isinstance(row, Mapping) and row.get("name") in (model, f"{model}:latest")
        ),
        None,
    )
    return Identity(
        kind="ollama",
        version=version,
        model=model,
        weights=weights if isinstance(weights, str) else None,
        template=template["template"] if isinstance(template.get("template"), str) else None,
    )


def _tgi(client: Client, root: str, model: str, length: int | None) -> Identity | None:
    body = _body(client, f"{root}/info")
    if not isinstance(body.get("version"), str) or "model_id" not in body:
        return None
    return Identity(
        kind="tgi",
        version=body["version"],
        model=model,
        max_length=_count(body.get("max_total_tokens")),
    )


def _transformers(client: Client, root: str, model: str, length: int | None) -> Identity | None:
    paths = _body(client, f"{root}/openapi.json").get("paths")
    if not isinstance(paths, Mapping) or "/load_model" not in paths:
        return None
    return Identity(kind="transformers serve", model=model)


_KINDS = (
    ("llamacpp", _llamacpp),
    ("sglang", _sglang),
    ("library", _ollama),
    ("tgi", _tgi),
    ("transformers", _transformers),
    # The last: other programs may have a /version too.
    ("vllm", _vllm),
)
"""What each program writes as ``owned_by`` in its list of models, and how it is asked."""


def _body(client: Client, url: str) -> Mapping[str, Any]:
    reply = client.look_up(url)
    return {} if reply is None else reply.body


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
