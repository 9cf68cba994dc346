"""`python -m ufm COMMAND`: the laboratory of the unconstrained feature model."""

import sys

from ufm.command_line import Command, main
from ufm.settings import AtlasSetting, VerifySetting


def run_verify(setting: VerifySetting) -> int:
    """The main job: verdicts as they come, then the table, the record and the picture."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from figures import verification
    from ufm import verify_report
    from ufm.records import check_new_file, new_folder, read_record, write_record
    from ufm.verify import verify

    check_new_file(setting.json, "--json")
    progress = Progress("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True)
    pending = verify(setting, progress)
    folder = new_folder(setting.out, "verify")
    try:
        with progress:
            verdicts = list(pending)
    except BaseException:
        if setting.out is None:
            folder.rmdir()  # still empty: leave nothing behind
        raise
    verify_report.show(setting, verdicts)
    record = write_record(setting.json or folder / "record.json", setting.as_dict(), verify_report.as_result(verdicts))
    picture = verification.draw(read_record(record), folder / "verification.png")
    print(f"record: {record}\npicture: {picture}")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def run_atlas(setting: AtlasSetting) -> int:
    """Grow the atlas round by round, saved after each; then the certificates, the table, the picture."""
    from figures import landscape
    from ufm import atlas_report
    from ufm.atlas_folder import AtlasFolder
    from ufm.records import read_record

    folder = AtlasFolder.opened(setting)
    try:
        folder.grow()
    except KeyboardInterrupt:
        print(f"atlas so far, which `--out {folder.path}` extends: {folder.record}")
        raise
    result = folder.finish()
    atlas_report.show(folder.atlas, result)
    picture = landscape.draw(read_record(folder.record), folder.path / "landscape.png")
    print(f"record: {folder.record}\npicture: {picture}")
    return 0 if all(result["claims"].values()) else 1


COMMANDS = {"verify": Command(VerifySetting, run_verify), "atlas": Command(AtlasSetting, run_atlas)}

if __name__ == "__main__":
    sys.exit(main("python -m ufm", "The laboratory of the unconstrained feature model.", COMMANDS))
