import gzip
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, InvalidArgument, Samples
from plugins.jena_climate.data import GAP, ClimateConfig, Windows, load, read_table
from plugins.jena_climate.model import ForecastConfig, build
from plugins.jena_climate.plugin import PLUGIN
from tests.benchmarks.listings import generator

BEIJING = "jena/beijing_PRSA_2010_2014.csv.gz"
NEW_YORK = "jena/nycflights13_weather_JFK_2013.csv.gz"
JENA = "jena/jena_climate_first_4000_rows_11cols.csv.gz"
SMALL = {"time": "when", "target": "t", "lookback": 6, "horizon": 4}


def own(folder: Path, gaps: tuple[int, ...] = (), **changes: Any) -> tuple[ForecastConfig, Folder]:
    """A CSV of 400 hours: `t` is the hour's number squared, `u` its remainder by 7, the wind turns."""
    times = np.datetime64("2020-01-01T00") + np.arange(400)
    lines = [f"{time},{'' if hour in gaps else hour**2},{hour % 7},{'NS'[hour % 2]}" for hour, time in enumerate(times)]
    (folder / "own.csv").write_text("\n".join(["when,t,u,wind", *lines]))
    return ForecastConfig.model_validate({"file": "own.csv", **SMALL, **changes}), Folder(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return load(*own(tmp_path_factory.mktemp("series")))


@pytest.fixture(scope="module")
def model(small: Data) -> Any:
    keras.utils.set_random_seed(1)
    return PLUGIN.build_model(ForecastConfig.model_validate({"file": "", **SMALL}), "dense", small.train)


@pytest.fixture(scope="module")
def regress(model: Any, serve: Serve) -> Endpoint:
    return serve(PLUGIN, model)["regress"]


def rows_of(samples: Samples) -> Array:
    windows, _ = next(samples.in_order(len(samples)).as_numpy_iterator())
    return np.asarray(windows)


# --- windows -------------------------------------------------------------------------------------------------------


def test_a_window_is_what_was_measured_and_its_target_what_came(small: Data) -> None:
    windows = rows_of(small.train)
    assert windows.shape[1:] == (6, 4)
    for start, window, target in zip(small.train.inputs, windows, small.train.targets, strict=True):
        hours = np.arange(start, start + 6)
        np.testing.assert_array_equal(window, np.stack([hours**2, hours % 7, hours % 2 == 0, hours % 2 == 1], axis=1))
        assert target == (start + 5 + 4) ** 2


def test_the_windows_are_the_books(mirror: Folder) -> None:
    config = ForecastConfig()
    table = read_table(config, mirror)
    rows = np.nan_to_num(table.rows, nan=0.0)  # fine dust only; it is filled in ours
    samples, targets = next(generator(rows, 240, 23, 0, 35_000, False, 200, 1, table.target))
    ours = Windows(table, config).between(0, 35_000).take(np.arange(200))
    np.testing.assert_array_equal(rows_of(ours)[:, :, 1:], samples[:, :, 1:])
    np.testing.assert_array_equal(ours.targets, targets)


def test_no_window_of_the_training_part_reaches_into_what_comes_later(small: Data) -> None:
    ahead = 5 + 4
    assert small.train.inputs[-1] + ahead < 320 <= small.test.inputs[0]
    assert small.test.inputs[-1] + ahead < 400
    assert np.all(np.diff(small.train.inputs) > 0)


def test_the_gap_keeps_training_out_of_what_is_validated_on() -> None:
    assert (PLUGIN.protocol.in_order, PLUGIN.protocol.gap) == (True, GAP)
    config = ForecastConfig(lookback=200, horizon=64)
    starts = np.arange(1000)
    last_target = starts[: -GAP - 1] + config.lookback - 1 + config.horizon
    assert np.all(last_target < starts[GAP + 1 :])
    with pytest.raises(ValidationError, match="at most 264 hours"):
        ForecastConfig(lookback=201, horizon=64)


def test_no_answer_is_made_up_where_the_target_is_missing(tmp_path: Path, small: Data) -> None:
    gap = int(small.train.inputs[3]) + 9
    holed = load(*own(tmp_path, gaps=(gap,)))
    assert holed.train.inputs.tolist() == np.delete(small.train.inputs, 3).tolist()
    window = rows_of(holed.train.take(np.flatnonzero(holed.train.inputs + 5 == gap + 1)))
    assert window[0, -2, 0] == (gap - 1) ** 2  # an input is filled by the hour before


def test_rows_are_taken_so_many_minutes_apart(tmp_path: Path) -> None:
    windows = rows_of(load(*own(tmp_path, minutes=180)).train)
    assert windows[0, :, 0].tolist() == [0, 9]
    with pytest.raises(InvalidArgument, match=r"multiple of the series' 60\. Received: 30"):
        load(*own(tmp_path, minutes=30))


# --- series of one's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"target": "T"}, r"are: when, t, u, wind\. Received: T"),
        ({"time": "date"}, r"are: when, t, u, wind\. Received: date"),
        ({"columns": "t,v"}, r"are: when, t, u, wind\. Received: v"),
        ({"columns": "u,wind"}, r"one of the columns: u, wind\. Received: 't'"),
        ({"target": "wind"}, r"column of numbers that change\. Received: 'wind'"),
        ({"lookback": 100}, r"holds a window, 104 rows\. Received: 80 rows"),
    ],
)
def test_wrong_columns_and_a_series_too_short_are_told(tmp_path: Path, changes: Any, answer: str) -> None:
    with pytest.raises(InvalidArgument, match=answer):
        load(*own(tmp_path, **changes))


@pytest.mark.parametrize("changes", [{"file": "own.csv"}, {"series": "paris"}])
def test_a_series_must_be_known_or_described(changes: Any) -> None:
    with pytest.raises(ValidationError, match=r"time and target|one of: beijing, jena"):
        ClimateConfig.model_validate(changes)


def test_beijings_columns_carry_their_units(mirror: Folder) -> None:
    train = load(ForecastConfig(), mirror).train
    assert train.assets["columns"].tolist() == [
        "pm2.5 (fine dust, µg/m³)",
        "DEWP (dew point, °C)",
        "TEMP (temperature, °C)",
        "PRES (pressure, hPa)",
        *(f"cbwd={wind} (wind direction)" for wind in ("NE", "NW", "SE", "cv")),
        "Iws (wind run, m/s summed over the hours of one direction)",
        "Is (hours of snow so far)",
        "Ir (hours of rain so far)",
    ]
    assert (len(train), int(train.assets["target"])) == (34796, 2)


def test_new_yorks_weather_is_read_by_naming_its_columns(mirror: Folder) -> None:
    columns = "temp,dewp,humid,wind_dir,wind_gust,pressure,origin"
    config = ForecastConfig(file=NEW_YORK, time="time_hour", target="temp", columns=columns, unit="°F")
    data = load(config, mirror)
    assert data.train.assets["columns"].tolist() == ["temp", "dewp", "humid", "wind_dir", "pressure"]
    assert not np.isnan(rows_of(data.train)).any()
    assert PLUGIN.baseline(data)["mae"] == pytest.approx(6, abs=2)


def test_jenas_rows_are_read_from_its_zip_every_sixth(mirror: Folder, tmp_path: Path) -> None:
    if not (mirror.folder / JENA).is_file():
        pytest.skip(f"TENSORGATE_DATASETS names no folder with {JENA}")
    content = gzip.decompress((mirror.folder / JENA).read_bytes())
    with zipfile.ZipFile(tmp_path / "jena_climate_2009_2016.csv.zip", "w") as archive:
        archive.writestr("jena_climate_2009_2016.csv", content)
    data = load(ForecastConfig(series="jena", lookback=72, horizon=24), Folder(tmp_path))
    lines = [line.split(",") for line in content.decode().splitlines()[1:]]
    windows = rows_of(data.train)
    assert windows.shape[1:] == (72, 11)
    np.testing.assert_allclose(windows[0, :, 1], [float(line[2]) for line in lines[: 72 * 6 : 6]], rtol=1e-6)
    assert data.train.targets[0] == pytest.approx(float(lines[71 * 6 + 24 * 6][2]))


# --- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("naive", 0), ("dense", 6 * 4 * 32 + 32 + 33), ("gru", 3 * 32 * (4 + 32 + 2) + 33)],
)
def test_the_networks_are_the_books(small: Data, variant: str, parameters: int) -> None:
    built = build(ForecastConfig(), variant, small.train)
    assert sum(int(np.prod(weights.shape)) for weights in built.trainable_weights) == parameters


def test_rows_and_answer_are_scaled_by_the_windows_it_was_given(small: Data) -> None:
    part = small.train.take(np.arange(10, 20))
    built = build(ForecastConfig(), "dense", part)
    scaled = np.asarray(built.get_layer("scaling")(rows_of(part)))
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1, atol=1e-4)
    built.get_layer("answer").set_weights([np.zeros((32, 1)), np.zeros(1)])
    np.testing.assert_allclose(built(rows_of(part)), rows_of(part)[:, :, 0].mean(), rtol=1e-5)


def test_the_baseline_is_what_the_naive_variant_scores(small: Data) -> None:
    naive = build(ForecastConfig(), "naive", small.train)
    figures = PLUGIN.evaluate(naive, small.test, ForecastConfig())
    last = small.test.inputs.astype(float) + 5
    assert PLUGIN.baseline(small)["mae"] == pytest.approx(((last + 4) ** 2 - last**2).mean())
    assert figures["mae"] == pytest.approx(PLUGIN.baseline(small)["mae"])


# --- the endpoint --------------------------------------------------------------------------------------------------


def test_a_request_gets_the_forecast_and_the_naive_one(regress: Endpoint, model: Any, small: Data) -> None:
    requests = np.array([request["rows"] for request in PLUGIN.requests(small.test)], np.float32)
    np.testing.assert_array_equal(requests, rows_of(small.test))
    answer = regress(rows=requests)
    np.testing.assert_allclose(answer["values"], model.predict(requests, verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(answer["naive"], requests[:, -1, :1])


def test_a_missing_number_is_filled_as_in_training(regress: Endpoint, small: Data) -> None:
    holed = rows_of(small.test)[:3].copy()
    holed[0, 2:4, 0], holed[1, 0, 1], holed[2, -1, 0] = np.nan, np.nan, np.inf
    filled = holed.copy()
    filled[0, 2:4, 0], filled[1, 0, 1], filled[2, -1, 0] = holed[0, 1, 0], holed[1, 1, 1], holed[2, -2, 0]
    with_gaps, without = regress(rows=holed), regress(rows=filled)
    for name in ("values", "naive"):
        np.testing.assert_array_equal(with_gaps[name], without[name])
        assert np.isfinite(with_gaps[name]).all()


def test_a_column_without_a_number_gets_no_forecast_and_spoils_no_other_row(small: Data, serve: Serve) -> None:
    naive = PLUGIN.build_model(ForecastConfig.model_validate({"file": "", **SMALL}), "naive", small.train)
    rows = rows_of(small.test)[:2].copy()
    rows[0, :, 1] = np.nan
    answer = serve(PLUGIN, naive)["regress"](rows=rows)
    assert np.isnan(answer["values"]).ravel().tolist() == [True, False]
    assert answer["naive"].tolist() == rows[:, -1, :1].tolist()


@pytest.mark.parametrize("shape", [(1, 5, 4), (1, 7, 4), (1, 6, 3)])
def test_a_window_of_another_size_is_refused(regress: Endpoint, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        regress(rows=np.zeros(shape, np.float32))


def test_the_card_tells_size_columns_and_units(model: Any) -> None:
    signature = PLUGIN.signatures(model)["regress"]
    (field,) = signature.inputs
    assert field.shape == (6, 4)
    assert "Columns: t; u; wind=N; wind=S" in field.description
    assert [(output.name, output.unit) for output in signature.outputs] == [("values", "°C"), ("naive", "°C")]
    assert signature.example["rows"][1] == [1.0, 1.0, 0.0, 1.0]
