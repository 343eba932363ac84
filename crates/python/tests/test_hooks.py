from typing import Any

import numpy as np
import pytest

import chorus

Config = dict[str, object]
Arrays = dict[str, np.ndarray[Any, Any]]


def test_a_sampler_chooses_the_clients(config: Config) -> None:
    asked: list[tuple[int, int, int]] = []

    def sampler(number: int, population: int, size: int) -> np.ndarray[Any, Any]:
        asked.append((number, population, size))
        return np.arange(30)[::-1]

    run = chorus.simulate(config, sampler=sampler)
    assert asked == [(number, 120, 60) for number in range(1, len(run.rounds) + 1)]
    assert (run.rounds["invited"] == 30).all()
    usual = chorus.simulate(config)
    kept = chorus.simulate(config, sampler=lambda *_: None)
    assert np.array_equal(usual.parameters["items"], kept.parameters["items"])


@pytest.mark.parametrize(
    ("clients", "kind", "words"),
    [
        ([], ValueError, "round 1: sampler: it gave nobody"),
        ([0, 120], ValueError, "there is no client 120: they are numbered from 0 to 119"),
        ([-1], ValueError, "no client -1"),
        ([*range(20), 7], ValueError, "client 7 is there twice"),
        ([0.5], TypeError, "sampler: expected one row of whole numbers, found 1 axes of float64"),
        ([[1, 2]], TypeError, "found 2 axes"),
        (["a"], TypeError, "whole numbers"),
    ],
)
def test_what_a_sampler_gives_is_checked(config: Config, clients: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        chorus.simulate(config, sampler=lambda *_: clients)


def test_everyone_takes_part_in_a_sum_with_noise(people: chorus.Dataset) -> None:
    with pytest.raises(ValueError, match="noise"):
        chorus.simulate({"data": people, "epsilon": 8}, sampler=lambda *_: [1, 2, 3])


def test_a_server_step_makes_the_next_model(config: Config) -> None:
    usual = chorus.simulate(config)
    seen: list[tuple[str, int]] = []

    def keep(parameters: Arrays, delta: np.ndarray[Any, Any], row: dict[str, Any]) -> Arrays:
        assert delta.ndim == 1 and np.isfinite(delta).all() and row["clients"] == 60
        seen.append((row["name"], row["funnel"]["invited"]))
        return dict(row["proposed"])

    kept = chorus.simulate(config, server_step=keep)
    assert np.array_equal(usual.parameters["items"], kept.parameters["items"])
    assert [name for name, _ in seen] == usual.rounds["name"]

    def still(parameters: Arrays, delta: np.ndarray[Any, Any], row: dict[str, Any]) -> Arrays:
        return {"items": parameters["items"]}

    stopped = chorus.simulate(config, server_step=still)
    assert not np.array_equal(usual.parameters["items"], stopped.parameters["items"])

    def half(parameters: Arrays, delta: np.ndarray[Any, Any], row: dict[str, Any]) -> Arrays:
        return {"items": (parameters["items"].astype("float64") + row["proposed"]["items"]) / 2}

    between = chorus.simulate(config, server_step=half).parameters["items"]
    assert not np.array_equal(between, usual.parameters["items"])


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ([1], TypeError, "server_step: expected a dict of arrays, or None .* found list"),
        ({"items": np.zeros((40, 5))}, ValueError, r"tensor `items` has the shape \[40, 5\]: give \[40, 4\]"),
        ({"items": np.full((40, 4), np.nan)}, ValueError, "tensor `items` holds a value that is not finite"),
        ({"itens": np.zeros(1)}, ValueError, r"it gave the tensors .*itens"),
        ({"items": [["a"]]}, TypeError, "tensor `items`: expected numbers"),
    ],
)
def test_what_a_server_step_gives_is_checked(config: Config, given: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        chorus.simulate(config, server_step=lambda *_: given)


def test_what_a_hook_raises_is_raised(config: Config) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of my own")

    for hooks in ({"sampler": broken}, {"server_step": broken}):
        with pytest.raises(ZeroDivisionError, match="of my own"):
            chorus.simulate(config, **hooks)
