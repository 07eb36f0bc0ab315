"""Nothing leaves the machine unless asked for; what does is private unless asked otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.unit.delivery.hub_server import Hub

from radflow.delivery.hub import push
from radflow.errors import ModelError


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    monkeypatch.setenv("HF_TOKEN", found.token)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with found.running():
        monkeypatch.setattr(constants, "ENDPOINT", found.url)  # HF_ENDPOINT is read when it is imported
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("---\nlibrary_name: transformers\n---\n# a model\n")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_all_files_arrive_in_a_private_repository(hub: Hub, folder: Path) -> None:
    assert push(folder, "me/model") == (f"{hub.url}/me/model", True)
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.visibilities == ["private"]
    assert hub.tokens == {"Bearer secret"}


def test_public_only_when_asked_for(hub: Hub, folder: Path) -> None:
    assert push(folder, "me/model", is_public=True) == (f"{hub.url}/me/model", False)
    assert hub.visibilities == ["public"]


def test_a_private_repository_stays_private_and_is_called_so(hub: Hub, folder: Path) -> None:
    hub.exists = "private"
    assert push(folder, "me/model", is_public=True).is_private
    assert set(hub.files) == {path.name for path in folder.iterdir()}


def test_a_name_without_a_user_is_one_repository_throughout(hub: Hub, folder: Path) -> None:
    """The hub makes me/model of it; model alone would be another repository, or none."""
    push(folder, "model")
    assert hub.models == {"me/model"}


def test_a_repository_that_is_public_already_gets_nothing(hub: Hub, folder: Path) -> None:
    hub.exists = "public"
    with pytest.raises(ModelError, match="public; nothing was uploaded"):
        assert push(folder, "me/model") == (f"{hub.url}/me/model", True)
    assert hub.files == {}


def test_without_a_token_it_says_what_to_do(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ModelError, match="hf auth login"):
        push(folder, "me/model")
    assert hub.tokens == set()


def test_a_wrong_token_or_name_is_one_message(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="USER/MODEL"):
        push(folder, "not a name!")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(ModelError, match="status 401") as caught:
        push(folder, "me/model")
    assert "wrong" not in str(caught.value)
    assert hub.files == {}


def test_a_hub_that_is_not_there_is_one_message(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="can't be reached"):
        push(folder, "me/model")
