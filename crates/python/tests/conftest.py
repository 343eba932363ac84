import pytest

import chorus


@pytest.fixture(scope="session")
def people() -> chorus.Dataset:
    return chorus.synthesise(users=120, items=40, mean_history=8, seed=3)


@pytest.fixture(scope="session")
def config(people: chorus.Dataset) -> dict[str, object]:
    return {"data": people, "noise": "off", "factors": 4, "rounds": 3, "cohort": 0.5, "measured": 0}
