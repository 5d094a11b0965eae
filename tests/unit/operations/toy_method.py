"""Run with a copy of `app` that has the method `toy`: it is listed, planned, compared and carried out as any other."""

from __future__ import annotations

import sys
from pathlib import Path

import app
from app.contract.comparing import CompareCreate
from app.contract.forgetting import ForgetCreate
from app.database import migrate
from app.database.engine import Database
from app.operations import catalogue
from app.operations.administration import jobs
from app.operations.comparing import compare
from app.operations.forgetting import forget
from app.operations.pages import PageQuery
from app.settings import Settings
from tests.unit.operations.conftest import CALLER, House

home = Path(sys.argv[1])
assert Path(app.__file__).is_relative_to(home.parent), "the copy is what runs"
home.mkdir()
settings = Settings(home=home, download=False, torch_threads=1)
migrate.upgrade(settings.resolved_database_url)
house = House(Database(settings.resolved_database_url), settings)
house.create()
house.work()

listed = {method.name: method for method in catalogue.list_methods(PageQuery(100)).items}
assert listed["toy"].idea == "Makes the output layer smaller."
assert listed["toy"].parameters["properties"]["factor"]["description"] == "What every weight is multiplied by."

with house.database.reading() as session:
    auto = ForgetCreate.model_validate({"target": {"classes": [2]}, "method": "auto", "dry_run": True})
    plan = forget.plan(session, "digits", auto)
    named = {"target": {"classes": [2]}, "method": "toy", "parameters": {"factor": 0.25}, "dry_run": True}
    planned = forget.plan(session, "digits", ForgetCreate.model_validate(named))
assert (plan.method, plan.candidates[0].method) == ("toy", "toy"), "its rank is the first"
assert (planned.method, planned.claim, planned.refusal) == ("toy", "approximate", "calibrate")
assert planned.expected_seconds is not None

body = {"target": {"classes": [2]}, "methods": [{"method": "toy"}], "num_references": 1}
with house.database.writing() as session:
    compared = compare.submit(session, CALLER, "digits", CompareCreate.model_validate(body))
request = house.forget(2, method="toy", parameters={"factor": 0.25}, reference="none")
house.work()
house.work()
with house.database.reading() as session:
    result = jobs.get_job(session, compared.id).result
assert result is not None
assert [row["method"] for row in result["rows"]] == ["toy"]
assert result["rows"][0]["problem"] is None

done = house.request(request.id)
assert done.report is not None
assert done.report.settings["method"] == "toy"
assert done.report.settings["parameters"]["factor"] == 0.25
assert done.verdict is not None, done
sys.stdout.write("carried out\n")
