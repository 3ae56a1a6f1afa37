import pytest
from memlaw_analysis.advice.advice import Question


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "give tokens"),
        ({"tokens": 3, "bits": 3}, "give tokens"),
        ({"bits": -1}, "-1 is not a positive number"),
        ({"bits": 3, "parameters_per_rank": 0}, "0 is not a positive number"),
        ({"tokens": 3, "rank": 3}, "give tokens"),
        ({"rank": 3, "recall": 0.9, "delta_loss": 8}, "not both"),
        ({"tokens": -1}, "-1 is not a positive number"),
        ({"rank": float("inf")}, "inf is not a positive number"),
        ({"rank": 4, "recall": 1.5}, "1.5 is not a share of tokens"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(question: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        Question(**question)
