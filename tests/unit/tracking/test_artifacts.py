from pathlib import Path
from unittest.mock import MagicMock

from memlaw.tracking.artifacts import add_files


def test_files_and_the_content_of_directories_are_added_by_their_relative_names(tmp_path: Path):
    (tmp_path / "adapter/deep").mkdir(parents=True)
    for name in ("result.json", "adapter/b.json", "adapter/deep/a.bin"):
        (tmp_path / name).touch()
    artifact = MagicMock()
    add_files(artifact, [tmp_path / "result.json", tmp_path / "missing.json", tmp_path / "adapter"])
    added = {call.args[0]: call.kwargs["name"] for call in artifact.add_file.call_args_list}
    assert added == {
        str(tmp_path / "result.json"): "result.json",
        str(tmp_path / "adapter/b.json"): "b.json",
        str(tmp_path / "adapter/deep/a.bin"): "deep/a.bin",
    }
