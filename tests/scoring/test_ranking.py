"""
Rankings of documents, measured as trec_eval does.
"""

import random
import warnings

import pytest

from harness.scoring.ranking import ndcg, recall, reciprocal_rank


def test_a_ranking_worked_by_hand():
    grades = {"a": 2, "b": 1, "c": 1}
    ranking = ["x", "a", "c", "y", "z"]

    assert 2 / 3 == recall(ranking, grades)
    assert 0.5 == reciprocal_rank(ranking, grades)
    gained = 2 / 1.5849625007 + 1 / 2
    best = 2 / 1 + 1 / 1.5849625007 + 1 / 2
    assert gained / best == pytest.approx(ndcg(ranking, grades, 5))


def test_a_ranking_without_a_relevant_document_is_worth_nothing():
    assert (0, 0, 0) == (
        recall(["x"], {"a": 1}),
        reciprocal_rank(["x"], {"a": 1}),
        ndcg(["x"], {"a": 1}, 5),
    )
    assert 0 == ndcg([], {"a": 1}, 5)


def test_measures_are_those_of_trec_eval():
    """
    On 1,000 random rankings, with ir-measures as the reference.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ir_measures = pytest.importorskip("ir_measures")
    dice = random.Random(0)
    names = [f"d{number}" for number in range(12)]
    grades, rankings = {}, {}
    for number in range(1000):
        query = f"q{number}"
        relevant = dice.sample(names, dice.randint(1, 8))
        grades[query] = {name: dice.randint(1, 3) for name in relevant}
        rankings[query] = dice.sample(names, dice.randint(1, 5))
    scores = {
        query: {name: float(-rank) for rank, name in enumerate(ranking)}
        for query, ranking in rankings.items()
    }
    wanted = [ir_measures.parse_measure(name) for name in ("R@5", "RR", "nDCG@5")]
    found = {
        (row.query_id, str(row.measure)): row.value
        for row in ir_measures.iter_calc(wanted, grades, scores)
    }

    assert 3000 == len(found)
    for query, ranking in rankings.items():
        ours = {
            "R@5": recall(ranking, grades[query]),
            "RR": reciprocal_rank(ranking, grades[query]),
            "nDCG@5": ndcg(ranking, grades[query], 5),
        }
        for name, value in ours.items():
            assert found[query, name] == pytest.approx(value, abs=1e-9), (query, name)
