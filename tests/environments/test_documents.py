"""
A document index: what comes back, in which order.
"""

import math
import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.environments.documents import DOCUMENTS, Index, query_argument
from harness.messages import Tool
from tests import builders

CORPUS = [
    {"id": "leave", "title": "Annual leave", "text": "Full-time staff have 25 days of leave."},
    {"id": "lunch", "text": "Lunch is served at noon. Lunch is free."},
    {"id": "parking", "text": "Parking costs 25 euros."},
]
SEARCH = builders.tool("search", query={"type": "string"})


def test_a_search_returns_the_best_documents_first_and_tells_their_text():
    episode = DOCUMENTS.open({"tool": "search", "corpus": CORPUS, "k": 2}).begin(
        builders.case(tools=[SEARCH])
    )

    found = episode.call("search", {"query": "How many days of LEAVE?"})

    assert ("leave",) == found.documents
    assert "[leave] Annual leave\nFull-time staff have 25 days of leave." == found.text
    both = episode.call("search", {"query": "25"})
    assert {"leave", "parking"} == set(both.documents or ())
    assert "No document matches." == episode.call("search", {"query": "dragons"}).text
    assert episode.state() is None


def test_equal_scores_come_by_id():
    index = Index([{"id": name, "text": "the same words"} for name in "cab"])

    assert ("a", "b", "c") == index.search("words", 3)


def test_other_tools_return_what_is_fixed():
    settings = {"tool": "search", "corpus": CORPUS, "fixed": {"web": "Nothing found."}}

    returned = DOCUMENTS.open(settings).begin(builders.case(tools=[SEARCH])).call("web", {})

    assert "Nothing found." == returned.text
    assert returned.documents is None


def test_the_query_is_the_first_required_text():
    tool = Tool.from_schema(
        {
            "name": "search",
            "parameters": {
                "type": "object",
                "properties": {
                    "k": {"type": "integer"},
                    "lang": {"type": "string"},
                    "q": {"type": "string"},
                },
                "required": ["q"],
            },
        }
    )

    assert "q" == query_argument(tool)
    assert query_argument(builders.tool("none")) is None


WORDS = st.lists(st.sampled_from("ox cow hen pig cat dog".split()), min_size=1, max_size=8)


@given(st.lists(WORDS, min_size=1, max_size=6), WORDS)
def test_scores_are_those_of_lucene(texts: list[list[str]], query: list[str]):
    """
    Against the formula itself: Robertson and Zaragoza 2009, section 3.4.3, idf as Lucene has it.
    """
    corpus = [{"id": f"d{k}", "text": " ".join(text)} for k, text in enumerate(texts)]
    mean = sum(map(len, texts)) / len(texts)
    known = {word for text in texts for word in text}

    def score(text: list[str]) -> float:
        total = 0.0
        for word in (word for word in query if word in known):
            holding = sum(word in each for each in texts)
            idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            often = Counter(text)[word]
            total += idf * often / (often + 1.2 * (1 - 0.75 + 0.75 * len(text) / mean))
        return round(total, 4)

    found = Index(corpus).search(" ".join(query), len(texts))

    scores = [score(texts[int(re.sub(r"\D", "", name))]) for name in found]
    assert scores == sorted(scores, reverse=True)
    assert {f"d{k}" for k, text in enumerate(texts) if score(text) > 0} == set(found)
