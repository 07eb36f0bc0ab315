"""The command refuses what would be unsafe or mean nothing, and says what to type instead."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.review_run import make_review_run
from typer.testing import CliRunner

from radflow.cli import app
from radflow.errors import ConfigError, RadflowError, RunError
from radflow.review.server import Serving, serve


def asked(root: Path, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False) -> Serving:
    return Serving(root, "anna", host, port, allow_remote, 5, None, ())


@pytest.mark.parametrize("host", ["10.0.0.7", "192.168.1.2", "review.example", "2001:db8::1"])
def test_other_machines_are_let_in_only_when_it_is_said(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="patient data") as caught:
        serve(asked(tmp_path, host=host))
    assert "--allow-remote" in str(caught.value)
    assert "ssh -L" in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_all_networks_at_once_are_refused_even_then(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="all networks"):
        serve(asked(tmp_path, host=host, allow_remote=True))


def test_remote_serving_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match=r"no studies\.jsonl"):
        serve(asked(tmp_path, host="10.0.0.7", allow_remote=True))
    assert "unencrypted" in capsys.readouterr().err


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    root = make_review_run(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(RunError, match="--port"):
        serve(asked(root, port=other.getsockname()[1]))


def test_out_without_table_does_nothing_and_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["review", str(tmp_path), "-o", "x"])
    assert isinstance(result.exception, RadflowError)
    assert "--table" in str(result.exception)


def test_without_the_extra_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("radflow.cli_review.find_spec", lambda name: None if name == "uvicorn" else object())
    result = CliRunner().invoke(app, ["review", str(tmp_path)])
    assert isinstance(result.exception, ConfigError)
    assert 'pip install "radflow[app]"' in str(result.exception)


def test_neither_pages_nor_tables_need_torch() -> None:
    code = (
        "import sys, radflow.review.server, radflow.review.table_files; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
