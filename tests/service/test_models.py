"""The model folders: which version is served, what a broken one does, how a new one takes over."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nmt.options import SearchOptions
from service import work
from service.errors import Problem
from service.models import ModelStore
from tests.service.conftest import Serve, ask, until
from tests.service.fakes import FakeLoader, write_bundle


def store(*folders: Path, **options: Any) -> ModelStore:
    made = ModelStore(folders, load=options.pop("load", FakeLoader()), **options)
    made.refresh()
    return made


def versions(models: ModelStore) -> dict[str, int]:
    return {model.name: model.version for model in models.served}


def test_the_highest_version_is_served(tmp_path: Path) -> None:
    for version in (2, 10, 9):
        write_bundle(tmp_path, "en-fr", version)
    (tmp_path / "en-fr" / "11.part").mkdir()
    (tmp_path / "en-fr" / "latest").mkdir()
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    assert versions(store(tmp_path)) == {"en-fr": 10}


def test_a_version_without_manifest_is_not_complete(tmp_path: Path) -> None:
    write_bundle(tmp_path, "en-fr", 1)
    (tmp_path / "en-fr" / "2").mkdir()
    models = store(tmp_path)
    assert versions(models) == {"en-fr": 1}
    statuses = [(entry["version"], entry["status"]) for entry in models.describe("en-fr")["versions"]]  # type: ignore[index]
    assert statuses == [(2, "failed"), (1, "ready")]


def test_the_same_name_in_a_later_folder_wins(tmp_path: Path) -> None:
    write_bundle(tmp_path / "ours", "en-fr", 3)
    write_bundle(tmp_path / "ours", "fr-en", 3)
    write_bundle(tmp_path / "theirs", "en-fr", 1)
    assert versions(store(tmp_path / "ours", tmp_path / "theirs", tmp_path / "missing")) == {"en-fr": 1, "fr-en": 3}


def test_a_version_can_be_pinned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for version in (1, 2):
        write_bundle(tmp_path, "en-fr", version)
    assert versions(store(tmp_path, pin={"en-fr": 1})) == {"en-fr": 1}
    missing = store(tmp_path, pin={"en-fr": 5})
    assert versions(missing) == {}
    assert "version 5 is pinned" in missing.describe("en-fr")["error"]  # type: ignore[index]
    assert "en-fr version 5 is pinned, but it is not there" in caplog.text


def test_a_broken_bundle_is_listed_and_takes_nothing_down(tmp_path: Path) -> None:
    write_bundle(tmp_path, "en-fr", 1)
    write_bundle(tmp_path, "en-fr", 2, broken=True)
    write_bundle(tmp_path, "fr-en", 1, broken=True)
    (write_bundle(tmp_path, "de-en", 1) / "manifest.json").write_text("{")
    models = store(tmp_path)
    assert versions(models) == {"en-fr": 1}
    entry = models.describe("fr-en")
    assert entry is not None
    assert entry["status"] == "failed"
    assert "checksum" in entry["error"]
    assert models.describe("de-en")["error"] == "it failed to load (JSONDecodeError)"  # type: ignore[index]
    assert models.names() == ["de-en", "en-fr", "fr-en"]


def test_a_broken_bundle_is_tried_again_only_when_it_changes(tmp_path: Path) -> None:
    write_bundle(tmp_path, "en-fr", 1, broken=True)
    tries: list[Path] = []
    loader = FakeLoader()

    def load(path: Path, device: str) -> Any:
        tries.append(path)
        return loader(path, device)

    models = store(tmp_path, load=load)
    models.refresh()
    assert len(tries) == 1
    write_bundle(tmp_path, "en-fr", 1, repaired="yes")
    models.refresh()
    assert (len(tries), versions(models)) == (2, {"en-fr": 1})


def test_a_model_damaged_on_disk_stays_in_service(tmp_path: Path) -> None:
    write_bundle(tmp_path, "en-fr", 1)
    write_bundle(tmp_path, "en-fr", 2)
    models = store(tmp_path)
    write_bundle(tmp_path, "en-fr", 2, broken=True)
    for _ in range(3):
        models.refresh()
        assert versions(models) == {"en-fr": 2}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_failure_of_the_machine_takes_no_model_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_bundle(tmp_path, "en-fr", 1)
    models = store(tmp_path)

    def fail(path: Path) -> list[Path]:
        raise OSError(number, "not now")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", fail)
        with pytest.raises(OSError, match="not now"):
            models.refresh()
    assert versions(models) == {"en-fr": 1}


def test_a_folder_that_may_not_be_read_is_listed_and_takes_nothing_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path, "en-fr", 1)
    closed = write_bundle(tmp_path, "fr-en", 1)
    iterdir, access = Path.iterdir, os.access

    def refuse(path: Path) -> Iterator[Path]:
        if path == closed:
            raise PermissionError
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and access(path, mode))
    models = store(tmp_path)
    assert versions(models) == {"en-fr": 1}
    assert "may not be read" in models.describe("fr-en")["error"]  # type: ignore[index]


def test_a_pinned_version_that_is_broken_says_why(tmp_path: Path) -> None:
    write_bundle(tmp_path, "en-fr", 1, broken=True)
    write_bundle(tmp_path, "en-fr", 2)
    entry = store(tmp_path, pin={"en-fr": 1}).describe("en-fr")
    assert entry is not None
    assert entry["status"] == "failed"
    assert "checksum" in entry["error"]


def test_a_name_that_comes_later_is_loading_until_it_is_served(tmp_path: Path) -> None:
    loader = FakeLoader()
    seen: list[dict[str, Any] | None] = []

    def load(path: Path, device: str) -> Any:
        seen.append(models.describe("fr-en"))
        return loader(path, device)

    models = ModelStore([tmp_path], load=load)
    models.refresh()
    write_bundle(tmp_path, "fr-en", 1)
    models.refresh()
    assert seen[-1] is not None
    assert (seen[-1]["status"], seen[-1]["error"]) == ("loading", None)


def test_a_version_that_goes_gives_way_to_the_one_before(tmp_path: Path) -> None:
    write_bundle(tmp_path, "en-fr", 1)
    models = store(tmp_path)
    assert versions(models) == {"en-fr": 1}
    write_bundle(tmp_path, "en-fr", 2)
    models.refresh()
    assert versions(models) == {"en-fr": 2}
    shutil.rmtree(tmp_path / "en-fr" / "2")
    models.refresh()
    assert versions(models) == {"en-fr": 1}
    shutil.rmtree(tmp_path / "en-fr")
    models.refresh()
    assert versions(models) == {}
    assert models.describe("en-fr") is None


def test_language_codes_match_in_any_case(tmp_path: Path) -> None:
    write_bundle(tmp_path, "zh-Hans-en", 1, source="zh-Hans", target="en")
    assert store(tmp_path).choose("ZH-hans", "EN").version == 1


def test_while_models_load_a_request_is_told_to_wait(tmp_path: Path) -> None:
    models = ModelStore([tmp_path], load=FakeLoader())
    with pytest.raises(Problem) as caught:
        models.choose("en", "fr")
    assert (caught.value.status, caught.value.code) == (503, "loading")
    write_bundle(tmp_path, "en-fr", 1)
    models._served = store(tmp_path)._served  # one is there already, the one asked for is not
    with pytest.raises(Problem) as caught:
        models.choose("en", "fr", "mine")
    assert caught.value.code == "loading"
    shutil.rmtree(tmp_path / "en-fr")
    models.refresh()
    with pytest.raises(Problem) as caught:
        models.choose("en", "fr")
    assert caught.value.code == "unsupported_direction"


@pytest.mark.anyio
async def test_the_server_listens_before_its_models_are_there(serve: Serve, loader: FakeLoader) -> None:
    loader.gate.clear()
    async with serve(ready=False) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "loading"}
        response = await client.post("/v1/translate", json=ask("Hi"))
        assert (response.status_code, response.json()["code"]) == (503, "loading")
        assert "retry-after" in response.headers
        await until(lambda: client.app.state.running.models.names() == ["en-fr"])
        [entry] = (await client.get("/v1/models")).json()["models"]
        assert (entry["status"], entry["versions"][0]["status"]) == ("loading", "loading")
        loader.gate.set()
        await until(lambda: client.app.state.running.models.settled)
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.anyio
async def test_a_server_without_models_is_alive_but_not_ready(serve: Serve, tmp_path: Path) -> None:
    async with serve(models=[tmp_path / "nothing"]) as client:
        assert (await client.get("/readyz")).json() == {"status": "no model"}
        assert (await client.get("/v1/models")).json() == {"models": []}
        write_bundle(tmp_path / "nothing", "en-fr", 1)
        await until(lambda: bool(client.app.state.running.models.served))
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.anyio
async def test_a_new_version_takes_over_without_dropping_a_request(
    serve: Serve, loader: FakeLoader, folder: Path
) -> None:
    async with serve() as client:
        seen: list[tuple[int, int]] = []

        async def ask_until(version: int) -> None:
            while not seen or seen[-1][1] < version:
                response = await client.post("/v1/translate", json=ask("Hi"))
                seen.append((response.status_code, response.json()["model"]["version"]))

        asking = [asyncio.create_task(ask_until(2)) for _ in range(4)]
        await until(lambda: len(seen) > 8)
        write_bundle(folder, "en-fr", 2, shout="!")
        async with asyncio.timeout(10):
            await asyncio.gather(*asking)
        assert {status for status, _ in seen} == {200}
        assert {version for _, version in seen} == {1, 2}
        assert 'version="2"' in (await client.get("/metrics")).text
        assert 'version="1"' not in (await client.get("/metrics")).text


@pytest.mark.anyio
async def test_a_request_that_runs_keeps_its_model(serve: Serve, loader: FakeLoader, folder: Path) -> None:
    async with serve() as client:
        models = client.app.state.running.models
        old = models.served[0]
        write_bundle(folder, "en-fr", 2)
        await until(lambda: models.served[0].version == 2)
        deadline = asyncio.get_running_loop().time() + 5
        engine = client.app.state.running.engine
        answer = await work.translate(engine, old, ["Hi"], options=SearchOptions(), deadline=deadline)
        assert answer.result[0].text == "HI"


@pytest.mark.anyio
async def test_a_model_shows_its_card(serve: Serve, folder: Path) -> None:
    async with serve() as client:
        answer = (await client.get("/v1/models/en-fr")).json()
        assert answer["card"] == {"data": "made up"}
        assert answer["config"] == {"format_version": 1}
        assert answer["sha256"] == f"{1:064x}"
        assert answer["versions"] == [{"version": 1, "folder": str(folder), "status": "ready", "error": None}]
