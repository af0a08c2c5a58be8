from dataclasses import replace

import pytest

from loadtests.bench import compare
from loadtests.bench.servers import ServerFailed, ours, running


def test_a_commit_is_served_beside_what_stands_here(capsys):
    assert compare.main(["HEAD", "--connections", "4", "--rounds", "1", "--workers", "1"]) == 0
    *_, before, here = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in before.split("|")[1:3]] == ["4", "HEAD"]
    assert [cell.strip() for cell in here.split("|")[1:3]] == ["4", "here"]


def test_the_files_are_those_of_the_commit(tmp_path):
    folder = compare.check_out("HEAD", tmp_path)
    assert (folder / "server" / "app.py").exists()
    assert not (folder / ".git").exists()


def test_a_server_runs_the_modules_of_its_own_root(tmp_path):
    """Not those of the working tree."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").touch()
    (tmp_path / "server" / "__main__.py").write_text("raise SystemExit('the server of another version')")
    server = replace(ours(1), root=tmp_path)
    with pytest.raises(ServerFailed, match="the server of another version"), running(server, tmp_path):
        pass


@pytest.mark.parametrize("revision", ["no-such-commit", "HEAD:README.md", ""])
def test_what_is_no_commit_is_refused_in_a_sentence(revision, capsys):
    assert compare.main([revision]) == 1
    said = capsys.readouterr().err
    assert f"git knows no commit {revision!r}" in said
    assert "git log --oneline" in said
