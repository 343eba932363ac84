import _thread
import sys
import threading
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nanoarrow
import numpy as np
import pytest

import chorus

Config = dict[str, object]


def same(one: chorus.Run, other: chorus.Run) -> bool:
    names = list(one.parameters)
    return names == list(other.parameters) and all(
        np.array_equal(one.parameters[name], other.parameters[name]) for name in names
    )


def test_a_run_gives_figures_arrays_and_a_page(config: Config, people: chorus.Dataset) -> None:
    run = chorus.simulate(config)
    assert run.figures["clients"] == 120 and run.figures["sum_exact"] is True
    assert run.figures["epsilon"] is None and 0 < run.figures["hr_at_10"] <= 1
    items = run.parameters["items"]
    assert items.shape == (40, 4) and items.dtype == np.float32
    # The memory is that of Rust, and the same each time.
    assert not items.flags.owndata and np.shares_memory(items, run.parameters["items"])
    with pytest.raises(ValueError, match="read-only"):
        items[0, 0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        items.setflags(write=True)
    with pytest.raises(TypeError):
        run.parameters["items"] = items  # type: ignore[index]
    scores = run.scores()
    assert scores.shape == (120, 40) and np.isfinite(scores).all()
    page = run.report_html()
    assert page.startswith("<!doctype html>") and page.count("<svg") > 0
    assert 'srcdoc="' in run._repr_html_() and "HR@10" in repr(run)
    assert "120 clients" in repr(run) and run.guarantee and run.trust


def test_the_last_model_is_the_one_that_was_measured(config: Config, people: chorus.Dataset, tmp_path: Path) -> None:
    run = chorus.simulate(config)
    run.save_model(tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_size > 4 * 40 * 4
    scores = run.scores()
    hits = 0
    for user in range(len(people)):
        order = np.argsort(-scores[user], kind="stable")
        unseen = order[~np.isin(order, people.history(user))]
        hits += people.held_out[user] in unseen[:10]
    assert hits / len(people) == pytest.approx(run.figures["full_hr_at_10"], abs=0.02)


def test_rounds_are_columns_and_an_arrow_stream(config: Config) -> None:
    rounds = chorus.simulate(config).rounds
    assert len(rounds) == len(rounds["name"]) > 3
    assert rounds["invited"].dtype == np.int64 and (rounds["invited"] == 60).any()
    assert np.isnan(rounds["epsilon"]).all() and rounds["sum_exact"].all()
    stream = nanoarrow.ArrayStream(rounds)
    assert [field.name for field in stream.schema.fields] == rounds.names
    table = stream.read_all()
    columns = {field.name: table.child(place).to_pylist() for place, field in enumerate(stream.schema.fields)}
    assert columns["name"] == rounds["name"] and columns["epsilon"] == [None] * len(rounds)
    assert columns["invited"] == rounds["invited"].tolist()
    with pytest.raises(KeyError, match="the columns are round, name"):
        rounds["rouns"]


def test_the_same_keys_give_the_same_bits(config: Config) -> None:
    one = chorus.simulate(config)
    assert same(one, chorus.simulate({**config, "threads": 1}))
    assert same(one, chorus.simulate({**config, "rounds": np.int64(3), "cohort": np.float32(0.5), "seed": "1", "epsilon": None}))
    assert not same(one, chorus.simulate({**config, "seed": 2}))
    few = {**config, "rounds": 1, "head": 0, "cohort": 0.1}
    assert same(chorus.simulate(few), chorus.simulate({**few, "masks": True}))


def test_a_file_of_keys_is_the_same_as_a_dict(tmp_path: Path) -> None:
    events = "\n".join(f"{user},{(user * 7 + 3 * step) % 40},{step}" for user in range(60) for step in range(9))
    (tmp_path / "events.csv").write_text("user,item,time\n" + events + "\n")
    keys = {"data": tmp_path / "events.csv", "noise": "off", "factors": 4, "rounds": 2, "cohort": 0.5}
    file = tmp_path / "run.toml"
    file.write_text(f'data = "{tmp_path}/events.csv"\nnoise = "off"\nfactors = 4\nrounds = 2\ncohort = 0.5\n')
    assert same(chorus.simulate(MappingProxyType(keys)), chorus.simulate(file))
    file.write_text("rounds")
    with pytest.raises(ValueError, match=r"run\.toml: .*line 1"):
        chorus.simulate(str(file))
    with pytest.raises(TypeError, match="expected a dict or the path"):
        chorus.simulate(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"cannot read .*none\.toml"):
        chorus.simulate("none.toml")


def test_noise_is_spent_and_said(people: chorus.Dataset) -> None:
    run = chorus.simulate({"data": people, "epsilon": 8.0, "noise-at-once": True, "factors": 4})
    assert 0 < run.figures["epsilon"] <= 8 and run.rounds["epsilon"][-1] == run.figures["epsilon"]
    assert "epsilon" in repr(run)


@pytest.mark.parametrize(
    ("keys", "kind", "words"),
    [
        ({"epsilom": 8}, ValueError, "unknown key `epsilom`; did you mean `epsilon`"),
        ({"rounds": 0}, ValueError, "`rounds`: expected a whole number, 1 to 100000"),
        ({"rounds": np.array([3, 4])}, TypeError, "`rounds`: expected a number"),
        ({"rounds": [3]}, TypeError, "`rounds`: expected a number"),
        ({"dropout": float("nan")}, ValueError, "`dropout`: expected a share"),
        ({3: 4}, TypeError, "a key is a text"),
        ({"noise": None}, ValueError, "decide about noise"),
        ({"epsilon": 8}, ValueError, "leave it out"),
        ({"data": None}, ValueError, "`data` is missing"),
        ({"data": "nowhere"}, FileNotFoundError, "cannot read nowhere"),
        ({"report": "x.html"}, ValueError, "report_html"),
        ({"sweep": "seed=1,2"}, ValueError, "once for each value"),
        ({"cohort": 0.01}, ValueError, "`cohort`: "),
        ({"masks": True, "noise-at-once": True}, ValueError, "noise at once"),
    ],
)
def test_what_makes_no_run_is_refused_first(config: Config, keys: dict[Any, object], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        chorus.simulate({**config, **keys})


def test_a_plan_is_trained(config: Config) -> None:
    models = Path(__file__).resolve().parents[3] / "models"
    keys = {**config, "factors": None, "model": models / "bpr-mf"}
    assert chorus.simulate(keys).figures["sum_exact"]
    with pytest.raises(ValueError, match="needs libtorch"):
        chorus.simulate({**keys, "model": models / "example-torchscript"})


def test_progress_is_heard_and_what_it_raises_ends_the_run(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[tuple[int, int, dict[str, Any]]] = []
    run = chorus.simulate(config, progress=lambda *round: heard.append(round))
    assert [number for number, _, _ in heard] == list(range(1, len(run.rounds) + 1))
    assert heard[0][2]["name"] == run.rounds["name"][0]
    chorus.simulate(config, progress="terminal")
    said = capsys.readouterr().err
    assert f"round {len(run.rounds)} of {len(run.rounds)}" in said and said.endswith("\n")

    def tired(number: int, of: int, row: dict[str, Any]) -> None:
        raise LookupError(f"enough after {number} of {of}")

    with pytest.raises(LookupError, match="enough after 1"):
        chorus.simulate(config, progress=tired)
    with pytest.raises(ValueError, match="progress"):
        chorus.simulate(config, progress="loud")  # type: ignore[arg-type]


def test_others_compute_while_a_run_does_and_ctrl_c_ends_it(people: chorus.Dataset) -> None:
    long = {"data": people, "noise": "off", "rounds": 100_000, "measured": 0}
    main = threading.main_thread().ident
    assert main is not None

    def run() -> None:
        chorus.simulate(long)

    def interrupt() -> None:
        # Seen from here only where the run has left the interpreter to others.
        while sys._current_frames()[main].f_code is not run.__code__:
            pass
        _thread.interrupt_main()

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        run()
    other.join()
