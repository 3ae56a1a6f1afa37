"""What a push asks of W&B, answered here."""

import json
import logging
from types import SimpleNamespace

import pytest
import wandb
from wandb_workspaces.reports.v2 import interface as reports
from wandb_workspaces.workspaces import interface as workspaces
from wandb_workspaces.workspaces import internal

from memlaw.core.errors import ConfigError
from memlaw.dashboard import push as pushing
from memlaw.dashboard.charts import SPECIFICATIONS, registered_name


class Account:
    """A W&B account: views by name, reports by id, charts."""

    default_entity = "me"

    def __init__(self) -> None:
        self.views: dict[str, dict] = {}
        self.charts: list[str] = []
        self.asked: list[dict] = []
        self.takes_charts = True

    def create_custom_chart(self, *, entity, name, spec, **described):
        self.asked.append({"entity": entity, "name": name, "spec": spec, **described})
        if not self.takes_charts:
            raise ValueError("not allowed to add charts")
        if name in self.charts:
            raise ValueError("a chart of that name already exists")
        json.loads(spec)
        self.charts.append(name)

    def create_project(self, name, entity):
        pass

    def projects(self, entity):
        return [SimpleNamespace(name="memlaw")]

    def reports(self, path):
        return [
            SimpleNamespace(id=known["id"], display_name=known["displayName"], description=known["description"])
            for known in self.views.values()
            if known["type"] == "runs"
        ]

    def answer(self, _api, query, asked):
        if "UpsertView" in str(query) or "upsertView" in str(query):
            identity = asked.get("id") or f"id{len(self.views)}"
            self.views[identity] = {**asked, "id": identity}
            view = {"id": identity, "name": asked["name"], "displayName": asked["displayName"], "spec": asked["spec"],
                    "description": "", "type": asked["type"], "createdAt": None, "updatedAt": None,
                    "project": {"name": "memlaw", "entityName": "me"}}  # fmt: skip
            return {"upsertView": {"view": view, "inserted": True}}
        found = [known for known in self.views.values() if known["name"] == asked["viewName"]]
        return {"project": {"allViews": {"edges": [{"node": one} for one in found]}}}


@pytest.fixture
def account(monkeypatch) -> Account:
    known = Account()
    monkeypatch.setattr(pushing, "check_server", lambda: None)
    monkeypatch.setattr(wandb, "Api", lambda: known)
    for module in (reports, workspaces, internal):
        monkeypatch.setattr(module, "execute_graphql", known.answer, raising=False)
        monkeypatch.setattr(module, "_get_api", lambda: known, raising=False)
        monkeypatch.setattr(module, "get_app_url", lambda *_: "https://wandb.example", raising=False)
    return known


def test_a_second_push_renews_the_same_workspace_report_and_charts(account):
    first = pushing.push("me", "memlaw", None)
    assert len(account.views) == 2
    assert sorted(account.charts) == sorted(registered_name(name) for name in SPECIFICATIONS)
    assert pushing.push("me", "memlaw", None) == first
    assert len(account.views) == 2
    assert len(account.charts) == len(SPECIFICATIONS)
    pushing.push("me", "memlaw", "wide")
    assert len(account.views) == 4


def test_each_chart_is_registered_with_the_entity_under_the_name_that_panels_use(account):
    pushing.push("me", "memlaw", None)
    assert account.asked == [
        {
            "entity": "me",
            "name": registered_name(chart),
            "display_name": f"memlaw: {chart.replace('_', ' ')}",
            "spec_type": "vega2",
            "access": "private",
            "spec": specification,
        }
        for chart, specification in SPECIFICATIONS.items()
    ]
    sent = " ".join(known["spec"] for known in account.views.values())
    assert all(f"me/{registered_name(chart)}" in sent for chart in SPECIFICATIONS)


def test_a_report_of_the_users_own_stays_theirs(account):
    own = {"id": "mine", "name": "n", "displayName": "memlaw", "description": "my notes", "type": "runs", "spec": "{}"}
    account.views["mine"] = dict(own)
    pushing.push("me", "memlaw", None)
    pushing.push("me", "memlaw", None)
    assert account.views["mine"] == own
    assert len(account.views) == 3


def test_where_no_charts_are_taken_built_in_panels_stand_in(account, caplog):
    account.takes_charts = False
    with caplog.at_level(logging.WARNING):
        pushing.push("me", "memlaw", None)
    assert "not allowed to add charts" in caplog.text
    sent = " ".join(known["spec"] for known in account.views.values())
    assert "Vega2" not in sent
    assert "Scatter Plot" in sent and "Parallel Coordinates Plot" in sent


def test_a_refusal_is_one_error(account, monkeypatch):
    def refuse(*_):
        raise PermissionError("no right to write\nmore")

    monkeypatch.setattr(account, "create_project", refuse)
    with pytest.raises(ConfigError, match=r"refuses the dashboard of me/memlaw: no right to write$"):
        pushing.push("me", "memlaw", None)
