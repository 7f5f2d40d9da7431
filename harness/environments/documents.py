"""
A document index that a tool searches: BM25 over the texts and titles of ``corpus``.

The score is Lucene's BM25 (Robertson and Zaragoza 2009; the variant ``lucene`` of bm25s, which
computes it) with k1 1.2 and b 0.75 unless the suite says otherwise. A text is split into its words
(``\\w+``) in lower case, without stemming and without stop words. Documents with equal scores come
by id, and one that shares no word with the query does not come at all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.diagnostics import Flaw
from harness.environments.base import Returned
from harness.messages import Tool
from harness.suites.suite import Case
from harness.wording import suggest

K, K1, B = 5, 1.2, 0.75

NOTHING = "No document matches."
"""What a search without a result returns."""

_WORD = re.compile(r"\w+")
_DIGITS = 5
# To how many decimals scores are compared: bm25s sums in 32 bits.


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsKind:
    """
    The kind ``documents``.
    """

    name: str = "documents"
    version: int = 1

    def complete(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Add nothing: the corpus is all there is.
        """
        return {}

    def flaws(self, settings: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator[Flaw]:
        """
        Yield ids that two documents have, and tools that nothing answers.
        """
        seen: set[str] = set()
        for index, document in enumerate(settings["corpus"]):
            if document["id"] in seen:
                yield ("corpus", index, "id"), f"is a second document {document['id']!r}"
            seen.add(document["id"])
        name, fixed = settings["tool"], settings.get("fixed", {})
        if name not in tools:
            yield ("tool",), f"is {name!r}, not a tool of the suite{suggest(name, tools)}"
        elif "argument" not in settings and query_argument(tools[name]) is None:
            yield ("tool",), f"{name!r} has no argument of type string; name one as argument"
        elif (argument := settings.get("argument")) is not None:
            declared = tools[name].parameters.get("properties", {})
            if argument not in declared:
                yield (
                    ("argument",),
                    f"{argument!r} is not an argument of {name!r}{suggest(argument, declared)}",
                )
        for other in tools:
            if other != name and other not in fixed:
                yield (
                    ("tool",),
                    f"is {name!r}; nothing answers {other!r}: say in fixed what it returns",
                )
        for other in fixed:
            if other not in tools or other == name:
                yield ("fixed", other), "is not another tool of the suite"

    def case_flaws(self, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Flaw]:
        """
        Yield relevant documents that are not in the corpus, and goals, as nothing is changed here.
        """
        if "goal" in row:
            yield ("goal",), "is for suites whose environment has a state"
        if not row.get("relevant"):
            return
        known = {document["id"] for document in settings["corpus"]}
        for name in row["relevant"]:
            if name not in known:
                yield ("relevant", name), f"is not in the corpus{suggest(name, known)}"

    def open(
        self, settings: Mapping[str, Any], *, allowed: str | None = None
    ) -> "DocumentsEnvironment":
        """
        Index the corpus; there is no code to allow.
        """
        return DocumentsEnvironment(settings)


def query_argument(tool: Tool) -> str | None:
    """
    Return the argument that holds the query: the first required one of type string, else the first.
    """
    declared = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", ())
    texts = [
        name
        for name, schema in declared.items()
        if isinstance(schema, Mapping) and schema.get("type") == "string"
    ]
    return next((name for name in texts if name in required), next(iter(texts), None))


def words(text: str) -> list[str]:
    """
    Return the words by which a text is found.
    """
    return _WORD.findall(text.lower())


class Index:
    """
    Documents that can be searched.
    """

    def __init__(
        self, corpus: Sequence[Mapping[str, Any]], *, k1: float = K1, b: float = B
    ) -> None:
        import bm25s

        self.documents = {document["id"]: document for document in corpus}
        # By id, so that sorting by score alone leaves equal ones in that order.
        self._ids = sorted(self.documents)
        texts = [words(shown(self.documents[name])) for name in self._ids]
        self._vocabulary: dict[str, int] = {}
        for text in texts:
            for word in text:
                self._vocabulary.setdefault(word, len(self._vocabulary))
        self._ranking = None
        if self._vocabulary:
            numbers = [[self._vocabulary[word] for word in text] for text in texts]
            self._ranking = bm25s.BM25(k1=k1, b=b, method="lucene")
            self._ranking.index(
                (numbers, self._vocabulary), create_empty_token=False, show_progress=False
            )

    def search(self, query: str, k: int) -> tuple[str, ...]:
        """
        Return the ids of the best *k* documents, best first.
        """
        numbers = [self._vocabulary[word] for word in words(query) if word in self._vocabulary]
        if self._ranking is None or not numbers:
            return ()
        scores = self._ranking.get_scores(numbers).tolist()
        ranked = sorted(range(len(scores)), key=lambda place: -round(scores[place], _DIGITS))
        return tuple(self._ids[place] for place in ranked[:k] if scores[place] > 0)


def shown(document: Mapping[str, Any]) -> str:
    """
    Return a document as the model sees it.
    """
    title = document.get("title")
    return f"{title}\n{document['text']}" if title else str(document["text"])


class DocumentsEnvironment:
    """
    An index, and the tool that searches it.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.index = Index(settings["corpus"], k1=settings.get("k1", K1), b=settings.get("b", B))
        self.k: int = settings.get("k", K)
        self._settings = settings

    def begin(self, case: Case) -> "DocumentsEpisode":
        """
        Begin a case; searching changes nothing, so all begin alike.
        """
        tool = next((tool for tool in case.tools if tool.name == self._settings["tool"]), None)
        argument = self._settings.get("argument")
        if argument is None and tool is not None:
            argument = query_argument(tool)
        return DocumentsEpisode(self.index, self._settings, argument)


class DocumentsEpisode:
    """
    The searches of one case.
    """

    def __init__(self, index: Index, settings: Mapping[str, Any], argument: str | None) -> None:
        self._index = index
        self._settings = settings
        self._argument = argument

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Returned:
        """
        Return the documents that match best, numbered, each with id, title and text.
        """
        if tool != self._settings["tool"]:
            return Returned(text=self._settings["fixed"][tool])
        found = self._index.search(
            str(arguments.get(self._argument or "", "")), self._settings.get("k", K)
        )
        return Returned(text=self.told(found), documents=found)

    def told(self, found: Sequence[str]) -> str:
        """
        Return what the model is told of the documents with these ids.
        """
        texts = [f"[{name}] {shown(self._index.documents[name])}" for name in found]
        return "\n\n".join(texts) or NOTHING

    def state(self) -> None:
        """
        Return None: there is nothing that could change.
        """


DOCUMENTS = DocumentsKind()
