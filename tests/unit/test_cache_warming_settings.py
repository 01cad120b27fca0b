"""Settings for warming: what makes no sense is told with its place."""

import pytest

from farthing import config


def problems(folder, text: str) -> list[str]:
    file = folder / "farthing.toml"
    file.write_text(text)
    return [str(problem) for problem in config.check(file, {})]


@pytest.mark.parametrize("modes", ['exact = "on"', 'semantic = "on"'])
def test_what_is_answered_may_be_renewed(tmp_path, modes):
    assert problems(tmp_path, f"[cache.namespaces.default]\nwarm = true\n{modes}\n") == []


@pytest.mark.parametrize("modes", ["", 'exact = "off"', 'semantic = "shadow"'])
def test_what_is_only_measured_cannot_be_renewed(tmp_path, modes):
    (problem,) = problems(tmp_path, f"[cache.namespaces.default]\nwarm = true\n{modes}\n")
    assert "farthing.toml:2" in problem
    assert "cache.namespaces.default.warm" in problem


@pytest.mark.parametrize("wrong", ["per_hour = -1", "cents_per_day = 1.5", "per_day = 3"])
def test_bounds_are_whole_numbers(tmp_path, wrong):
    assert len(problems(tmp_path, f"[cache.warm]\n{wrong}\n")) == 1
