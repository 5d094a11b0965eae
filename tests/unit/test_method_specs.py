from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from app.specs.architectures import Gru, Mlp
from app.specs.claims import CLAIM_CAP, CLAIMS, Claim
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.method import reasons_against
from app.specs.methods.ssd import SsdParameters
from app.specs.refusing import Refusal


def _schema(name: MethodName) -> dict[str, Any]:
    return TypeAdapter(METHOD_SPECS[name].parameters).json_schema()


def test_the_table_has_every_method_and_every_word_about_it() -> None:
    assert tuple(METHOD_SPECS) == get_args(MethodName)
    for spec in METHOD_SPECS.values():
        assert all((spec.idea, spec.equation, spec.guarantee, spec.paper, spec.when_not))
        assert "arXiv:" in spec.paper
        assert spec.targets
        assert set(spec.refusals) == ({"none"} if spec.targets == ("samples",) else set(get_args(Refusal)))


@pytest.mark.parametrize("name", METHOD_SPECS)
def test_parameters_are_published_with_their_bounds_and_defaults(name: MethodName) -> None:
    schema = _schema(name)
    assert schema["additionalProperties"] is False
    assert schema["description"].startswith(f"Parameters of the method `{name}`")
    for entry, field in schema["properties"].items():
        assert "default" in field, entry
    assert schema["properties"]["utility_budget"] | {"description": ""} == {
        "default": 0.01,
        "description": "",
        "maximum": 1,
        "minimum": 0,
        "title": "Utility Budget",
        "type": "number",
    }


@pytest.mark.parametrize("wrong", [{"selection": 0}, {"selection": "many"}, {"dampening": -1}, {"alpha": 1}])
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SsdParameters).validate_python(wrong)


def test_a_refusal_never_raises_a_claim() -> None:
    assert set(CLAIM_CAP) == set(get_args(Refusal))
    assert get_args(Claim) == CLAIMS
    for spec in METHOD_SPECS.values():
        for refusal in spec.refusals:
            assert CLAIMS.index(spec.claim_with(refusal)) <= CLAIMS.index(spec.claim)
    assert METHOD_SPECS["retrain"].claim_with("calibrate") == "exact"
    assert METHOD_SPECS["retrain"].claim_with("push") == "edited"
    assert METHOD_SPECS["euk"].claim_with("none") == "approximate"


def test_every_reason_against_a_method_is_told_at_once() -> None:
    found = reasons_against(
        METHOD_SPECS["projection"], target="samples", mode="progressive", architecture=Gru(), refusal="push"
    )
    assert [fault.pointer for fault in found] == ["/target", "/method", "/method", "/refusal"]
    assert not reasons_against(
        METHOD_SPECS["projection"], target="classes", mode="standard", architecture=Mlp(), refusal="push"
    )
    assert not reasons_against(
        METHOD_SPECS["retrain"], target="tasks", mode="progressive", architecture=Gru(), refusal="none"
    )


def test_shards_go_with_retraining_and_sisa_alone_and_never_with_push() -> None:
    with_shards = [name for name, spec in METHOD_SPECS.items() if "sisa" in spec.modes]
    assert with_shards == ["retrain", "sisa"]
    found = reasons_against(METHOD_SPECS["scrub"], target="classes", mode="sisa", architecture=Mlp(), refusal="push")
    assert [fault.pointer for fault in found] == ["/method", "/refusal"]
    found = reasons_against(METHOD_SPECS["sisa"], target="classes", mode="standard", architecture=Mlp(), refusal="none")
    assert [fault.pointer for fault in found] == ["/target", "/method"]
    found = reasons_against(METHOD_SPECS["edit"], target="samples", mode="sisa", architecture=Mlp(), refusal="push")
    assert [fault.pointer for fault in found] == ["/target", "/method", "/refusal"]
    assert not reasons_against(
        METHOD_SPECS["edit"], target="classes", mode="progressive", architecture=Mlp(), refusal="push"
    )


def test_no_torch_is_loaded_to_describe_a_method() -> None:
    script = "import sys, app.specs.request; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
