import gc
from pathlib import Path

import numpy as np
import pytest

import chorus


def test_arrays_are_views_that_nobody_can_write_to() -> None:
    people = chorus.synthesise(users=50, items=40, mean_history=8)
    assert (len(people), people.user_count, people.item_count) == (50, 50, 40)
    assert people.items.dtype == np.uint32 and people.offsets.dtype == np.int64
    assert people.users.shape == people.items.shape == (people.offsets[-1],)
    assert np.shares_memory(people.items, people.items)
    for user in (0, 7, 49):
        history = people.history(user)
        assert np.shares_memory(history, people.items)
        assert np.array_equal(history, people.items[people.users == user])
        assert people.held_out[user] not in history
        assert len(set(history.tolist())) == len(history) > 0
    with pytest.raises(ValueError, match="read-only"):
        people.items[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        history[0] = 1
    with pytest.raises(IndexError, match="0 to 49"):
        people.history(50)


def test_a_view_keeps_its_owner_alive() -> None:
    people = chorus.synthesise(users=50, items=40, mean_history=8)
    history, copy = people.history(3), people.history(3).copy()
    del people
    gc.collect()
    chorus.synthesise(users=500, items=40, mean_history=8).items.sum()
    assert np.array_equal(history, copy)


def test_events_in_a_file_are_read(tmp_path: Path) -> None:
    lines = [f"{user},{item},{100 * user + item}" for user in range(6) for item in range(user, user + 8)]
    file = tmp_path / "events.csv"
    file.write_text("user,item,time\n" + "\n".join(lines) + "\n")
    people = chorus.read(file)
    assert people.user_count == 6 and people.times is not None
    assert people.times.shape == people.items.shape
    assert "6 users" in repr(people)
    file.write_text("user,item,time\n1,2\n")
    with pytest.raises(ValueError, match="line 2"):
        chorus.read(str(file))
    with pytest.raises(FileNotFoundError, match="none"):
        chorus.read(tmp_path / "none")


def test_what_cannot_be_made_up_names_the_argument() -> None:
    for how, words in [
        ({"users": 0}, "users is 0"),
        ({"items": 19}, "items is 19"),
        ({"tastes": 25}, "tastes is 25, and must lie within 1 and 24"),
        ({"mean_history": 3}, "mean_history is 3"),
        ({"skew": float("nan")}, "skew is NaN"),
        ({"drift": 1.5}, "drift is 1.5"),
    ]:
        with pytest.raises(ValueError, match=words):
            chorus.synthesise(**how)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        chorus.synthesise(users=-1)
