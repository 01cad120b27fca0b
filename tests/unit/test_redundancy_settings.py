"""The settings of redundancy: which values are refused, and what is said about them; which are used, and where."""

from pathlib import Path

import pytest

from farthing import config

TARGET = '{ provider = "one", model = "x" }'
FINE = f"""
[gateway]
attempts = 1
patience = 0
retry_share = 0
breaker_failures = 1
breaker_share = 1
breaker_rest = 1
connect_timeout = 0.001
first_byte_timeout = 86400
read_timeout = 1
[providers.one]
vendor = "openai"
connect_timeout = 0
first_byte_timeout = 0.5
read_timeout = 86400
[models.m]
targets = [{TARGET}, {TARGET}]
hedge = {{ after = "p99", max_extra_cost = 0, max_requests = 1 }}
"""


def refusals(text: str) -> list[tuple[str, object, str]]:
    """Field, value and the whole message of every problem."""
    file = Path("farthing.toml")
    file.write_text(text, encoding="utf-8")
    return [(problem.field, problem.value, str(problem)) for problem in config.check(file, {})]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_least_and_the_most_are_fine():
    assert refusals(FINE) == []


def test_the_least_and_the_most_are_used():
    gateway = config.load(None, {}).gateway
    assert (gateway.attempts, gateway.patience, gateway.retry_share) == (4, 10, 0.1)
    Path("farthing.toml").write_text(FINE, encoding="utf-8")
    settings = config.load(None, {"FARTHING_GATEWAY_ATTEMPTS": "7"})
    assert (settings.gateway.attempts, settings.gateway.patience) == (7, 0)
    assert settings.providers["one"].first_byte_timeout == 0.5
    assert settings.models["m"].hedge.after == "p99"


@pytest.mark.parametrize(
    ("field", "value", "said", "remedy"),
    [
        ("attempts", "0", "must be 1 or more", "default"),
        ("attempts", "-1", "must be 1 or more", "default"),
        ("attempts", "1.5", "int", "a whole number"),
        ("attempts", '"many"', "int", "a whole number"),
        ("patience", "-0.1", "must be 0 to 86400", "default"),
        ("patience", "inf", "must be 0 to 86400", "default"),
        ("patience", "nan", "must be 0 to 86400", "default"),
        ("patience", '"long"', "float", "a number"),
        ("retry_share", "-0.1", "must be 0 to 1", "0.1 is ten percent"),
        ("retry_share", "10", "must be 0 to 1", "0.1 is ten percent"),
        ("retry_share", "nan", "must be 0 to 1", "0.1 is ten percent"),
        ("breaker_failures", "0", "must be 1 or more", "default"),
        ("breaker_failures", "true", "int", "a whole number"),
        ("breaker_share", "0", "must be 0.05 to 1", "0.1 is ten percent"),
        ("breaker_share", "50", "must be 0.05 to 1", "0.1 is ten percent"),
        ("breaker_rest", "0", "must be 1 to 86400", "default"),
        ("breaker_rest", "inf", "must be 1 to 86400", "default"),
        ("connect_timeout", "0", "must be 0.001 to 86400", "default"),
        ("first_byte_timeout", "-5", "must be 0.001 to 86400", "default"),
        ("read_timeout", "inf", "must be 0.001 to 86400", "default"),
    ],
)
def test_a_gateway_that_cannot_be_meant(field, value, said, remedy):
    ((name, refused, message),) = refusals(f"[gateway]\n{field} = {value}\n")
    assert name == f"gateway.{field}"
    assert said in message
    assert remedy in message
    assert str(refused).lower() in message.lower()


@pytest.mark.parametrize("field", ["connect_timeout", "first_byte_timeout", "read_timeout"])
@pytest.mark.parametrize("value", ["-1", "inf", "nan", "86401"])
def test_an_account_whose_timeout_cannot_be_meant(field, value):
    ((name, refused, message),) = refusals(f'[providers.one]\nvendor = "openai"\n{field} = {value}\n')
    assert name == f"providers.one.{field}"
    assert str(refused) == str(float(value))
    assert "must be 0 to 86400" in message
    assert "0 takes the gateway's" in message


@pytest.mark.parametrize(
    ("hedge", "field", "said", "remedy"),
    [
        ('after = "p50"', "after", "p50", 'Write one of "", "p95", "p99"'),
        ('after = "soon"', "after", "soon", 'Write one of "", "p95", "p99"'),
        ("after = 95", "after", "95", 'Write one of "", "p95", "p99"'),
        ("after_ms = -1", "after_ms", "must be 0 to 86400000", "quantile"),
        ("after_ms = inf", "after_ms", "must be 0 to 86400000", "quantile"),
        ('after = "p95", after_ms = 100', "after_ms", "two moments", "Keep after or after_ms"),
        ("max_requests = 0.1", "after", "no moment", 'after = "p95"'),
        ('after = "p95", max_extra_cost = 2', "max_extra_cost", "a share is 0 to 1", "two percent"),
        ('after = "p95", max_extra_cost = -0.02', "max_extra_cost", "a share is 0 to 1", "two percent"),
        ('after = "p95", max_requests = nan', "max_requests", "a share is 0 to 1", "two percent"),
        ('after = "p95", max_request = 0.1', "max_request", "unknown field", "max_requests"),
    ],
)
def test_a_hedge_that_cannot_be_meant(hedge, field, said, remedy):
    problems = refusals(f"[models.m]\ntargets = [{TARGET}, {TARGET}]\nhedge = {{ {hedge} }}\n")
    message = next(message for name, _, message in problems if name == f"models.m.hedge.{field}")
    assert said in message
    assert remedy in message


def test_a_hedge_without_a_second_target_would_do_nothing():
    text = f'[providers.one]\nvendor = "openai"\n[models.m]\ntargets = [{TARGET}]\nhedge = {{ after = "p95" }}\n'
    ((field, value, message),) = refusals(text)
    assert (field, value) == ("models.m.hedge", "m")
    assert "Add a second target" in message


@pytest.mark.parametrize("weight", ["-1", "inf", "nan"])
def test_a_weight_that_is_none(weight):
    text = f'[models.m]\ntargets = [{{ provider = "p", model = "x", weight = {weight} }}]\n'
    field, _, message = refusals(text)[0]
    assert field == "models.m.targets[0].weight"
    assert "0 switches a target off" in message


@pytest.mark.parametrize(("variable", "value"), [("RETRY_SHARE", "2"), ("PATIENCE", "-3"), ("ATTEMPTS", "0")])
def test_variables_have_the_same_ranges(variable, value):
    (problem,) = config.check(None, {f"FARTHING_GATEWAY_{variable}": value})
    assert problem.field == f"gateway.{variable.lower()}"
    assert float(problem.value) == float(value)
    assert problem.remedy
