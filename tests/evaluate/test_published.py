"""Tables read from the user's own copy, and the devices made of them."""

import csv
import gzip
import json
from random import Random

import pytest

from falconet.cli import main
from falconet.errors import UserError
from falconet.evaluate import Budget, Objective
from falconet.evaluate.check import judge
from falconet.evaluate.device import load_device
from falconet.evaluate.estimate import Estimator
from falconet.evaluate.published import published_device
from falconet.evaluate.tables import read_table
from falconet.search import STRATEGIES, Feasible, search
from falconet.search.in_table import evaluator
from falconet.spaces import build
from falconet.spaces.fbnet import BLOCKS, Fbnet
from falconet.spaces.nb201 import from_digits, one_cell


def write(path, text):
    path.write_text(text)
    return path


def test_a_table_is_read(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "idx,ops,acc,pixel3_ms\n0,333333,80.5,9\n1,000000,10,0.5\n"))
    assert table.digits == ("333333", "000000") and table.column("acc").tolist() == [80.5, 10.0]
    assert table.place(from_digits("000000")) == 1 and table.archs()[0] == from_digits("333333")
    with pytest.raises(UserError, match="has no column 'accuracy'; there are: acc, pixel3_ms"):
        table.column("accuracy")
    with pytest.raises(UserError, match="holds no network 111111"):
        table.place(from_digits("111111"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    assert read_table(tmp_path / "t.csv.gz").digits == table.digits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,acc\n333333,1\n", "must have a column 'ops'"),
        ("ops,acc\n33333,1\n", "line 2 of .*six digits"),
        ("ops,acc\n333333,1\n000000,x\n", "line 3 of .*could not convert"),
        ("ops,acc\n333333,\n", "line 2 of .*acc must be a number, not ''"),
        ("ops,acc\n333333,inf\n", "line 2 of .*acc must be a number, not 'inf'"),
        ("ops,acc\n333333,1\n333333,2\n", "holds the network 333333 twice"),
        ("ops,acc\n", "holds no networks"),
        ("", "must have a column 'ops'"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_table(write(tmp_path / "t.csv", text))


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(UserError, match="there is no table"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(UserError, match="not a CSV file, plain or gzipped"):
        read_table(write(tmp_path / "t.csv.gz", "ops,acc\n"))
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a CSV file"):
        read_table(tmp_path / "b.csv")


def test_a_search_in_a_table(tmp_path):
    rng = Random(0)
    rows = "".join(
        f"{n // 3125 % 5}{n // 625 % 5}{n // 125 % 5}{n // 25 % 5}{n // 5 % 5}{n % 5},{rng.random()},{n}\n"
        for n in range(15_625)
    )
    table = read_table(write(tmp_path / "t.csv", "ops,acc,ms\n" + rows))
    feasible = Feasible(one_cell, Budget(), lambda spec: {})
    objectives = (Objective("acc", maximize=True), Objective("ms", maximize=False))
    strategy = STRATEGIES["nsga2"](one_cell, feasible, objectives, STRATEGIES["nsga2"].Settings())
    trials = search(
        strategy, evaluator(table, feasible, ["acc"], ["ms"]), tmp_path / "log",
        evaluations=30, round_size=10, seed=0, search_id="s", proposer="nsga2",
    )  # fmt: skip
    assert len(trials) == 30 and all(t.quality["acc"] == table.column("acc")[table.place(t.arch)] for t in trials)
    assert trials[0].costs["ms"].how == "measured"


@pytest.mark.parametrize("phone", ["pixel3", "raspi4"])
def test_block_tables_price_networks_as_their_authors_add_them_up(shared, phone):
    nas = shared / "data" / "nas"
    estimate = Estimator(published_device(nas / "fbnet_block_lut.json", "phone", phone))
    assert judge(estimate.device.checks[0]).table.mape < 1e-6
    with gzip.open(nas / "fbnet.csv.gz", "rt") as file:
        for row in list(csv.DictReader(file))[:300:30]:
            spec = build(Fbnet(), {f"b{layer}": BLOCKS[int(digit)] for layer, digit in enumerate(row["ops"])})
            found = estimate(spec, ((32, 32),))
            assert found.ms == pytest.approx(float(row[f"{phone}_ms"]), rel=1e-5) and found.how == "table"


def test_prices_from_whole_networks_are_marked_and_checked(shared):
    device = published_device(shared / "data" / "nas" / "nb201.csv.gz", "pixel3")
    scores = judge(device.checks[0])
    assert scores.table.spearman > 0.85 and scores.table.spearman > scores.macs.spearman
    assert scores.linear == scores.nets == 100 and 0 < device.linear.median_error < 0.3


def test_the_command_imports_them_and_says_what_is_wrong(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FALCONET_DEVICES", str(tmp_path))
    lut = shared / "data" / "nas" / "fbnet_block_lut.json"

    def run(*arguments):
        with pytest.raises(SystemExit) as done:
            main(["device", "import", *map(str, arguments)])
        return done.value.code, capsys.readouterr().err

    assert run(lut, "--name", "my-phone", "--column", "raspi4")[0] == 0
    device = load_device("my-phone")
    assert "raspi4" in device.source and len(device.blocks) > 100
    assert run(tmp_path / "my-phone.json", "--name", "twin")[0] == 0 and load_device("twin").blocks == device.blocks
    for arguments, message in [
        ((lut,), "say which with --name"),
        ((lut, "--name", "nokia"), "it knows: pixel3, raspi4"),
        ((lut, "--name", "my-phone", "--column", "raspi4"), "there is a device 'my-phone' already"),
        ((tmp_path / "twin.json", "--column", "raspi4"), "--column chooses a phone of a table"),
        ((write(tmp_path / "bad.csv", "a,b\n1,2\n"), "--name", "x"), "must have a column 'ops'"),
        ((write(tmp_path / "other.json", json.dumps({"devices": {}})), "--name", "x"), "table of other networks"),
        ((write(tmp_path / "t.txt", ""), "--name", "x"), "a table .json, .csv or .csv.gz"),
    ]:
        code, told = run(*arguments)
        assert code == 2 and message in told and "Traceback" not in told, (arguments, told)
