import pandas as pd
from memlaw_analysis.report.wandb_tables import cells_table, headline, law_row


def test_the_headline_is_an_identified_law_before_one_of_more_cells():
    rows = [
        law_row({"condition": "a", "fitted": True, "identified": False, "cells_used": 9, "parameters": {}}),
        law_row({"condition": "b", "fitted": True, "identified": True, "cells_used": 5, "parameters": {}}),
        law_row({"condition": "c", "fitted": False}),
    ]
    assert headline(rows)["condition"] == "b"
    assert headline(rows[2:]) == {}


def test_cells_without_a_law_are_in_the_table_all_the_same():
    names = {"model.name": "m", "data.name": "d", "study": "/runs/s", "steps": [20, 20, 40], "lora.rank": [1, 2, 1]}
    titles = ["m d steps=20", "m d steps=20", "m d steps=40"]
    named = {"cell": ["m-r1-abc", "m-r2-def", "m-r1-ghi"], "condition": titles}
    cells = pd.DataFrame({**named, "delta_loss_nats": 2.0, **names})
    nothing = cells_table(cells, {})
    assert nothing["rank"].tolist() == [1, 2, 1]
    assert nothing["run"].str.fullmatch(r"[0-9a-f]{6}-(abc|def|ghi)").all()
    assert set(nothing["study"]) == {"s"}
    assert nothing["condition"].tolist() == titles
    assert nothing[["law_nats", "saturated"]].isna().all(axis=None)
    points = pd.DataFrame({"cell": ["m-r1-abc", "m-r2-def"], "law_nats": [1.5, 2.5], "saturated": [False, True]})
    some = cells_table(cells, {"m d steps=20": points})
    assert some["condition"].tolist() == nothing["condition"].tolist()
    assert some["law_nats"].tolist()[:2] == [1.5, 2.5] and pd.isna(some["law_nats"][2])
    assert some["saturated"].tolist()[:2] == [False, True] and pd.isna(some["saturated"][2])


def test_the_mean_error_goes_along_with_r_squared():
    row = law_row({"condition": "a", "fitted": True, "r_squared": 0.99, "mape": 0.05})
    assert (row["r_squared"], row["mape"]) == (0.99, 0.05)
